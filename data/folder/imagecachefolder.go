package folder

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"time"
)

// CacheFolder describes the folder of one decoded-image cache.
type CacheFolder struct {
	Path  string    `json:"path"`
	Bytes int64     `json:"bytes"`
	Used  time.Time `json:"written"` // when a file was last written
}

// Caches lists the decoded-image caches in dir, such as CacheHome, sorted by path.
func Caches(dir string) ([]CacheFolder, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*", "*", "*"+cacheExt))
	if err != nil {
		return nil, err
	}
	byFolder := map[string]*CacheFolder{}
	for _, name := range names {
		st, err := os.Stat(name)
		if err != nil {
			continue
		}
		at := filepath.Dir(name)
		if byFolder[at] == nil {
			byFolder[at] = &CacheFolder{Path: at}
		}
		f := byFolder[at]
		f.Bytes += st.Size()
		if st.ModTime().After(f.Used) {
			f.Used = st.ModTime()
		}
	}
	var all []CacheFolder
	for _, f := range byFolder {
		all = append(all, *f)
	}
	sort.Slice(all, func(i, j int) bool { return all[i].Path < all[j].Path })
	return all, nil
}

// Remove removes the files of the cache, and its folders if they are empty then.
func (f CacheFolder) Remove() error {
	names, err := filepath.Glob(filepath.Join(f.Path, "*"+cacheExt))
	if err != nil {
		return err
	}
	for _, name := range names {
		err = errors.Join(err, os.Remove(name))
	}
	if gone := os.Remove(filepath.Join(f.Path, marksFile)); !errors.Is(gone, fs.ErrNotExist) {
		err = errors.Join(err, gone)
	}
	removeEmpty(f.Path)
	return err
}

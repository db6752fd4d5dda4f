package folder

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"time"
)

// PackFolder is a folder of decoded pictures.
type PackFolder struct {
	Path  string    `json:"path"`
	Bytes int64     `json:"bytes"`
	Used  time.Time `json:"written"` // last
}

// Packs lists the packs in a folder of packs.
func Packs(dir string) ([]PackFolder, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*", "*", "*"+packEnding))
	if err != nil {
		return nil, err
	}
	byFolder := map[string]*PackFolder{}
	for _, name := range names {
		st, err := os.Stat(name)
		if err != nil {
			continue
		}
		at := filepath.Dir(name)
		if byFolder[at] == nil {
			byFolder[at] = &PackFolder{Path: at}
		}
		f := byFolder[at]
		f.Bytes += st.Size()
		if st.ModTime().After(f.Used) {
			f.Used = st.ModTime()
		}
	}
	var all []PackFolder
	for _, f := range byFolder {
		all = append(all, *f)
	}
	sort.Slice(all, func(i, j int) bool { return all[i].Path < all[j].Path })
	return all, nil
}

// Remove removes the files of the pack, and its folders when nothing else is in them.
func (f PackFolder) Remove() error {
	names, err := filepath.Glob(filepath.Join(f.Path, "*"+packEnding))
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

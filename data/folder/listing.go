package folder

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"github.com/residual-ml/residual/data/photo"
)

// foldersOf lists the folders in dir, including links to folders, sorted by name.
func foldersOf(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("images: %w", err)
	}
	var names []string
	for _, e := range entries {
		if hidden(e.Name()) || !e.IsDir() && e.Type()&fs.ModeSymlink == 0 {
			continue
		}
		if st, err := os.Stat(filepath.Join(dir, e.Name())); err == nil && st.IsDir() {
			names = append(names, e.Name())
		}
	}
	sort.Strings(names)
	return names, nil
}

func hidden(name string) bool { return strings.HasPrefix(name, ".") || name == "__MACOSX" }

// countImages counts the files below dir with names of images. It stops at limit; 0 means no
// limit.
func countImages(dir string, limit int) (n int) {
	top, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return 0
	}
	_ = filepath.WalkDir(top, func(path string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return nil // ignore folders that cannot be listed
		case hidden(e.Name()) && path != top:
			if e.IsDir() {
				return fs.SkipDir
			}
		case !e.IsDir() && photo.Named(path):
			if n++; n == limit {
				return fs.SkipAll
			}
		}
		return nil
	})
	return n
}

// loose counts the images directly in dir.
func loose(dir string) (n int) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if !e.IsDir() && !hidden(e.Name()) && photo.Named(e.Name()) {
			n++
		}
	}
	return n
}

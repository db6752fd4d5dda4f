package photo

import (
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// Find lists the images that paths name, one after the other and without a list of
// them in memory:
//
//   - a file is taken as it is, whatever its name;
//   - of a folder, every image by its name (Named, and NamedOther, so that who opens
//     it says how to convert it) at any depth, in the order of names; names that begin
//     with a dot are passed over, and links to folders are not followed;
//   - of a pattern, every file it matches that is an image by its name: * and ? stand
//     for what a name has, [a-z] for one letter, {a,b} for either, and ** for any
//     number of folders. A file of that very name comes before the pattern.
//
// What cannot be listed, or holds no image, comes with an error, and the listing goes
// on. A path that is not there is given out, too: who opens it says so.
func Find(paths iter.Seq[string]) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for path := range paths {
			var more bool
			switch info, err := os.Stat(path); {
			case err == nil && info.IsDir():
				more = inFolder(path, yield)
			case err != nil && isPattern(path):
				more = matches(path, yield)
			default:
				more = yield(path, nil)
			}
			if !more {
				return
			}
		}
	}
}

var errStop = errors.New("the listing was stopped")

// inFolder lists a folder, and returns false when yield wants no more.
func inFolder(root string, yield func(string, error) bool) bool {
	found := false
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		hidden := path != root && strings.HasPrefix(d.Name(), ".")
		switch {
		case err != nil:
			found = true // something was said
			if !yield(path, fmt.Errorf("folder: %w", err)) {
				return errStop
			}
			if d.IsDir() {
				return fs.SkipDir
			}
		case hidden && d.IsDir():
			return fs.SkipDir
		case !hidden && !d.IsDir() && isImage(d.Name()) && isFile(path, d.Type()):
			found = true
			if !yield(path, nil) {
				return errStop
			}
		}
		return nil
	})
	if err != nil {
		return false
	}
	return found || yield(root, fmt.Errorf("folder %s: holds no image (%s)", root, strings.Join(extensions, ", ")))
}

func isImage(name string) bool { return Named(name) || NamedOther(name) != "" }

// isFile says whether there is a file, or a link to one.
func isFile(path string, kind fs.FileMode) bool {
	if kind&fs.ModeSymlink != 0 {
		info, err := os.Stat(path)
		return err == nil && info.Mode().IsRegular()
	}
	return kind.IsRegular()
}

func isPattern(path string) bool { return strings.ContainsAny(path, "*?[{") }

// matches is inFolder for a pattern.
func matches(pattern string, yield func(string, error) bool) bool {
	base, rest := doublestar.SplitPattern(filepath.ToSlash(pattern))
	found := false
	err := doublestar.GlobWalk(os.DirFS(filepath.FromSlash(base)), rest, func(name string, d fs.DirEntry) error {
		path := filepath.Join(base, filepath.FromSlash(name))
		if !isImage(name) || !isFile(path, d.Type()) {
			return nil
		}
		found = true
		if !yield(path, nil) {
			return errStop
		}
		return nil
	})
	switch {
	case errors.Is(err, errStop):
		return false
	case err != nil:
		return yield(pattern, fmt.Errorf("pattern %s: %w", pattern, err))
	case !found:
		return yield(pattern, fmt.Errorf("pattern %s: matches no image", pattern))
	}
	return true
}

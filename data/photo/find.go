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

// Find lists the image files that paths stand for, one after the other, without holding them
// all in memory:
//
//   - A file is listed whatever its name.
//   - For a folder, all files at any depth with the name of an image are listed, in the order
//     of names. They may be Named or NamedOther; the error for the latter says how to convert
//     them. Names that begin with a dot are ignored, and links to folders are not followed.
//   - For a pattern, all matching files with the name of an image are listed. In a pattern, *
//     and ? match characters of a name, [a-z] one letter, {a,b} either text, and ** any number
//     of folders. A file with exactly the name of the pattern takes precedence.
//
// A folder that cannot be listed, and a path without images, gives an error, and the listing
// continues. A path that does not exist is listed, so that opening it gives the error.
func Find(paths iter.Seq[string]) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for path := range paths {
			var more bool
			switch info, err := os.Stat(path); {
			case err == nil && info.IsDir():
				more = inFolder(path, yield)
			case err != nil && isPattern(path):
				more = inPattern(path, yield)
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

// inFolder lists a folder. It returns false when yield does.
func inFolder(root string, yield func(string, error) bool) bool {
	found := false
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		hidden := path != root && strings.HasPrefix(d.Name(), ".")
		switch {
		case err != nil:
			found = true // an error was already given
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

// isFile reports whether path is a file or a link to one.
func isFile(path string, kind fs.FileMode) bool {
	if kind&fs.ModeSymlink != 0 {
		info, err := os.Stat(path)
		return err == nil && info.Mode().IsRegular()
	}
	return kind.IsRegular()
}

func isPattern(path string) bool { return strings.ContainsAny(path, "*?[{") }

// inPattern lists the files that match a pattern. It returns false when yield does.
func inPattern(pattern string, yield func(string, error) bool) bool {
	base, tail := doublestar.SplitPattern(filepath.ToSlash(pattern))
	found := false
	err := doublestar.GlobWalk(os.DirFS(filepath.FromSlash(base)), tail, func(name string, d fs.DirEntry) error {
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

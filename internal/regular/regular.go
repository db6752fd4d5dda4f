// Package regular opens the files that a user names. A name may lead to anything: opening
// a named pipe waits for a writer for ever, and a device or a file of the kernel may never
// end. Only regular files are opened, and whatever reads a user's file opens it here; a test
// of this package holds the module to that.
package regular

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
)

// ErrKind is of a file that is no regular one.
var ErrKind = errors.New("not a regular file")

// Open opens the file at path, or the one that a link there leads to, for reading. What
// it is, is decided before it is opened, as opening some kinds has effects, and again
// after, as it may be another by then. An error wraps ErrKind when it is no regular file,
// and else is that of os.Open; either names the path.
func Open(path string) (*os.File, error) {
	return open(path, os.Stat, func(path string) (*os.File, error) {
		return os.OpenFile(path, os.O_RDONLY|nonBlocking, 0)
	})
}

// OpenIn is Open for a file in a folder that nothing outside of can be reached from.
func OpenIn(root *os.Root, name string) (*os.File, error) {
	return open(name, root.Stat, func(name string) (*os.File, error) {
		return root.OpenFile(name, os.O_RDONLY|nonBlocking, 0)
	})
}

func open(path string, stat func(string) (fs.FileInfo, error), open func(string) (*os.File, error)) (*os.File, error) {
	st, err := stat(path)
	if err != nil {
		return nil, err
	}
	if err := Check(path, st); err != nil {
		return nil, err
	}
	f, err := open(path)
	if err != nil {
		return nil, err
	}
	if st, err = f.Stat(); err == nil {
		if err = Check(path, st); err == nil && st.Size() == 0 && ofKernel(f) {
			err = fmt.Errorf("%s: %w: it is a file of the kernel, which may have no end", path, ErrKind)
		}
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// Check is an error, which wraps ErrKind and says what the file is, unless it is a regular
// one. The information must be of what a link leads to, as os.Stat gives it.
func Check(path string, st fs.FileInfo) error {
	what := ""
	switch mode := st.Mode(); {
	case mode.IsRegular():
		return nil
	case mode.IsDir():
		what = "a folder"
	case mode&fs.ModeNamedPipe != 0:
		what = "a pipe"
	case mode&fs.ModeSocket != 0:
		what = "a socket"
	case mode&fs.ModeDevice != 0:
		what = "a device"
	default:
		return fmt.Errorf("%s: %w", path, ErrKind)
	}
	return fmt.Errorf("%s: %w: it is %s", path, ErrKind, what)
}

// Replaceable is an error, which wraps ErrKind, if a new file at path would take the place
// of a pipe, a socket, a device or a link to one, or of a link such as /dev/stdout that the
// system made: a rename would take it from all programs, not write to it.
func Replaceable(path string) error {
	if to, err := os.Readlink(path); err == nil && strings.HasPrefix(to, "/proc/") {
		return fmt.Errorf("%s: %w: it is a link to %s", path, ErrKind, to)
	}
	st, err := os.Stat(path)
	if err != nil || st.IsDir() { // where nothing is, or what a rename refuses
		return nil
	}
	return Check(path, st)
}

// ReadFile returns what is in a file of at most most bytes. Errors name the path.
func ReadFile(path string, most int64) ([]byte, error) {
	f, err := Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return ReadAll(f, most)
}

// ReadAll returns what is in an open file of at most most bytes.
func ReadAll(f *os.File, most int64) ([]byte, error) {
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	tooLarge := func(size int64) error {
		return fmt.Errorf("%s: has %d bytes, where at most %d are possible", f.Name(), size, most)
	}
	if st.Size() > most {
		return nil, tooLarge(st.Size())
	}
	content, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(content)) > most { // it grew
		err = tooLarge(int64(len(content)))
	}
	return content, err
}

// Package regular opens only regular files. A path that a user gives may lead to anything:
// opening a named pipe waits for a writer, possibly for ever, and a device or a file of the
// kernel may have no end. All code that reads files of users opens them with this package; a
// test checks that.
package regular

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
)

// ErrKind is the error of a path that is not a regular file.
var ErrKind = errors.New("not a regular file")

// Open opens the file at path for reading and follows links. It checks the kind of the file
// before opening it, since opening some kinds has effects, and again afterwards, since the
// file may have been replaced. If it is not a regular file, the error wraps ErrKind; other
// errors are those of os.Open. All errors name the path.
func Open(path string) (*os.File, error) {
	return open(path, os.Stat, func(path string) (*os.File, error) {
		return os.OpenFile(path, os.O_RDONLY|nonBlocking, 0)
	})
}

// OpenIn is Open for a file in root, which links cannot leave.
func OpenIn(root *os.Root, name string) (*os.File, error) {
	return open(name, root.Stat, func(name string) (*os.File, error) {
		return root.OpenFile(name, os.O_RDONLY|nonBlocking, 0)
	})
}

// open is Open with the given functions to check a file and to open it.
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

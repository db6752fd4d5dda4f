//go:build unix

package regular

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// Open refuses files that would block it, or that have no end.
func TestOpenRefusesOtherKinds(t *testing.T) {
	dir, err := os.MkdirTemp("", "") // a socket's name must be short
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	pipe, socket, zero := filepath.Join(dir, "pipe"), filepath.Join(dir, "socket"), filepath.Join(dir, "zero")
	if err := syscall.Mkfifo(pipe, 0o666); err != nil {
		t.Fatal(err)
	}
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	if err := syscall.Bind(fd, &syscall.SockaddrUnix{Name: socket}); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/dev/zero", zero); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{pipe: "a pipe", socket: "a socket", zero: "a device"}
	if runtime.GOOS == "linux" {
		want["/proc/self/maps"] = "a file of the kernel"
		r, w, err := os.Pipe() // as a shell's <(...) gives one
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		defer w.Close()
		want[filepath.Join("/proc/self/fd", strconv.Itoa(int(r.Fd())))] = "a pipe"
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	for path, kind := range want {
		if _, err := Open(path); !errors.Is(err, ErrKind) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), kind) {
			t.Errorf("Open: %v, want %s", err, kind)
		}
		if _, err := ReadFile(path, 10); !errors.Is(err, ErrKind) {
			t.Errorf("ReadFile: %v", err)
		}
	}
	if _, err := OpenIn(root, "pipe"); !errors.Is(err, ErrKind) {
		t.Errorf("OpenIn: %v", err)
	}
}

// A pipe that replaces a file after the first check is opened without waiting for a writer.
func TestOpenChecksAgain(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "x.jpg")
	if err := os.WriteFile(path, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	_, err := open(path, os.Stat, func(path string) (*os.File, error) {
		if err := errors.Join(os.Remove(path), syscall.Mkfifo(path, 0o666)); err != nil {
			return nil, err
		}
		return os.OpenFile(path, os.O_RDONLY|nonBlocking, 0)
	})
	if !errors.Is(err, ErrKind) {
		t.Errorf("%v", err)
	}
}

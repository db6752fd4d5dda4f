//go:build unix

package checkpoint

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/residual-ml/residual/internal/regular"
)

// WriteFile does not replace a device, since a rename would remove it for every program.
func TestWriteFileReplacesFilesAlone(t *testing.T) {
	dir := t.TempDir()
	pipe, null, out := filepath.Join(dir, "pipe"), filepath.Join(dir, "null"), filepath.Join(dir, "stdout")
	if err := syscall.Mkfifo(pipe, 0o666); err != nil {
		t.Fatal(err)
	}
	for link, to := range map[string]string{null: "/dev/null", out: "/proc/self/fd/1"} {
		if err := os.Symlink(to, link); err != nil {
			t.Fatal(err)
		}
	}
	for path, kind := range map[string]string{pipe: "a pipe", null: "a device", out: "a link to /proc/self/fd/1"} {
		before, err := os.Lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		err = WriteFile(path, func(io.Writer) error { t.Error("it is written"); return nil })
		if !errors.Is(err, regular.ErrKind) || !strings.HasPrefix(err.Error(), path) || !strings.Contains(err.Error(), kind) {
			t.Errorf("%s: %v, want %s", path, err, kind)
		}
		if after, err := os.Lstat(path); err != nil || !os.SameFile(before, after) {
			t.Errorf("%s is another file now, %v", path, err)
		}
	}
	// A link is replaced, whether or not its target exists.
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	for _, to := range []string{filepath.Join(dir, "file"), filepath.Join(dir, "none")} {
		link := to + " link"
		if err := os.Symlink(to, link); err != nil {
			t.Fatal(err)
		}
		if err := WriteFile(link, func(w io.Writer) error { _, err := io.WriteString(w, "new"); return err }); err != nil {
			t.Error(err)
		}
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 6 {
		t.Errorf("left behind: %v", entries)
	}
}

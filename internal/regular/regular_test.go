package regular

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestOpen(t *testing.T) {
	dir := t.TempDir()
	path, link, gone := filepath.Join(dir, "file"), filepath.Join(dir, "link"), filepath.Join(dir, "gone")
	if err := os.WriteFile(path, []byte("text"), 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(path, link); err != nil {
		t.Skip("this system makes no symbolic links: ", err)
	}
	for _, name := range []string{path, link} {
		f, err := Open(name)
		if err != nil {
			t.Fatal(err)
		}
		content, err := ReadAll(f, 4)
		if f.Close(); err != nil || string(content) != "text" {
			t.Errorf("%q, %v", content, err)
		}
	}
	if _, err := ReadFile(path, 3); err == nil || !strings.Contains(err.Error(), path+": has 4 bytes, where at most 3") {
		t.Error(err)
	}
	if _, err := Open(gone); !errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrKind) {
		t.Error(err)
	}
	if _, err := Open(dir); !errors.Is(err, ErrKind) || err.Error() != dir+": not a regular file: it is a folder" {
		t.Error(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	f, err := OpenIn(root, "file")
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	if err := os.Mkdir(filepath.Join(dir, "x.jpg"), 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenIn(root, "x.jpg"); !errors.Is(err, ErrKind) {
		t.Error(err)
	}
}

// reads lists the source files that open files without this package, with the reason.
var reads = map[string]string{
	"checkpoint/metrics.go":       "appends to a file of its run, which it also opens for writing",
	"checkpoint/write.go":         "syncs a folder and creates files",
	"download/download.go":        "syncs a folder and writes its download",
	"internal/regular/regular.go": "is where files are opened",
	"internal/host/cgroup.go":     "reads /sys",
	"internal/host/cpu.go":        "reads /proc and /sys",
	"internal/host/memory.go":     "reads /proc",
	"internal/host/peak_linux.go": "reads /proc",
}

// All other source files open files with this package, since a path of a user may be a pipe.
func TestOnlyRegularFilesAreOpened(t *testing.T) {
	root, seen := filepath.Join("..", ".."), 0
	used := map[string]bool{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		name = filepath.ToSlash(name)
		if d.IsDir() {
			switch {
			case name != "." && strings.HasPrefix(d.Name(), "."), d.Name() == "testdata", name == "bench", name == "examples",
				name == "models/modelstest", name == "internal/amxemu", name == "engine/cuda/check":
				return filepath.SkipDir // not part of the program or the library
			}
			return nil
		}
		if filepath.Ext(name) != ".go" || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		seen++
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, call := range []string{"os.Open(", "os.OpenFile(", "os.ReadFile(", "fs.ReadFile(", "os.OpenInRoot(", "root.Open(", "root.OpenFile(", "root.ReadFile(", "syscall.Open(", "unix.Open("} {
			if !strings.Contains(string(text), call) {
				continue
			}
			if used[name] = true; reads[name] == "" {
				t.Errorf("%s calls %s...): open what a user may name by internal/regular", name, call)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen < 100 {
		t.Fatalf("found only %d files: is the root of the module two folders up?", seen)
	}
	for name, why := range reads {
		if !used[name] {
			t.Errorf("%s no longer opens files, and need not be excused: it %s", name, why)
		}
	}
}

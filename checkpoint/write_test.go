package checkpoint

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var errInjected = errors.New("injected failure")

// faulty fails the n-th call, and every later one too if dead is set. A failing write writes
// half of its bytes. If late is set, a failing close, rename or sync does its work before it
// fails, as on a network file system.
type faulty struct {
	fileSystem
	n          int
	dead, late bool
	calls      []string
	noRemove   bool // a remove has failed, so a temporary file may stay
}

func (f *faulty) fails(call string) bool {
	f.calls = append(f.calls, call)
	return len(f.calls) == f.n || f.dead && len(f.calls) > f.n
}

// do runs work unless this call fails early.
func (f *faulty) do(call string, work func() error) error {
	if !f.fails(call) {
		return work()
	}
	if f.late {
		work()
	}
	return errInjected
}

func (f *faulty) create(path string) (file, error) {
	if f.fails("create") {
		return nil, errInjected
	}
	osFile, err := f.fileSystem.create(path)
	return &faultyFile{osFile, f}, err
}

func (f *faulty) rename(from, to string) error {
	return f.do("rename", func() error { return f.fileSystem.rename(from, to) })
}

func (f *faulty) syncDir(dir string) error {
	return f.do("sync folder", func() error { return f.fileSystem.syncDir(dir) })
}

func (f *faulty) remove(path string) error {
	err := f.do("remove", func() error { return f.fileSystem.remove(path) })
	f.noRemove = f.noRemove || errors.Is(err, errInjected)
	return err
}

type faultyFile struct {
	file
	f *faulty
}

func (w *faultyFile) Write(p []byte) (int, error) {
	if w.f.fails("write") {
		n, _ := w.file.Write(p[:len(p)/2])
		return n, errInjected
	}
	return w.file.Write(p)
}

func (w *faultyFile) Sync() error { return w.f.do("sync", w.file.Sync) }

func (w *faultyFile) Close() error {
	err := w.file.Close() // always closed, so that the test leaks nothing
	if w.f.fails("close") {
		return errInjected
	}
	return err
}

// Whichever call fails, the file has either the old content or the new one.
func TestEveryCallFails(t *testing.T) {
	content := strings.Repeat("new content ", 20_000) // several writes
	order := []string{"create", "write", "write", "write", "write", "sync", "close", "rename", "sync folder"}
	write := func(w io.Writer) error {
		for i := 0; i < len(content); i += 1200 {
			if _, err := io.WriteString(w, content[i:i+1200]); err != nil {
				return err
			}
		}
		return nil
	}
	for _, old := range []string{"", "old content"} {
		for _, mode := range []struct{ dead, late bool }{{}, {dead: true}, {late: true}, {true, true}} {
			for n := 1; ; n++ {
				dir := t.TempDir()
				path := filepath.Join(dir, "f")
				if old != "" {
					if err := os.WriteFile(path, []byte(old), 0o666); err != nil {
						t.Fatal(err)
					}
				}
				files := &faulty{fileSystem: osFiles{}, n: n, dead: mode.dead, late: mode.late}
				err := writeFile(files, path, write)
				checkOutcome(t, fmt.Sprintf("old %q, %+v, call %d", old, mode, n), dir, old, content, files, err)
				if err == nil {
					if d := cmp.Diff(order, files.calls); d != "" {
						t.Errorf("calls (-want +got):\n%s", d)
					}
					break
				}
			}
		}
	}
}

func checkOutcome(t *testing.T, what, dir, old, content string, files *faulty, err error) {
	t.Helper()
	if err != nil && (!errors.Is(err, errInjected) || !strings.HasPrefix(err.Error(), filepath.Join(dir, "f"))) {
		t.Errorf("%s: error %v", what, err)
	}
	got, readErr := os.ReadFile(filepath.Join(dir, "f"))
	switch {
	case string(got) == content:
	case err == nil:
		t.Errorf("%s: no error, but the new content is not there", what)
	case old == "" && errors.Is(readErr, fs.ErrNotExist):
	case old == "" || string(got) != old:
		t.Errorf("%s: neither the old content nor the new one: %d bytes, %v", what, len(got), readErr)
	}
	entries, readErr := os.ReadDir(dir)
	if readErr != nil {
		t.Fatal(readErr)
	}
	for _, e := range entries {
		if e.Name() != "f" && !files.noRemove {
			t.Errorf("%s: left %s behind", what, e.Name())
		}
	}
}

func TestWriteFileKeepsTheOldOne(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	if err := WriteFile(path, func(w io.Writer) error { _, err := io.WriteString(w, "old"); return err }); err != nil {
		t.Fatal(err)
	}
	half := func(w io.Writer) { w.Write(make([]byte, 1<<20)) }
	err := WriteFile(path, func(w io.Writer) error { half(w); return errInjected })
	if !errors.Is(err, errInjected) {
		t.Errorf("the writer's error became %v", err)
	}
	func() {
		defer func() {
			if recover() != errInjected {
				t.Error("the writer's panic is gone")
			}
		}()
		WriteFile(path, func(w io.Writer) error { half(w); panic(errInjected) })
	}()
	if got, err := os.ReadFile(path); string(got) != "old" || err != nil {
		t.Errorf("%d bytes in place of the old content, %v", len(got), err)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("left behind: %v", entries)
	}
}

func TestWriteFileErrors(t *testing.T) {
	dir := t.TempDir()
	none := func(io.Writer) error { return nil }
	for path, want := range map[string]string{
		filepath.Join(dir, "no", "f"): "check that its folder exists",
		dir:                           "check that it is a file",
	} {
		if err := WriteFile(path, none); err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), path) {
			t.Errorf("%s: want %q, got %v", path, want, err)
		}
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 0 {
		t.Errorf("left behind: %v", entries)
	}
}

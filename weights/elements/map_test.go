package elements

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// mapBytes maps a file of three pages and a piece.
func mapBytes(t *testing.T) (m *Mapped, content []byte, path string) {
	t.Helper()
	content = make([]byte, 3*os.Getpagesize()+1000)
	for i := range content {
		content[i] = byte(i*7 + i>>8)
	}
	path = filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, content, 0o666); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	m = Map(file, int64(len(content)))
	t.Cleanup(func() { m.Close() })
	return m, content, path
}

func TestMapReads(t *testing.T) {
	m, content, _ := mapBytes(t)
	if mapped := m.data != nil; mapped != (runtime.GOOS != "windows") {
		t.Errorf("mapped: %v on %s", mapped, runtime.GOOS)
	}
	plain := &Mapped{file: m.file} // as where there is no mapping
	for _, m := range []*Mapped{m, plain} {
		for _, c := range []struct{ at, n int }{{0, 1}, {0, len(content)}, {len(content) - 1, 1}, {os.Getpagesize() - 3, 7}, {5, 0}} {
			p := make([]byte, c.n)
			if n, err := m.ReadAt(p, int64(c.at)); n != c.n || err != nil || !bytes.Equal(p, content[c.at:][:c.n]) {
				t.Errorf("%d bytes at %d: %d, %v", c.n, c.at, n, err)
			}
		}
		p := make([]byte, 10)
		if n, err := m.ReadAt(p, int64(len(content)-4)); n != 4 || err != io.EOF || !bytes.Equal(p[:4], content[len(content)-4:]) {
			t.Errorf("over the end: %d, %v", n, err)
		}
		if n, err := m.ReadAt(p, int64(len(content)+1)); n != 0 || err != io.EOF {
			t.Errorf("behind the end: %d, %v", n, err)
		}
	}
}

// A file that shrinks while it is mapped is an error and no fault that ends the
// program, and what is left of it can still be read; nor does the last page's rest
// pass for zeros of the file.
func TestMapOfAFileThatIsCutShort(t *testing.T) {
	m, content, path := mapBytes(t)
	page := int64(os.Getpagesize())
	p := make([]byte, 100)
	for _, size := range []int64{2*page + 50, page, 0} {
		if err := os.Truncate(path, size); err != nil {
			t.Skipf("a mapped file cannot be cut short here: %v", err)
		}
		for _, at := range []int64{size, size + page - 100, int64(len(content)) - 100} {
			if n, err := m.ReadAt(p, at); n != 0 || err == nil || m.data != nil && !errors.Is(err, errCut) {
				t.Errorf("cut to %d bytes, read at %d: %d, %v", size, at, n, err)
			}
		}
		if size < 100 {
			continue
		}
		if n, err := m.ReadAt(p, size-100); n != 100 || err != nil || !bytes.Equal(p, content[size-100:size]) {
			t.Errorf("cut to %d bytes, its end: %d, %v", size, n, err)
		}
	}
}

// Only faults of the mapping become errors.
func TestMapKeepsOtherPanics(t *testing.T) {
	m, content, _ := mapBytes(t)
	if m.data == nil {
		t.Skip("this system maps no files into memory")
	}
	dst := m.data[:10] // is not to be written to
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	copyMapped(dst, content)
}

func TestMapClosed(t *testing.T) {
	m, _, _ := mapBytes(t)
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	if n, err := m.ReadAt(make([]byte, 1), 0); n != 0 || !errors.Is(err, os.ErrClosed) {
		t.Errorf("after Close: %d, %v", n, err)
	}
}

package folder

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// sameSizeFolder returns a folder whose files all have the same size and time, as scripts write
// them.
func sameSizeFolder(t *testing.T) cachedFolder {
	t.Helper()
	p := cachedFolder{filepath.Join(t.TempDir(), "photos"), filepath.Join(t.TempDir(), "decoded-image caches"), Options{Size: 24, Shrink: 48}}
	then := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for c, class := range []string{"a", "b"} {
		if err := os.MkdirAll(filepath.Join(p.dir, class), 0o777); err != nil {
			t.Fatal(err)
		}
		for i := range 12 {
			path := filepath.Join(p.dir, class, fmt.Sprintf("%d.png", i))
			m := image.NewGray(image.Rect(0, 0, 60, 50))
			for n := range m.Pix {
				m.Pix[n] = uint8(n * (12*c + i + 3))
			}
			m.Set(0, 0, color.Gray{uint8(12*c + i)})
			var b bytes.Buffer
			if err := (&png.Encoder{CompressionLevel: png.NoCompression}).Encode(&b, m); err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(os.WriteFile(path, b.Bytes(), 0o666), os.Chtimes(path, then, then)); err != nil {
				t.Fatal(err)
			}
		}
	}
	return p
}

// checkMarks fails the test unless the digests of an index are those of the files.
func checkMarks(t *testing.T, x *Index) {
	t.Helper()
	for _, it := range x.Items {
		content, err := os.ReadFile(it.Path)
		if err != nil {
			t.Fatal(err)
		}
		if sum := sha256.Sum256(content); it.Mark.SHA256 != hex.EncodeToString(sum[:]) {
			t.Errorf("%s: its recorded digest is not that of the file", it.Name)
		}
	}
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// Files may change while their sizes and times stay the same, and times may change while the
// content stays the same. In each case the cache returns the pixels of the files, and the
// recorded digests are those of the files.
func TestImageCacheIdentifiesFilesByContent(t *testing.T) {
	swap := func(a, b string) error {
		return errors.Join(os.Rename(a, a+".x"), os.Rename(b, a), os.Rename(a+".x", b))
	}
	edit := func(path string) error { // of the same size, and its time restored
		st, err := os.Stat(path)
		if err != nil {
			return err
		}
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			return err
		}
		defer f.Close()
		content := make([]byte, st.Size())
		if _, err := f.ReadAt(content, 0); err != nil {
			return err
		}
		m, err := png.Decode(bytes.NewReader(content))
		if err != nil {
			return err
		}
		m.(*image.Gray).Pix[1000] ^= 255
		var b bytes.Buffer
		if err := (&png.Encoder{CompressionLevel: png.NoCompression}).Encode(&b, m); err != nil || int64(b.Len()) != st.Size() {
			return fmt.Errorf("%d bytes for %d, %v", b.Len(), st.Size(), err)
		}
		_, err = f.WriteAt(b.Bytes(), 0)
		return errors.Join(err, os.Chtimes(path, st.ModTime(), st.ModTime()))
	}
	for _, c := range []struct {
		name   string
		change func(p cachedFolder, one, other string) error
		added  int // images that are new in the cache
	}{
		{"nothing", func(cachedFolder, string, string) error { return nil }, 0},
		{"two files change places", func(_ cachedFolder, a, b string) error { return swap(a, b) }, 0},
		{"two folders change places", func(p cachedFolder, _, _ string) error {
			return swap(filepath.Join(p.dir, "a"), filepath.Join(p.dir, "b"))
		}, 0},
		{"an edit with its time restored", func(_ cachedFolder, a, _ string) error { return edit(a) }, 1},
		{"another time", func(_ cachedFolder, a, b string) error {
			return errors.Join(os.Chtimes(a, time.Now(), time.Now()), os.Chtimes(b, time.Unix(0, 0), time.Unix(0, 0)))
		}, 0},
		{"another name", func(_ cachedFolder, a, _ string) error {
			return os.Rename(a, filepath.Join(filepath.Dir(a), "renamed.png"))
		}, 0},
		{"a backup put back with its times", func(p cachedFolder, a, _ string) error {
			content, err := os.ReadFile(a)
			then := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
			return errors.Join(err, os.WriteFile(a+".bak", content, 0o666), os.Chtimes(a+".bak", then, then), edit(a), os.Rename(a+".bak", a))
		}, 0},
		{"every file in a folder below", func(p cachedFolder, _, _ string) error {
			deeper := filepath.Join(p.dir, "deeper")
			for _, class := range []string{"a", "b"} {
				if err := errors.Join(os.MkdirAll(filepath.Join(deeper, class), 0o777), os.Rename(filepath.Join(p.dir, class), filepath.Join(deeper, class, "2026"))); err != nil {
					return err
				}
			}
			for _, class := range []string{"a", "b"} {
				if err := os.Rename(filepath.Join(deeper, class), filepath.Join(p.dir, class)); err != nil {
					return err
				}
			}
			return os.Remove(deeper)
		}, 0},
	} {
		for _, settled := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, settled %v", c.name, settled), func(t *testing.T) {
				defer func(was time.Duration) { settles = was }(settles)
				if settled { // identities are valid at once
					settles = -time.Hour
				}
				p := sameSizeFolder(t)
				x, _, _ := p.check(t, CacheConfig{})
				checkMarks(t, x)
				added := c.added
				time.Sleep(20 * time.Millisecond) // longer than a step of the clock of the file system
				must(t, c.change(p, x.Items[0].Path, x.Items[12].Path))
				for range 2 {
					y, ic, _ := p.check(t, CacheConfig{})
					if s := ic.State(); s.Added != added || s.Images != 24 || len(s.Notes) != 0 {
						t.Errorf("%+v, want %d added", s, added)
					}
					added = 0
					checkMarks(t, y)
					p.samePixels(t, y, ic)
				}
			})
		}
	}
}

// A file that the file system identifies is not read again at the next start, whatever happened
// to it before the last one.
func TestImageCacheReadsUnchangedFilesOnce(t *testing.T) {
	defer func(was time.Duration) { settles = was }(settles)
	settles = -time.Hour
	p := sameSizeFolder(t)
	x, _, _ := p.check(t, CacheConfig{})
	if x.Items[0].Mark.Identity == "" {
		t.Skip("this file system identifies no files")
	}
	must(t, os.Rename(x.Items[0].Path, filepath.Join(p.dir, "a", "renamed.png")), os.Chtimes(x.Items[1].Path, time.Now(), time.Now()))
	p.check(t, CacheConfig{})
	y, err := Scan(p.dir)
	must(t, err)
	ic, err := y.OpenCache(p.o, CacheConfig{Dir: p.caches})
	must(t, err)
	defer ic.Close()
	for i := range y.Items {
		if q, _ := ic.find(&y.Items[i]); q == nil {
			t.Errorf("%s is read again", y.Items[i].Name)
		}
	}
	// The marks are in a file of their own, which may be missing or damaged.
	path := filepath.Join(ic.Dir, marksFile)
	must(t, os.WriteFile(path, []byte("residual marks 1 00000000\n{}"), 0o666))
	z, ic, _ := p.check(t, CacheConfig{})
	if s := ic.State(); s.Images != 24 || s.Added != 0 || len(s.Notes) != 1 || !strings.Contains(s.Notes[0], path) {
		t.Errorf("%+v", s)
	}
	checkMarks(t, z)
	if _, again, _ := p.check(t, CacheConfig{}); len(again.State().Notes) != 0 {
		t.Errorf("%+v", again.State())
	}
}

// A set notices that a file has changed even if its time has not.
func TestChangesWithoutANewTimeAreNoticed(t *testing.T) {
	for _, settled := range []bool{false, true} {
		defer func(was time.Duration) { settles = was }(settles)
		if settled {
			settles = -time.Hour
		}
		p := sameSizeFolder(t)
		x, _, _ := checked(t, p.dir)
		s, err := x.Set("train", Options{Size: 16, CacheBytes: -1})
		must(t, err)
		time.Sleep(20 * time.Millisecond)
		a, b := x.Items[0].Path, x.Items[12].Path
		must(t, os.Rename(a, a+".x"), os.Rename(b, a), os.Rename(a+".x", b))
		if _, _, err := s.Image(0); !errors.Is(err, ErrChanged) {
			t.Errorf("settled %v: %v", settled, err)
		}
		changes(t, x, a+": has changed", b+": has changed")
		if again, err := x.ChangedMeanwhile(context.Background()); err != nil || settled && x.Items[0].Mark.Identity != "" && len(again) != 2 {
			t.Errorf("ChangedMeanwhile: %q, %v", again, err)
		}
	}
}

// A forged cache file with correct CRCs is refused if its index has impossible values.
func TestForgedImageCache(t *testing.T) {
	for name, forge := range map[string]func(index map[string]any, one map[string]any){
		"no image":      func(index, _ map[string]any) { index["pictures"] = []any{nil} },
		"channels":      func(_, one map[string]any) { one["channels"] = 1; one["colours"] = bytes.Repeat([]byte{1}, side*side) },
		"no colours":    func(_, one map[string]any) { one["colours"] = []byte{} },
		"few rises":     func(_, one map[string]any) { one["rises"] = []int{1} },
		"no height":     func(_, one map[string]any) { one["height"] = 0 },
		"huge":          func(_, one map[string]any) { one["height"], one["width"] = 1<<40, 1<<40 },
		"another shape": func(_, one map[string]any) { one["height"] = 2 * one["height"].(float64) },
		"small form":    func(_, one map[string]any) { one["forms"].([]any)[formSmall].(map[string]any)["height"] = 2 },
		"beyond":        func(_, one map[string]any) { one["forms"].([]any)[formSmall].(map[string]any)["at"] = 1 << 40 },
		"before":        func(_, one map[string]any) { one["forms"].([]any)[formSmall].(map[string]any)["at"] = -5 },
		"no digest":     func(_, one map[string]any) { one["mark"].(map[string]any)["SHA256"] = "" },
		"no images":     func(index, _ map[string]any) { index["pictures"] = 3 },
	} {
		t.Run(name, func(t *testing.T) {
			p := newCachedFolder(t)
			_, ic, _ := p.check(t, CacheConfig{})
			ic.Close()
			file := p.files(t)[0]
			f, err := os.OpenFile(file, os.O_RDWR, 0)
			must(t, err)
			st, err := f.Stat()
			must(t, err)
			text, err := (&cacheFile{path: file, f: f, size: st.Size()}).index()
			must(t, err)
			var index map[string]any
			must(t, json.Unmarshal(text, &index))
			forge(index, index["pictures"].([]any)[0].(map[string]any))
			forged, err := json.Marshal(index)
			must(t, err)
			at := st.Size() - int64(cacheTrailer) - int64(len(text))
			w := cacheWriter{f: f, at: at}
			must(t, f.Truncate(at))
			must(t, w.end(forged), f.Close())
			x, ic, _ := p.check(t, CacheConfig{})
			if s := ic.State(); s.Added != 40 || len(s.Notes) != 1 || !strings.Contains(s.Notes[0], file) {
				t.Errorf("%+v", s)
			}
			p.samePixels(t, x, ic)
		})
	}
}

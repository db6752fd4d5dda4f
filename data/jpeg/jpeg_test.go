package jpeg

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"image"
	"math/rand/v2"
	"os"
	"runtime"
	"strings"
	"testing"
)

// file is an entry of testdata/jpegs.json.
type file struct {
	Name, Content, Mode, CRC string
	Width, Height            int
}

func files(t testing.TB) []file {
	t.Helper()
	text, err := os.ReadFile("testdata/jpegs.json")
	if err != nil {
		t.Fatal(err)
	}
	var all []file
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	if len(all) != 198 {
		t.Fatalf("%d files", len(all))
	}
	return all
}

func (f file) content(t testing.TB) []byte {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(f.Content)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Every file has the same pixels as in Pillow, to the bit.
func TestPixelsMatchPillow(t *testing.T) {
	for _, f := range files(t) {
		p, err := Decode(f.content(t))
		if f.CRC == "" {
			if !errors.Is(err, ErrUnsupported) {
				t.Errorf("%s: %v, want ErrUnsupported", f.Name, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", f.Name, err)
			continue
		}
		if p.Width != f.Width || p.Height != f.Height || (p.Channels == 1) != (f.Mode == "L") {
			t.Errorf("%s: [%d, %d, %d], want %dx%d of %s", f.Name, p.Channels, p.Height, p.Width, f.Width, f.Height, f.Mode)
		}
		if crc := fmt.Sprintf("%08x", crc32.ChecksumIEEE(p.Pix)); crc != f.CRC {
			t.Errorf("%s: pixels %s, Pillow has %s", f.Name, crc, f.CRC)
		}
		i, err := Inspect(f.content(t))
		if err != nil || i.Width != f.Width || i.Height != f.Height || i.Bytes < int64(len(p.Pix)) || i.Progressive != strings.HasPrefix(f.Name, "progressive") {
			t.Errorf("%s: %+v, %v", f.Name, i, err)
		}
	}
}

// A part has the same pixels as the full image.
func TestDecodePart(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, f := range files(t) {
		content := f.content(t)
		full, err := Decode(content)
		if err != nil {
			continue
		}
		for range 20 {
			x, y := r.IntN(f.Width), r.IntN(f.Height)
			part := image.Rect(x, y, x+1+r.IntN(f.Width-x), y+1+r.IntN(f.Height-y))
			p, err := DecodePart(t.Context(), content, func(w, h int) image.Rectangle {
				if w != f.Width || h != f.Height {
					t.Errorf("%s: chooses from %dx%d", f.Name, w, h)
				}
				return part
			})
			if err != nil || p.Width != part.Dx() || p.Height != part.Dy() {
				t.Fatalf("%s: part %v is %dx%d, %v", f.Name, part, p.Width, p.Height, err)
			}
			for c := range p.Channels {
				for y := range p.Height {
					want := full.Pix[(c*f.Height+part.Min.Y+y)*f.Width+part.Min.X:][:p.Width]
					if got := p.Pix[(c*p.Height+y)*p.Width:][:p.Width]; !bytes.Equal(got, want) {
						t.Fatalf("%s: part %v differs in channel %d, row %d: %v, want %v", f.Name, part, c, y, got, want)
					}
				}
			}
		}
		for _, bad := range []image.Rectangle{{}, image.Rect(0, 0, f.Width+1, 1), image.Rect(-1, 0, 1, 1)} {
			if _, err := DecodePart(t.Context(), content, func(int, int) image.Rectangle { return bad }); err == nil {
				t.Errorf("%s: part %v is decoded", f.Name, bad)
			}
		}
	}
}

func named(t testing.TB, name string) []byte {
	t.Helper()
	for _, f := range files(t) {
		if f.Name == name {
			return f.content(t)
		}
	}
	t.Fatalf("no file %s", name)
	return nil
}

// A file that is cut anywhere before its end is an error.
func TestCutFiles(t *testing.T) {
	for _, name := range []string{"2x2 37x29", "progressive 2x2", "restart 7B", "a scan for each colour"} {
		content := named(t, name)
		for n := range len(content) - 2 {
			if _, err := Decode(content[:n]); err == nil {
				t.Fatalf("%s: the first %d of %d bytes are decoded", name, n, len(content))
			}
		}
	}
}

func TestErrorsAreNamed(t *testing.T) {
	good := named(t, "2x2 37x29")
	change := func(marker byte, offset int, v byte) []byte {
		b := bytes.Clone(good)
		i := bytes.Index(b, []byte{0xff, marker})
		b[i+offset] = v
		return b
	}
	for want, content := range map[string][]byte{
		"does not begin":           []byte("GIF89a"),
		"samples of 12 bits":       change(0xc0, 4, 12),
		"5 colours":                append([]byte("\xff\xd8\xff\xc0\x00\x17\x08\x00\x01\x00\x01\x05"), make([]byte, 15)...),
		": lossless coding":        change(0xc0, 1, 0xc3),
		": arithmetic coding":      change(0xc0, 1, 0xc9),
		": hierarchical coding":    change(0xc0, 1, 0xc5),
		"height comes after":       append([]byte("\xff\xd8\xff\xc0\x00\x0b\x08\x00\x00\x00\x01\x01"), 1, 0x11, 0),
		"sampled 5x2":              change(0xc0, 11, 0x52),
		"table of codes is miss":   change(0xda, 6, 0x33),
		"quantization table 3":     change(0xc0, 12, 3),
		"more codes of 1 bits":     bytes.Replace(good, []byte{0, 0, 1, 5, 1}, []byte{0, 5, 1, 0, 1}, 1),
		"scan of colour 9":         change(0xda, 5, 9),
		"a scan header of 0 bytes": append(bytes.Clone(good[:bytes.Index(good, []byte{0xff, 0xda})]), 0xff, 0xda, 0, 2),
	} {
		if _, err := Decode(content); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}

// A decoder gives the right pixels when it is reused, also after a damaged file.
func TestDecodersAreReused(t *testing.T) {
	all := files(t)
	r := rand.New(rand.NewPCG(5, 6))
	for range 2000 {
		f := all[r.IntN(len(all))]
		content := f.content(t)
		if r.IntN(3) == 0 {
			content[r.IntN(len(content))] ^= byte(1 << r.IntN(8))
			Decode(content)
			continue
		}
		if p, err := Decode(content); f.CRC != "" && (err != nil || fmt.Sprintf("%08x", crc32.ChecksumIEEE(p.Pix)) != f.CRC) {
			t.Fatalf("%s: differs, %v", f.Name, err)
		}
	}
}

// FuzzDecode checks that no file causes a panic or needs more memory than its size allows.
func FuzzDecode(f *testing.F) {
	for _, one := range files(f) {
		f.Add(one.content(f))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		i, err := Inspect(content)
		w, h := i.Width, i.Height
		if err != nil || w*h > 1<<16 {
			return
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		p, err := Decode(content)
		runtime.ReadMemStats(&after)
		if limit := uint64(2<<20+16*len(content)) + 2*uint64(i.Bytes); after.TotalAlloc-before.TotalAlloc > limit {
			t.Errorf("%d bytes of %dx%d take %d bytes of memory", len(content), w, h, after.TotalAlloc-before.TotalAlloc)
		}
		if err == nil && (p.Width != w || p.Height != h || len(p.Pix) != p.Channels*w*h) {
			t.Errorf("%dx%d became %dx%d", w, h, p.Width, p.Height)
		}
		part, err2 := DecodePart(t.Context(), content, func(w, h int) image.Rectangle { return image.Rect(w/3, h/3, w/3+1, h/3+1) })
		if (err == nil) != (err2 == nil) {
			t.Errorf("the full image: %v, a part: %v", err, err2)
		}
		if err == nil && part.Pix[0] != p.Pix[h/3*w+w/3] {
			t.Errorf("a part differs")
		}
	})
}

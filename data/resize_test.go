package data

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"testing"
)

// pillowPixels repeats the formula of testdata/pillow.py.
func pillowPixels(n int, kind string) []uint8 {
	out, x := make([]uint8, n), uint32(n)
	for i := range out {
		x = (x*1103515245 + 12345) & 0x7fffffff
		v := uint8(x >> 16)
		if kind == "edges" {
			v = 255 * (v & 1)
		}
		out[i] = v
	}
	return out
}

// guarded returns a slice of n bytes between guard bands, and a function that reports whether
// the bands are intact.
func guarded(n int) (dst []uint8, intact func() bool) {
	const band = 64
	buf := bytes.Repeat([]byte{0xa5}, n+2*band)
	guard := bytes.Repeat([]byte{0xa5}, band)
	return buf[band : band+n : band+n], func() bool {
		return bytes.Equal(buf[:band], guard) && bytes.Equal(buf[band+n:], guard)
	}
}

// pillow is the content of pillow.json, which testdata/pillow.py writes.
type pillow struct {
	Sweep, T10k string
	Cases       []struct {
		From, To                  [2]int // width, height
		Kind, SHA256, First, Last string
	}
}

func pillowFixture(t *testing.T) (p pillow) {
	t.Helper()
	text, err := os.ReadFile("testdata/pillow.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &p); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestResizeMatchesPillow(t *testing.T) {
	want := pillowFixture(t)
	if len(want.Cases) < 40 {
		t.Fatalf("only %d cases in testdata/pillow.json", len(want.Cases))
	}
	for _, c := range want.Cases {
		t.Run(fmt.Sprintf("%dx%d to %dx%d %s", c.From[0], c.From[1], c.To[0], c.To[1], c.Kind), func(t *testing.T) {
			src := pillowPixels(c.From[0]*c.From[1], c.Kind)
			dst, intact := guarded(c.To[0] * c.To[1])
			ResizeBilinear(dst, c.To[0], c.To[1], src, c.From[0], c.From[1])
			if !intact() {
				t.Error("wrote outside its slice")
			}
			n := min(24, len(dst))
			if got := hex.EncodeToString(dst[:n]); got != c.First {
				t.Errorf("begins with %s, want %s", got, c.First)
			}
			if got := hex.EncodeToString(dst[len(dst)-n:]); got != c.Last {
				t.Errorf("ends with %s, want %s", got, c.Last)
			}
			if sum := sha256.Sum256(dst); hex.EncodeToString(sum[:]) != c.SHA256 {
				t.Errorf("digest of the pixels is %x, want %s", sum, c.SHA256)
			}
		})
	}
	sweep := sha256.New()
	for s := 1; s < 49; s++ {
		src := pillowPixels(s*s, "noise")
		for d := 1; d < 49; d++ {
			dst := make([]uint8, d*d)
			ResizeBilinear(dst, d, d, src, s, s)
			sweep.Write(dst)
		}
	}
	if got := hex.EncodeToString(sweep.Sum(nil)); got != want.Sweep {
		t.Errorf("digest of all sizes 1..48 to 1..48 is %s, want %s", got, want.Sweep)
	}
}

func TestResizeRefuses(t *testing.T) {
	for name, f := range map[string]func(){
		"short source":      func() { ResizeBilinear(make([]uint8, 4), 2, 2, make([]uint8, 8), 3, 3) },
		"long destination":  func() { ResizeBilinear(make([]uint8, 5), 2, 2, make([]uint8, 9), 3, 3) },
		"no width":          func() { ResizeBilinear(nil, 0, 2, make([]uint8, 9), 3, 3) },
		"negative view":     func() { Resize(garments{size: 1}, -1) },
		"short view buffer": func() { Resize(garments{size: 1}, 96).Get(0, make([]uint8, 784)) },
		"index":             func() { Resize(garments{size: 1}, 96).Get(1, make([]uint8, 96*96)) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			f()
		}()
	}
}

// colours is a data set whose images have three planes, each with a constant of its own plus
// the index of the image.
type colours struct{ n int }

func (c colours) Info() Info {
	return Info{Name: "colours", Classes: []string{"a"}, Channels: 3, Height: 4, Width: 6}
}
func (c colours) Len() int { return c.n }
func (c colours) Get(i int, pix []uint8) (int, error) {
	for p := range 3 {
		for j := range 24 {
			pix[p*24+j] = uint8(50*p + i)
		}
	}
	return 0, nil
}

func TestResizeView(t *testing.T) {
	ds := garments{size: 4}
	if Resize(ds, 0) != Dataset(ds) || Resize(ds, 28) != Dataset(ds) {
		t.Error("size 0 or the present size does not return the data set itself")
	}
	view := Resize(ds, 96)
	if in := view.Info(); in.Height != 96 || in.Width != 96 || in.Channels != 1 || len(in.Classes) != 10 || view.Len() != 4 {
		t.Fatalf("view is %+v with %d images", in, view.Len())
	}
	small, big, want := make([]uint8, 784), make([]uint8, 96*96), make([]uint8, 96*96)
	for i := range 4 {
		a, _ := ds.Get(i, small)
		b, err := view.Get(i, big)
		ResizeBilinear(want, 96, 96, small, 28, 28)
		if err != nil || a != b || !bytes.Equal(big, want) {
			t.Fatalf("image %d of the view differs from ResizeBilinear (labels %d %d, error %v)", i, a, b, err)
		}
	}
	pix := make([]uint8, 3*25)
	if _, err := Resize(colours{9}, 5).Get(7, pix); err != nil {
		t.Fatal(err)
	}
	for j, v := range pix {
		if int(v) != 50*(j/25)+7 {
			t.Fatalf("plane %d, byte %d is %d: channels are mixed", j/25, j%25, v)
		}
	}
	if n := testing.AllocsPerRun(50, func() { view.Get(1, big) }); n > 15 {
		t.Errorf("Get of the view allocates %v times", n) // drawing allocates outlines, resizing nothing
	}
	inMemory := Resize(&memory{view.(resizedImages).ds.Info(), make([]uint8, 784), []uint8{0}}, 96)
	if n := testing.AllocsPerRun(50, func() { inMemory.Get(0, big) }); n > 0.5 && !raceEnabled {
		t.Errorf("resizing an image allocates %v times", n)
	}
}

func BenchmarkResize(b *testing.B) {
	for _, size := range []int{96, 224, 14} {
		b.Run(fmt.Sprint("28to", size), func(b *testing.B) {
			ds := Resize(&memory{garments{}.Info(), pillowPixels(784, "noise"), []uint8{0}}, size)
			pix := make([]uint8, size*size)
			b.ReportAllocs()
			for b.Loop() {
				ds.Get(0, pix)
			}
		})
	}
}

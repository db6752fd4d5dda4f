package folder

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/data/photo"
	"github.com/residual-ml/residual/data/transforms"
)

// sizedPhotos writes square images with these sides, alternating between two classes. It
// returns how many bytes decoding the first and the last one takes.
func sizedPhotos(t *testing.T, dir string, sides ...int) (first, last int64) {
	t.Helper()
	for i, side := range sides {
		img := image.NewRGBA(image.Rect(0, 0, side, side))
		for y := range side {
			for x := range side {
				img.Set(x, y, color.RGBA{uint8(x * (i + 3)), uint8(y*5 + i*40), uint8(x*y + i), 255})
			}
		}
		var b bytes.Buffer
		if err := jpeg.Encode(&b, img, nil); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, string(rune('a'+i%2)), fmt.Sprintf("%02d.jpg", i))
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, b.Bytes(), 0o666); err != nil {
			t.Fatal(err)
		}
		last = photo.DecodingBytes(b.Bytes(), photo.Options{})
		if i == 0 {
			first = last
		}
	}
	return first, last
}

// checkReleased fails the test if a part of the budget is still in use although nothing is read.
func checkReleased(t *testing.T, o Options, path string) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second) // otherwise a failure would hang
	defer cancel()
	release, err := o.Memory.Hold(content, photo.Options{Context: ctx})
	if err != nil {
		t.Fatalf("a part of the budget was not given back: %v", err)
	}
	release()
}

// The images that are decoded at once stay within the budget for any number of goroutines, and
// an image that is larger than the budget is still read.
func TestDecodingStaysWithinItsBudget(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(16))
	dir := t.TempDir()
	sides := make([]int, 40)
	for i := range sides {
		sides[i] = 96
	}
	one, large := sizedPhotos(t, dir, append(sides, 400)...)
	if large < 4*one {
		t.Fatalf("%d bytes and %d", one, large)
	}
	biggest := filepath.Join(dir, "a", "40.jpg")
	x, err := Scan(dir)
	if err != nil {
		t.Fatal(err)
	}
	limit := max(3*one+one/2, large)
	for name, read := range map[string]func(o Options, i int) error{
		"Check": func(o Options, i int) error {
			if i > 0 {
				return nil
			}
			r, _, err := x.Check(t.Context(), o, nil)
			if err == nil && len(r.Broken) > 0 {
				err = fmt.Errorf("%+v", r.Broken)
			}
			return err
		},
		"Get":   nil,
		"Image": nil,
		"Part":  nil,
		"Lend":  nil,
	} {
		o := Options{Size: 32, CacheBytes: -1, Memory: photo.NewBudget(3*one + one/2)}
		s, err := x.Set(data.Train, o)
		if err != nil {
			t.Fatal(err)
		}
		switch name {
		case "Get":
			read = func(_ Options, i int) error { _, err := s.Get(i, make([]uint8, 3*32*32)); return err }
		case "Image":
			read = func(_ Options, i int) error { _, _, err := s.Image(i); return err }
		case "Part":
			read = func(_ Options, i int) error {
				_, _, err := s.Part(i, func(h, w int) transforms.Crop { return transforms.Crop{Height: 5, Width: 7} })
				return err
			}
		case "Lend":
			read = func(_ Options, i int) error {
				_, err := s.Lend(i, func(transforms.Image) {
					if m := o.Memory.Peak(); m > limit {
						t.Errorf("%d bytes are in use while an image is lent", m)
					}
				})
				return err
			}
		}
		var all sync.WaitGroup
		for i := range x.Items {
			all.Go(func() {
				if err := read(o, i); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			})
		}
		all.Wait()
		if m := o.Memory.Peak(); m < large || m > limit {
			t.Errorf("%s: %d bytes were decoded at once; one image takes %d, the largest %d, and the budget is %d", name, m, one, large, 3*one+one/2)
		}
		checkReleased(t, o, biggest)
	}
}

// An image counts against the budget as long as it is lent.
func TestLentImagesCountAgainstTheBudget(t *testing.T) {
	dir := t.TempDir()
	sizedPhotos(t, dir, 64, 64)
	x, err := Scan(dir)
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Size: 32, CacheBytes: -1, Memory: photo.NewBudget(1)}
	s, err := x.Set(data.Train, o)
	if err != nil {
		t.Fatal(err)
	}
	path := s.Items()[0].Path
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	label, err := s.Lend(1, func(m transforms.Image) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := o.Memory.Hold(content, photo.Options{Context: ctx}); err != context.DeadlineExceeded || m.Height != 64 {
			t.Errorf("[%d, %d] is lent, and another decoded beside it: %v", m.Height, m.Width, err)
		}
	})
	if err != nil || label != s.Items()[1].Label {
		t.Errorf("label %d, %v", label, err)
	}
	checkReleased(t, o, path)
}

// An image that cannot be read releases its part of the budget.
func TestBrokenImagesReleaseTheBudget(t *testing.T) {
	dir := t.TempDir()
	sizedPhotos(t, dir, 64, 64, 64, 64)
	cut := filepath.Join(dir, "a", "02.jpg")
	content, err := os.ReadFile(cut)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(cut, content[:len(content)/2], 0o666); err != nil {
		t.Fatal(err)
	}
	x, err := Scan(dir)
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Size: 32, Memory: photo.NewBudget(1), MaxPixels: 64 * 64}
	r, _, err := x.Check(t.Context(), o, nil)
	if err != nil || len(r.Broken) != 1 || r.Broken[0].Pixels != 0 {
		t.Fatalf("%+v, %v", r.Broken, err)
	}
	checkReleased(t, o, filepath.Join(dir, "a", "00.jpg"))
	o.MaxPixels--
	if r, _, err = x.Check(t.Context(), o, nil); err != nil || len(r.Broken) != 4 || r.Broken[0].Pixels != 64*64 {
		t.Errorf("%+v, %v", r.Broken, err)
	}
}

// An image that is not read because the context has ended is not a broken image, and no other
// one takes its place.
func TestContextEndsReading(t *testing.T) {
	dir := t.TempDir()
	sizedPhotos(t, dir, 64, 64, 64, 64)
	x, err := Scan(dir)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	s, err := x.Set(data.Train, Options{Size: 32, Context: ctx, Broken: func(name string, err error) { t.Errorf("%s is broken: %v", name, err) }})
	if err != nil {
		t.Fatal(err)
	}
	pix := make([]uint8, 3*32*32)
	if _, err := s.Get(0, pix); err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := s.Get(0, pix); err != nil {
		t.Errorf("a cached image: %v", err)
	}
	for i := 1; i < s.Len(); i++ {
		if _, err := s.Get(i, pix); !errors.Is(err, context.Canceled) {
			t.Errorf("image %d: %v", i, err)
		}
		if _, _, err := s.Image(i); !errors.Is(err, context.Canceled) {
			t.Errorf("image %d: %v", i, err)
		}
		if _, _, err := s.Part(i, func(h, w int) transforms.Crop { return transforms.Crop{Height: 5, Width: 7} }); !errors.Is(err, context.Canceled) {
			t.Errorf("image %d: %v", i, err)
		}
	}
	if _, _, err := x.Check(ctx, Options{}, nil); err != context.Canceled {
		t.Errorf("check: %v", err)
	}
}

var _ data.ImageLender = (*Set)(nil)

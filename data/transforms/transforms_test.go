package transforms

import (
	"bytes"
	"image"
	"image/color"
	"math/rand/v2"
	"testing"
)

func TestResizeToBothSides(t *testing.T) {
	m := testImage(7)
	got := Resize{Height: 31, Width: 57}.Apply(m, nil)
	if got.Channels != 3 || got.Height != 31 || got.Width != 57 {
		t.Fatalf("[%d, %d, %d]", got.Channels, got.Height, got.Width)
	}
	plane := make([]uint8, 31*57)
	r := NewResampler(57, 31, m.Width, m.Height, Bilinear)
	r.Plane(plane, m.plane(2), r.Scratch())
	if !bytes.Equal(plane, got.plane(2)) {
		t.Error("the third channel is not the resized third plane: channels are mixed")
	}
	if same := (Resize{Height: m.Height, Width: m.Width}).Apply(m, nil); !bytes.Equal(same.Pix, m.Pix) {
		t.Error("resizing to the present size changed an image")
	}
}

// A window has the same pixels as that part of the resized image, whichever sides change.
func TestWindows(t *testing.T) {
	m := testImage(3)
	m = m.crop(0, 0, 40, 50)
	for _, f := range []Interpolation{Bilinear, Bicubic} {
		for _, to := range [][2]int{{50, 40}, {50, 23}, {90, 40}, {21, 77}, {51, 41}, {7, 5}} {
			r := NewResampler(to[0], to[1], 50, 40, f)
			full := m.resample(r)
			for left := 0; left < to[0]; left += 1 + to[0]/4 {
				for top := 0; top < to[1]; top += 1 + to[1]/4 {
					w, h := (to[0]-left+1)/2, (to[1]-top+1)/2
					got := m.resample(newWindow(to[0], to[1], 50, 40, f, left, top, w, h))
					if want := full.crop(top, left, h, w); !bytes.Equal(got.Pix, want.Pix) {
						t.Errorf("%v to %v: the window %d by %d from %d, %d differs", f, to, w, h, left, top)
					}
				}
			}
		}
	}
}

// An image of one row and a million columns costs only as much as its crop.
func TestThinImage(t *testing.T) {
	m := NewImage(1, 1, 1_000_000)
	for i := range m.Pix {
		m.Pix[i] = uint8(i)
	}
	got := ImageClassification{ResizeSize: 8, CropSize: 8}.Pixels(m)
	if got.Height != 8 || got.Width != 8 || !bytes.Equal(got.Pix[:8], got.Pix[56:]) {
		t.Errorf("%v", got)
	}
}

// stamp is a transform that writes a random number into the first pixel.
type stamp struct{}

func (stamp) Apply(m Image, r rand.Source) Image {
	out := NewImage(m.Channels, m.Height, m.Width)
	copy(out.Pix, m.Pix)
	out.Pix[0] = uint8(r.Uint64())
	return out
}

func TestComposePassesRand(t *testing.T) {
	m := testImage(1)
	run := func() Image {
		return Compose{stamp{}, CenterCrop{Size: 9}, stamp{}}.Apply(m, rand.NewPCG(1, 2))
	}
	if a, b := run(), run(); !bytes.Equal(a.Pix, b.Pix) || a.Height != 9 {
		t.Error("the same random numbers gave other images")
	}
	if got := (Compose{}).Apply(m, nil); !bytes.Equal(got.Pix, m.Pix) {
		t.Error("no transforms changed an image")
	}
}

func TestFromImage(t *testing.T) {
	rgba := image.NewNRGBA(image.Rect(3, 5, 5, 6))
	rgba.SetNRGBA(3, 5, color.NRGBA{10, 20, 30, 255})
	rgba.SetNRGBA(4, 5, color.NRGBA{200, 100, 50, 7})
	if got := FromImage(rgba, 3); got.Height != 1 || got.Width != 2 || !bytes.Equal(got.Pix, []uint8{10, 200, 20, 100, 30, 50}) {
		t.Errorf("colours %v", got)
	}
	// Pillow: (10*19595 + 20*38470 + 30*7471 + 0x8000) >> 16 and so on.
	if got := FromImage(rgba, 1); !bytes.Equal(got.Pix, []uint8{18, 124}) {
		t.Errorf("grey %v", got)
	}
	grey := image.NewGray(image.Rect(0, 0, 4, 4)).SubImage(image.Rect(1, 2, 3, 4)).(*image.Gray)
	grey.SetGray(2, 3, color.Gray{77})
	if got := FromImage(grey, 3); !bytes.Equal(got.Pix, []uint8{0, 0, 0, 77, 0, 0, 0, 77, 0, 0, 0, 77}) {
		t.Errorf("grey as colours %v", got)
	}
}

func TestPanics(t *testing.T) {
	m := testImage(1)
	for name, f := range map[string]func(){
		"no size":                  func() { Resize{}.Apply(m, nil) },
		"one side":                 func() { Resize{Height: 3}.Apply(m, nil) },
		"size and sides":           func() { Resize{Size: 1, Height: 3, Width: 3}.Apply(m, nil) },
		"negative size":            func() { Resize{Size: -1}.Apply(m, nil) },
		"no crop":                  func() { CenterCrop{}.Apply(m, nil) },
		"crop and sides":           func() { CenterCrop{Size: 1, Width: 2}.Apply(m, nil) },
		"missing pixels":           func() { CenterCrop{Size: 1}.Apply(Image{1, 2, 2, make([]uint8, 3)}, nil) },
		"no image":                 func() { NewImage(1, 0, 3) },
		"mean of another image":    func() { Normalize{Mean: []float64{1, 2}}.Apply(m) },
		"short slice":              func() { Normalize{}.Write(make([]float32, 3), m) },
		"two channels of an image": func() { FromImage(image.NewGray(image.Rect(0, 0, 1, 1)), 2) },
		"an empty resampler":       func() { NewResampler(1, 1, 0, 1, Bilinear) },
		"a short plane": func() {
			r := NewResampler(1, 1, 2, 2, Bilinear)
			r.Plane(make([]uint8, 1), make([]uint8, 3), r.Scratch())
		},
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

func BenchmarkImageClassification(b *testing.B) {
	m := NewImage(3, 375, 500) // the usual size of ImageNet's images
	for i := range m.Pix {
		m.Pix[i] = uint8(mixed(uint32(i)))
	}
	for _, f := range []Interpolation{Bilinear, Bicubic} {
		b.Run(f.String(), func(b *testing.B) {
			p := ImageClassification{Interpolation: f}
			for b.Loop() {
				p.Apply(m)
			}
		})
	}
}

// FromImage gives back the image that ToImage converted.
func TestToImage(t *testing.T) {
	for _, channels := range []int{1, 3} {
		m := NewImage(channels, 5, 7)
		for i := range m.Pix {
			m.Pix[i] = uint8(i * 37)
		}
		if got := FromImage(ToImage(m), channels); got.Height != 5 || got.Width != 7 || !bytes.Equal(got.Pix, m.Pix) {
			t.Errorf("%d channels: %v became %v", channels, m, got)
		}
	}
}

// A transparent pixel has the colour that is stored for it, in every type of image that stores
// one.
func TestFromImageLeavesOutTransparency(t *testing.T) {
	r := image.Rect(3, 5, 4, 6)
	clear, deep := color.NRGBA{200, 120, 40, 0}, color.NRGBA64{200 * 257, 120 * 257, 40 * 257, 0}
	nrgba, nrgba64 := image.NewNRGBA(r), image.NewNRGBA64(r)
	nrgba.SetNRGBA(3, 5, clear)
	nrgba64.SetNRGBA64(3, 5, deep)
	ycc := image.NewNYCbCrA(r, image.YCbCrSubsampleRatio444)
	ycc.Y[0], ycc.Cb[0], ycc.Cr[0] = color.RGBToYCbCr(200, 120, 40)
	for name, img := range map[string]image.Image{
		"NRGBA": nrgba, "NRGBA64": nrgba64, "NYCbCrA": ycc,
		"Paletted": image.NewPaletted(r, color.Palette{clear}),
		"At":       struct{ image.Image }{nrgba}, "At of 16 bits": struct{ image.Image }{nrgba64}, "At of NYCbCrA": struct{ image.Image }{ycc},
	} {
		m := FromImage(img, 3)
		for c, want := range []int{200, 120, 40} {
			if d := int(m.Pix[c]) - want; d < -1 || d > 1 { // YCbCr is rounded
				t.Errorf("%s: %d, want 200, 120, 40", name, m.Pix)
				break
			}
		}
	}
}

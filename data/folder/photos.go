package folder

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/residual-ml/residual/data/transforms"
	"github.com/residual-ml/residual/internal/rng"
)

// PhotoConfig configures MakePhotos. The zero value asks for 200 images of ImageNet's usual
// size.
type PhotoConfig struct {
	Count         int // the number of images; 0 means 200
	Width, Height int // pixels; 0 means 500 and 375
	Classes       int // the number of folders; 0 means 10
	Quality       int // the JPEG quality, 1 to 100; 0 means 90
	Seed          uint64
}

func (c *PhotoConfig) defaults() error {
	for _, f := range []struct {
		v   *int
		d   int
		max int
	}{{&c.Count, 200, 1 << 20}, {&c.Width, 500, 1 << 13}, {&c.Height, 375, 1 << 13}, {&c.Classes, 10, 1000}, {&c.Quality, 90, 100}} {
		if *f.v == 0 {
			*f.v = f.d
		}
		if *f.v < 1 || *f.v > f.max {
			return fmt.Errorf("%d photos of %dx%d in %d classes at quality %d: one of these is out of range", c.Count, c.Width, c.Height, c.Classes, c.Quality)
		}
	}
	return nil
}

// MakePhotos writes JPEG files for measuring the speed of decoding. The images show nothing
// meaningful but take as long to decode as photos. Like photos they have about the same
// contrast in every octave of spatial frequencies (Field 1987,
// https://doi.org/10.1364/JOSAA.4.002379), sharp and blurred regions, edges, and the noise of a
// camera. Chroma has half the resolution in both directions, as cameras write it. The folder
// must be new or empty. The same settings give the same images.
func MakePhotos(ctx context.Context, dir string, c PhotoConfig) error {
	if err := c.defaults(); err != nil {
		return err
	}
	if err := untouched(dir); err != nil {
		return err
	}
	var next atomic.Int64
	var first error
	var once sync.Once
	var wg sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), c.Count) {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= c.Count {
					return
				}
				err := ctx.Err()
				if err == nil {
					err = c.write(dir, i)
				}
				if err != nil {
					once.Do(func() { first = err })
					return
				}
			}
		})
	}
	wg.Wait()
	return first
}

func (c PhotoConfig) write(dir string, i int) error {
	class := filepath.Join(dir, fmt.Sprintf("%03d", i%c.Classes))
	if err := os.MkdirAll(class, 0o777); err != nil {
		return err
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, c.scene(i), &jpeg.Options{Quality: c.Quality}); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(class, fmt.Sprintf("%05d.jpg", i)), b.Bytes(), 0o666)
}

// raster is one plane of an image, in float64, while it is computed.
type raster struct {
	w, h int
	v    []float64
}

// add adds noise with details of a given size in pixels, multiplied by gain at each pixel.
func (f raster) add(r *rand.Rand, detail int, amplitude float64, gain func(i int) float64) {
	gw := f.w/detail + 2
	grid := make([]float64, gw*(f.h/detail+2))
	for i := range grid {
		grid[i] = amplitude * (r.Float64() + r.Float64() + r.Float64() - 1.5) * 2 // nearly a normal distribution with variance 1
	}
	for y := range f.h {
		gy, fy := y/detail, float64(y%detail)/float64(detail)
		for x := range f.w {
			gx, fx := x/detail, float64(x%detail)/float64(detail)
			g := grid[gy*gw+gx:]
			top := float64(g[0]*(1-fx)) + float64(g[1]*fx)
			bottom := float64(g[gw]*(1-fx)) + float64(g[gw+1]*fx)
			i := y*f.w + x
			f.v[i] += float64((float64(top*(1-fy)) + float64(bottom*fy)) * gain(i))
		}
	}
}

// scene draws image i.
func (c PhotoConfig) scene(i int) image.Image {
	var rnd transforms.Rand
	rnd.Image(c.Seed, 0, i)
	r := rng.Of(&rnd)
	everywhere := func(int) float64 { return 1 }
	layer := func() raster { return raster{c.Width, c.Height, make([]float64, c.Width*c.Height)} }
	sharp, luma, cb, cr := layer(), layer(), layer(), layer()
	sharp.add(r, 96, 0.9, everywhere)
	sharp.add(r, 32, 0.4, everywhere)
	focus := func(i int) float64 { return max(0, 0.8+sharp.v[i]) }
	for detail := 256; detail >= 1; detail /= 2 {
		gain := everywhere
		if detail < 32 {
			gain = focus
		}
		luma.add(r, detail, 17*min(1, float64(detail+1)/6), gain)
		if detail > 2 {
			cb.add(r, detail, 5, everywhere)
			cr.add(r, detail, 5, everywhere)
		}
	}
	// Ellipses of another brightness and colour make edges.
	for range 12 {
		x, y, turn := r.Float64()*float64(c.Width), r.Float64()*float64(c.Height), r.Float64()*2*math.Pi
		a, b := 10+r.Float64()*float64(c.Width)/4, 10+r.Float64()*float64(c.Height)/4
		tone, blue, red := 60*(r.Float64()-0.5), 24*(r.Float64()-0.5), 24*(r.Float64()-0.5)
		sin, cos := math.Sincos(turn)
		reach := max(a, b)
		for py := max(0, int(y-reach)); py < min(c.Height, int(y+reach)+2); py++ {
			for px := max(0, int(x-reach)); px < min(c.Width, int(x+reach)+2); px++ {
				dx, dy := float64(px)-x, float64(py)-y
				u, v := (float64(dx*cos)+float64(dy*sin))/a, (float64(dy*cos)-float64(dx*sin))/b
				if i := py*c.Width + px; float64(u*u)+float64(v*v) < 1 {
					luma.v[i] += tone
					cb.v[i] += blue
					cr.v[i] += red
				}
			}
		}
	}
	luma.add(r, 1, 1.5, everywhere) // the camera's noise
	m := image.NewYCbCr(image.Rect(0, 0, c.Width, c.Height), image.YCbCrSubsampleRatio444)
	put := func(dst []uint8, stride int, f raster, middle float64) {
		for i, v := range f.v {
			dst[i/c.Width*stride+i%c.Width] = uint8(max(0, min(255, math.Round(middle+v))))
		}
	}
	put(m.Y, m.YStride, luma, 120)
	put(m.Cb, m.CStride, cb, 128)
	put(m.Cr, m.CStride, cr, 128)
	out := image.NewRGBA(m.Rect) // image/jpeg encodes this type fastest, with chroma at half the resolution
	for y := range c.Height {
		for x := range c.Width {
			red, green, blue := color.YCbCrToRGB(m.Y[m.YOffset(x, y)], m.Cb[m.COffset(x, y)], m.Cr[m.COffset(x, y)])
			out.SetRGBA(x, y, color.RGBA{red, green, blue, 255})
		}
	}
	return out
}

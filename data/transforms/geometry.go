package transforms

import (
	"encoding/binary"
	"math/bits"
	"math/rand/v2"

	"github.com/residual-ml/residual/internal/rng"
	"github.com/residual-ml/residual/tensor"
)

// PaddingMode says how Pad fills a border.
type PaddingMode uint8

// These are torchvision's padding modes.
const (
	PadConstant  PaddingMode = iota // one colour
	PadEdge                         // the outermost pixel
	PadReflect                      // the mirrored image, without repeating the outermost pixel
	PadSymmetric                    // the mirrored image, which repeats the outermost pixel
)

// at returns the index in 0..n-1 of the pixel that fills position i, which may be outside
// that range, or -1 for the fill colour.
func (p PaddingMode) at(i, n int) int {
	if i >= 0 && i < n {
		return i
	}
	switch p {
	case PadConstant:
		return -1
	case PadEdge:
		return max(min(i, n-1), 0)
	case PadReflect:
		if n == 1 {
			return 0
		}
		period := 2 * (n - 1)
		i = ((i % period) + period) % period
		return min(i, period-i)
	case PadSymmetric:
		period := 2 * n
		i = ((i % period) + period) % period
		return min(i, period-1-i)
	}
	panic(tensor.Misusef("transforms: padding mode %d", uint8(p)))
}

// colourOf returns the byte of one channel of a fill colour, which has one byte per channel,
// one byte for all channels, or none for black.
func colourOf(op string, fill []uint8, channel, channels int) uint8 {
	switch len(fill) {
	case 0:
		return 0
	case 1:
		return fill[0]
	case channels:
		return fill[channel]
	}
	panic(tensor.Misusef("transforms.%s: a colour of %d channels for an image of %d", op, len(fill), channels))
}

// Pad adds borders.
type Pad struct {
	Left, Top, Right, Bottom int // pixels
	Mode                     PaddingMode
	Fill                     []uint8 // the colour of PadConstant: one byte per channel, or one for all; nil means black
}

// Apply implements Transform.
func (t Pad) Apply(m Image, _ rand.Source) Image {
	m.check("Pad")
	if min(t.Left, t.Top, t.Right, t.Bottom) < 0 {
		panic(tensor.Misusef("transforms.Pad: borders of %d, %d, %d and %d pixels; use Crop to cut", t.Left, t.Top, t.Right, t.Bottom))
	}
	out := NewImage(m.Channels, m.Height+t.Top+t.Bottom, m.Width+t.Left+t.Right)
	for c := range m.Channels {
		fill := colourOf("Pad", t.Fill, c, m.Channels)
		src, dst := m.plane(c), out.plane(c)
		for y := range out.Height {
			row := dst[y*out.Width:][:out.Width]
			sy := t.Mode.at(y-t.Top, m.Height)
			for x := range row {
				if sx := t.Mode.at(x-t.Left, m.Width); sx >= 0 && sy >= 0 {
					row[x] = src[sy*m.Width+sx]
				} else {
					row[x] = fill
				}
			}
		}
	}
	return out
}

// Crop cuts out Height by Width pixels from (Top, Left). Pixels outside the image are black.
type Crop struct{ Top, Left, Height, Width int }

// Apply implements Transform.
func (t Crop) Apply(m Image, _ rand.Source) Image {
	m.check("Crop")
	if t == (Crop{0, 0, m.Height, m.Width}) {
		return m
	}
	return m.crop(t.Top, t.Left, t.Height, t.Width)
}

// ResizedCrop crops an image and resizes the result to ToHeight by ToWidth pixels.
type ResizedCrop struct {
	Crop
	ToHeight, ToWidth int
	Interpolation     Interpolation
}

// Apply implements Transform.
func (t ResizedCrop) Apply(m Image, _ rand.Source) Image {
	return t.Resize().Apply(t.Crop.Apply(m, nil), nil)
}

// Resize returns the step that remains after the crop.
func (t ResizedCrop) Resize() Resize {
	return Resize{Height: t.ToHeight, Width: t.ToWidth, Interpolation: t.Interpolation}
}

// HorizontalFlip mirrors left and right.
type HorizontalFlip struct{}

// Apply implements Transform.
func (HorizontalFlip) Apply(m Image, _ rand.Source) Image {
	m.check("HorizontalFlip")
	out := NewImage(m.Channels, m.Height, m.Width)
	for at := 0; at < len(m.Pix); at += m.Width {
		src, dst := m.Pix[at:at+m.Width], out.Pix[at:at+m.Width]
		x := 0
		for ; x+8 <= len(src); x += 8 {
			v := bits.ReverseBytes64(binary.LittleEndian.Uint64(src[x:]))
			binary.LittleEndian.PutUint64(dst[len(dst)-8-x:], v)
		}
		for ; x < len(src); x++ {
			dst[len(dst)-1-x] = src[x]
		}
	}
	return out
}

// remap returns an image of h by w pixels whose pixel (y, x) is the pixel at index from(y, x),
// in each channel.
func (m Image) remap(h, w int, from func(y, x int) int) Image {
	out := NewImage(m.Channels, h, w)
	for y := range h {
		for x := range w {
			at := from(y, x)
			for c := range m.Channels {
				out.plane(c)[y*w+x] = m.plane(c)[at]
			}
		}
	}
	return out
}

// Erase fills a part of an image with a colour or with noise.
type Erase struct {
	Crop         // the part
	Fill []uint8 // the colour: one byte per channel, or one for all; nil means black
	// Noise, when not 0, is the seed of random bytes that are used instead of the colour.
	Noise uint64
}

// Apply implements Transform.
func (t Erase) Apply(m Image, _ rand.Source) Image {
	m.check("Erase")
	out := NewImage(m.Channels, m.Height, m.Width)
	copy(out.Pix, m.Pix)
	noise := rng.PCG(t.Noise, 0)
	for c := range m.Channels {
		fill, dst := colourOf("Erase", t.Fill, c, m.Channels), out.plane(c)
		for y := max(t.Top, 0); y < min(t.Top+t.Height, m.Height); y++ {
			for x := max(t.Left, 0); x < min(t.Left+t.Width, m.Width); x++ {
				if t.Noise != 0 {
					fill = uint8(noise.Uint64() >> 56)
				}
				dst[y*m.Width+x] = fill
			}
		}
	}
	return out
}

package transforms

import (
	"encoding/binary"
	"math/bits"
	"math/rand/v2"

	"github.com/residual-ml/residual/internal/rng"
	"github.com/residual-ml/residual/tensor"
)

// PaddingMode is what a border is made of.
type PaddingMode uint8

// torchvision's modes.
const (
	PadConstant  PaddingMode = iota // one colour
	PadEdge                         // the outermost pixel
	PadReflect                      // the image mirrored at the middle of that pixel
	PadSymmetric                    // the image mirrored at that pixel's outer edge
)

// at returns the pixel of a side of n that stands at i, below 0 or beyond n-1
// included; -1 for the colour.
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

// colourOf returns the byte of a channel: of none 0, of one that one.
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

// Pad adds borders, in pixels.
type Pad struct {
	Left, Top, Right, Bottom int
	Mode                     PaddingMode
	Fill                     []uint8 // the colour of PadConstant: by channel, or one for all; none is black
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

// Crop cuts Height by Width pixels from (Top, Left). What lies outside the image is
// black.
type Crop struct{ Top, Left, Height, Width int }

// Apply implements Transform.
func (t Crop) Apply(m Image, _ rand.Source) Image {
	m.check("Crop")
	if t == (Crop{0, 0, m.Height, m.Width}) {
		return m
	}
	return m.crop(t.Top, t.Left, t.Height, t.Width)
}

// ResizedCrop cuts a part out of an image and resizes it to ToHeight by ToWidth.
type ResizedCrop struct {
	Crop
	ToHeight, ToWidth int
	Interpolation     Interpolation
}

// Apply implements Transform.
func (t ResizedCrop) Apply(m Image, _ rand.Source) Image {
	return t.Resize().Apply(t.Crop.Apply(m, nil), nil)
}

// Resize is what is left to do when the part has been cut out.
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

// moved returns an image whose pixel (y, x) is pixel from(y, x) of each channel.
func (m Image) moved(h, w int, from func(y, x int) int) Image {
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

// Erase fills a part of an image: with a colour, or with noise.
type Erase struct {
	Crop         // the part
	Fill []uint8 // by channel, or one for all; none is black
	// Noise, when not 0, seeds bytes of any value, in place of the colour.
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

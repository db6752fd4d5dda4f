package transforms

import (
	"image"
	"image/color"

	"github.com/residual-ml/residual/tensor"
)

// FromImage converts an image to grey (1 channel) or to red, green and blue (3 channels).
// Grey is the luma of ITU-R 601 with Pillow's rounding, as convert("L") gives it.
// Transparency is ignored, as Pillow does: a transparent pixel has the colour that is stored
// for it, or black where the image stores colours multiplied by an alpha of 0. FromImage
// panics for another number of channels and for an image without pixels.
func FromImage(img image.Image, channels int) Image {
	if channels != 1 && channels != 3 {
		panic(tensor.Misusef("transforms.FromImage: %d channels; an image has 1 or 3", channels))
	}
	b := img.Bounds()
	m := NewImage(channels, b.Dy(), b.Dx())
	if g, ok := img.(*image.Gray); ok {
		for c := range channels {
			plane := m.plane(c)
			for y := range m.Height {
				copy(plane[y*m.Width:][:m.Width], g.Pix[g.PixOffset(b.Min.X, b.Min.Y+y):])
			}
		}
		return m
	}
	at := colours(img)
	area := m.Height * m.Width
	for y := range m.Height {
		for x := range m.Width {
			c := at(b.Min.X+x, b.Min.Y+y)
			i := y*m.Width + x
			if channels == 1 {
				m.Pix[i] = luma(c.R, c.G, c.B)
			} else {
				m.Pix[i], m.Pix[area+i], m.Pix[2*area+i] = c.R, c.G, c.B
			}
		}
	}
	return m
}

// As converts the image to 1 channel, which is the luma of FromImage, or to 3 channels, all
// of which are the grey one. The result may share the pixels of m.
func (m Image) As(channels int) Image {
	m.check("Image.As")
	if m.Channels == channels {
		return m
	}
	out := NewImage(channels, m.Height, m.Width)
	switch {
	case m.Channels == 1 && channels == 3:
		for c := range channels {
			copy(out.plane(c), m.Pix)
		}
	case m.Channels == 3 && channels == 1:
		r, g, b := m.plane(0), m.plane(1), m.plane(2)
		for i := range out.Pix {
			out.Pix[i] = luma(r[i], g[i], b[i])
		}
	default:
		panic(tensor.Misusef("transforms.Image.As: %d channels as %d; an image has 1 or 3", m.Channels, channels))
	}
	return out
}

// colours returns a function that reads a pixel. It does not allocate for the usual types of
// images.
func colours(img image.Image) func(x, y int) color.NRGBA {
	switch m := img.(type) {
	case *image.NRGBA:
		return m.NRGBAAt
	case *image.YCbCr:
		return func(x, y int) color.NRGBA {
			c := m.YCbCrAt(x, y)
			r, g, b := color.YCbCrToRGB(c.Y, c.Cb, c.Cr)
			return color.NRGBA{r, g, b, 255}
		}
	case *image.Paletted:
		palette := make([]color.NRGBA, 256)
		for i, c := range m.Palette[:min(len(m.Palette), 256)] {
			palette[i] = stored(c)
		}
		return func(x, y int) color.NRGBA { return palette[m.ColorIndexAt(x, y)] }
	case *image.RGBA:
		return func(x, y int) color.NRGBA {
			c := m.RGBAAt(x, y)
			if c.A == 255 {
				return color.NRGBA(c)
			}
			return color.NRGBAModel.Convert(c).(color.NRGBA)
		}
	}
	return func(x, y int) color.NRGBA { return stored(img.At(x, y)) }
}

// stored returns the colour as the image stores it. Unlike color.NRGBAModel, it keeps the
// colour of transparent pixels in types that do not premultiply by alpha.
func stored(c color.Color) color.NRGBA {
	switch c := c.(type) {
	case color.NRGBA:
		return c
	case color.NRGBA64:
		return color.NRGBA{uint8(c.R >> 8), uint8(c.G >> 8), uint8(c.B >> 8), uint8(c.A >> 8)}
	case color.NYCbCrA:
		r, g, b := color.YCbCrToRGB(c.Y, c.Cb, c.Cr)
		return color.NRGBA{r, g, b, c.A}
	}
	return color.NRGBAModel.Convert(c).(color.NRGBA)
}

// luma is Pillow's L24 (src/libImaging/Convert.c): weights of 0.299, 0.587 and 0.114 in fixed
// point with 16 fractional bits.
func luma(r, g, b uint8) uint8 {
	return uint8((uint32(r)*19595 + uint32(g)*38470 + uint32(b)*7471 + 0x8000) >> 16)
}

// ToImage converts m to an image.Image: *image.Gray for 1 channel, an opaque *image.NRGBA for
// 3. FromImage converts it back to the same pixels. ToImage panics for another number of
// channels.
func ToImage(m Image) image.Image {
	m.check("ToImage")
	area, b := m.Height*m.Width, image.Rect(0, 0, m.Width, m.Height)
	switch m.Channels {
	case 1:
		return &image.Gray{Pix: m.Pix, Stride: m.Width, Rect: b}
	case 3:
		out := image.NewNRGBA(b)
		for i := range area {
			out.Pix[4*i], out.Pix[4*i+1], out.Pix[4*i+2], out.Pix[4*i+3] = m.Pix[i], m.Pix[area+i], m.Pix[2*area+i], 255
		}
		return out
	}
	panic(tensor.Misusef("transforms.ToImage: %d channels; an image has 1 or 3", m.Channels))
}

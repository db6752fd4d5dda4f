package photo

import "github.com/residual-ml/residual/data/transforms"

// tiffPixels collects the samples of a file as planes of 8 bits: those of its colours, and alpha
// if the colours were multiplied by it.
type tiffPixels struct {
	f      *tiffFile
	planes transforms.Image
}

func newTIFFPixels(f *tiffFile) *tiffPixels {
	n := 1
	switch {
	case f.photometric == tiffCMYK:
		n = 4
	case f.photometric == tiffRGB && f.samples > 3 && f.first(tiffExtraSamples, 0) == 1:
		n = 4
	case f.photometric == tiffRGB, f.photometric == tiffYCbCr:
		n = 3
	}
	return &tiffPixels{f, transforms.NewImage(n, f.height, f.width)}
}

// put stores n pixels of a row at (x, y). The row has the given number of samples per pixel, of
// which the first is sample first of the image.
func (t *tiffPixels) put(row []uint8, first, samples, x, y, n int) {
	area := t.f.width * t.f.height
	for c := range samples {
		if first+c >= t.planes.Channels {
			return
		}
		out := t.planes.Pix[(first+c)*area+y*t.f.width+x:][:n]
		switch t.f.bits {
		case 8:
			for i := range out {
				out[i] = row[i*samples+c]
			}
		case 16: // the upper byte
			upper := 0
			if t.f.content[0] == 'I' {
				upper = 1
			}
			for i := range out {
				out[i] = row[2*(i*samples+c)+upper]
			}
		default:
			scale := 255 / uint8(1<<t.f.bits-1)
			if t.f.photometric == tiffPalette {
				scale = 1
			}
			for i := range out {
				out[i] = packed(row, i, t.f.bits) * scale
			}
		}
	}
}

// image converts the samples to grey or RGB.
func (t *tiffPixels) image() transforms.Image {
	p, area := t.planes, t.f.width*t.f.height
	switch {
	case t.f.photometric == tiffPalette:
		m := transforms.NewImage(3, p.Height, p.Width)
		for i, v := range p.Pix {
			c := &t.f.palette[v]
			m.Pix[i], m.Pix[area+i], m.Pix[2*area+i] = c[0], c[1], c[2]
		}
		return m
	case t.f.photometric == tiffWhiteIsZero:
		for i, v := range p.Pix {
			p.Pix[i] = 255 - v
		}
	case t.f.photometric == tiffCMYK: // as Pillow's cmyk2rgb
		for i, k := range p.Pix[3*area:] {
			for c := range 3 {
				v := uint32(p.Pix[c*area+i])*uint32(255-k) + 128
				p.Pix[c*area+i] = 255 - k - uint8((v>>8+v)>>8)
			}
		}
		return transforms.Image{Channels: 3, Height: p.Height, Width: p.Width, Pix: p.Pix[:3*area]}
	case p.Channels == 4: // colours multiplied by alpha, as Pillow's unpackRGBa
		for i, a := range p.Pix[3*area:] {
			for c := range 3 {
				v := &p.Pix[c*area+i]
				if a == 0 {
					*v = 0
				} else {
					*v = uint8(min(255, uint32(*v)*255/uint32(a)))
				}
			}
		}
		return transforms.Image{Channels: 3, Height: p.Height, Width: p.Width, Pix: p.Pix[:3*area]}
	}
	return p
}

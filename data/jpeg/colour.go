package jpeg

import "github.com/residual-ml/residual/data/pixel"

// coloursOf returns the colour space, as libjpeg determines it (jdapimin.c,
// default_decompress_parms).
func (d *decoder) coloursOf() colours {
	c := d.components
	switch {
	case len(c) == 1:
		return grey
	case len(c) == 4 && d.adobe <= 0:
		return cmyk
	case len(c) == 4:
		return ycck
	case d.jfif, d.adobe > 0:
		return ycbcr
	case d.adobe == 0, c[0].id == 'R' && c[1].id == 'G' && c[2].id == 'B':
		return rgb
	}
	return ycbcr
}

// toImage upsamples and converts the planes to the requested part of the image.
func (d *decoder) toImage() (Image, error) {
	p := Image{Channels: min(len(d.components), 3), Height: d.part.Dy(), Width: d.part.Dx()}
	area := p.Height * p.Width
	p.Pix = make([]uint8, p.Channels*area)
	for _, c := range d.components {
		c.repeatEdges()
	}
	for i := range p.Height {
		if i%8 == 0 {
			if err := d.ctx.Err(); err != nil {
				return Image{}, err
			}
		}
		y := d.part.Min.Y + i
		row := func(c int) []uint8 { return p.Pix[c*area+i*p.Width:][:p.Width] }
		if d.colours == ycbcr || d.colours == ycck {
			pixel.YCbCr(row(0), row(1), row(2), d.row(0, y), d.row(1, y), d.row(2, y))
		} else {
			for c := range p.Channels {
				copy(row(c), d.row(c, y))
			}
		}
		if len(d.components) == 4 {
			black := d.row(3, y)
			for c := range p.Channels {
				fromCMYK(row(c), black, d.colours == cmyk)
			}
		}
	}
	return p, nil
}

// fromCMYK converts samples of cyan, magenta or yellow to red, green or blue, in place, as Pillow
// does: it treats them as complements, as Adobe's programs write them (JpegImagePlugin.py,
// "CMYK;I"), and multiplies by black/255, rounded (Convert.c, cmyk2rgb). Samples of YCCK are
// complemented already.
func fromCMYK(samples, black []uint8, complement bool) {
	flip := uint8(0)
	if complement {
		flip = 255
	}
	for i, v := range samples {
		k := uint32(black[i])
		t := uint32(v^flip)*k + 128
		samples[i] = uint8(k - (t>>8+t)>>8)
	}
}

// repeatEdges repeats the first and the last sample of each row in the margins, where the row
// reaches an edge of the image.
func (c *component) repeatEdges() {
	last := c.width - 8*c.part.Min.X - 1
	for at := margin; at < len(c.plane); at += c.stride {
		if c.part.Min.X == 0 {
			c.plane[at-1] = c.plane[at]
		}
		if last < 8*c.part.Dx() {
			c.plane[at+last+1] = c.plane[at+last]
		}
	}
}

// samples returns row y of a plane, from sample x on, in the resolution of the plane. Rows beyond
// an edge are the row at the edge.
func (c *component) samples(y, x int) []uint8 {
	y = max(0, min(y, c.height-1))
	return c.plane[(y-8*c.part.Min.Y)*c.stride+margin+x-8*c.part.Min.X:]
}

// row returns row y of the image in colour i, inside the part, upsampled as in libjpeg's
// jdsample.c.
func (d *decoder) row(i, y int) []uint8 {
	c := d.components[i]
	hs, vs := d.hMax/c.h, d.vMax/c.v
	x, n := d.part.Min.X, d.part.Dx()
	if hs == 1 && vs == 1 {
		return c.samples(y, x)[:n]
	}
	if cap(d.rows[i]) < n+8 {
		d.rows[i] = make([]uint8, n+8)
	}
	cy := y / vs
	neighbour := cy - 1 // the row above for the upper half of a sample, below for the lower half
	if y%vs > 0 {
		neighbour = cy + 1
	}
	switch {
	case hs == 2 && vs <= 2 && c.width > 2:
		even, odd := 8, 7
		if vs == 1 {
			even, odd, neighbour = 4, 8, cy
		}
		first, last := x/2, (x+n-1)/2
		out := d.rows[i][:2*(last-first+1)]
		pixel.Upsample(out, c.samples(cy, first-1), c.samples(neighbour, first-1), last-first+1, even, odd)
		return out[x%2:][:n]
	case hs == 1 && vs == 2:
		near, far, out := c.samples(cy, x)[:n], c.samples(neighbour, x)[:n], d.rows[i][:n]
		bias := 1 + y%2
		for k := range out {
			out[k] = uint8((3*int(near[k]) + int(far[k]) + bias) >> 2)
		}
		return out
	}
	in, out := c.samples(cy, x/hs), d.rows[i][:n]
	for k := range out {
		out[k] = in[(x+k)/hs-x/hs]
	}
	return out
}

package photo

import (
	"io"

	"github.com/residual-ml/residual/data/transforms"
)

// decodeRuns decodes run-length encoded pixels (RLE8 or RLE4) as Pillow does. Pixels that are
// skipped, or are missing after an early end, have the first colour of the palette.
func (f *bmpFile) decodeRuns(content []byte) (transforms.Image, error) {
	r := &runReader{in: content[f.offset:], width: f.width, four: f.compression == bmpRLE4}
	if err := r.read(f.width * f.height); err != nil {
		return transforms.Image{}, err
	}
	m := transforms.NewImage(3, f.height, f.width)
	for y := range f.height {
		red, green, blue := f.row(m, y)
		for x, v := range r.pixels[y*f.width:][:f.width] {
			c := &f.palette[v]
			red[x], green[x], blue[x] = c[0], c[1], c[2]
		}
	}
	return m, nil
}

// runReader decodes runs to pixels, which are indices into the palette.
type runReader struct {
	in     []byte
	at     int // the position in in
	width  int
	four   bool // RLE4, with two pixels in a byte
	x      int  // the position in the row
	n      int  // the number of decoded pixels
	pixels []uint8
}

// read reads total pixels.
func (r *runReader) read(total int) error {
	r.pixels = make([]uint8, total)
	for r.n < total {
		if r.at+2 > len(r.in) {
			return io.ErrUnexpectedEOF
		}
		count, value := int(r.in[r.at]), r.in[r.at+1]
		r.at += 2
		switch {
		case count > 0:
			r.run(count, value)
		case value == 0: // the end of the row
			r.n += (r.width - r.n%r.width) % r.width
			r.x = 0
		case value == 1: // the end
			return nil
		case value == 2:
			if r.at+2 > len(r.in) {
				return io.ErrUnexpectedEOF
			}
			r.n = min(total, r.n+int(r.in[r.at])+int(r.in[r.at+1])*r.width)
			r.x = r.n % r.width
			r.at += 2
		default:
			if err := r.literal(int(value)); err != nil {
				return err
			}
		}
	}
	return nil
}

// run writes a run of one value, or of the two values in a byte alternately, up to the end of the
// row.
func (r *runReader) run(count int, value uint8) {
	count = max(0, min(count, r.width-r.x))
	for i := range min(count, len(r.pixels)-r.n) {
		v := value
		if r.four {
			v = value >> (4 * (1 - i%2)) & 0xf
		}
		r.pixels[r.n+i] = v
	}
	r.n += count
	r.x += count
}

// literal copies count pixels, which are padded to an even number of bytes.
func (r *runReader) literal(count int) error {
	fits := min(count, len(r.pixels)-r.n)
	length := fits
	if r.four {
		length = (fits + 1) / 2
	}
	if r.at+length > len(r.in) {
		return io.ErrUnexpectedEOF
	}
	for i := range fits {
		if r.four {
			r.pixels[r.n+i] = packed(r.in[r.at:], i, 4)
		} else {
			r.pixels[r.n+i] = r.in[r.at+i]
		}
	}
	r.n += fits
	r.x += count
	r.at += length
	r.at += r.at & 1
	return nil
}

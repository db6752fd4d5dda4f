package photo

import (
	"encoding/binary"
	"io"
	"math/bits"

	"github.com/residual-ml/residual/data/transforms"
)

// These are the compressions and the header sizes of BMP files
// (https://learn.microsoft.com/windows/win32/api/wingdi/ns-wingdi-bitmapinfoheader).
const (
	bmpRaw         = 0
	bmpRLE8        = 1
	bmpRLE4        = 2
	bmpMasks       = 3
	bmpJPEG        = 4
	bmpPNG         = 5
	bmpMasksAlpha  = 6
	bmpFileHeader  = 14
	bmpCoreHeader  = 12 // OS/2 1.x, with 16-bit sizes
	bmpInfoHeader  = 40
	bmpMasksHeader = 52 // this header and larger ones contain the masks
)

// bmpFile holds the headers and the palette.
type bmpFile struct {
	width, height int
	topDown       bool
	bits          int
	compression   uint32
	masks         [3]uint32 // of red, green and blue, for pixels of 16 and 32 bits
	palette       palette
	offset        int64 // of the pixels in the file
}

// isBMP reports whether b begins with "BM" and a header of a known size. Many texts begin with
// the same two letters.
func isBMP(b []byte) bool {
	if len(b) < bmpFileHeader+4 || string(b[:2]) != "BM" {
		return false
	}
	switch binary.LittleEndian.Uint32(b[bmpFileHeader:]) {
	case bmpCoreHeader, bmpInfoHeader, bmpMasksHeader, 56, 64, 108, 124:
		return true
	}
	return false
}

func bmpSize(content []byte) (width, height int, err error) {
	f, err := parseBMP(content)
	return f.width, f.height, err
}

// bmpImage decodes every kind that Pillow does, and any masks. It ignores alpha.
func bmpImage(content []byte) (transforms.Image, error) {
	f, err := parseBMP(content)
	if err != nil {
		return transforms.Image{}, err
	}
	if f.offset > int64(len(content)) {
		return transforms.Image{}, io.ErrUnexpectedEOF
	}
	if f.compression == bmpRLE8 || f.compression == bmpRLE4 {
		return f.decodeRuns(content)
	}
	pixels := content[f.offset:]
	rowBytes := (int64(f.width)*int64(f.bits) + 7) / 8
	stride := (rowBytes + 3) &^ 3
	if stride*int64(f.height-1)+rowBytes > int64(len(pixels)) {
		return transforms.Image{}, io.ErrUnexpectedEOF
	}
	m := transforms.NewImage(3, f.height, f.width)
	for y := range f.height {
		f.put(m, y, pixels[int64(y)*stride:][:rowBytes])
	}
	return m, nil
}

// parseBMP reads the headers and the palette.
func parseBMP(content []byte) (f bmpFile, err error) {
	header := int64(binary.LittleEndian.Uint32(content[bmpFileHeader:]))
	after := bmpFileHeader + header
	if after > int64(len(content)) {
		return f, io.ErrUnexpectedEOF
	}
	b := content[bmpFileHeader:after]
	colours, entry := int64(0), int64(4)
	if header == bmpCoreHeader {
		f.width, f.height = int(binary.LittleEndian.Uint16(b[4:])), int(binary.LittleEndian.Uint16(b[6:]))
		f.bits, entry = int(binary.LittleEndian.Uint16(b[10:])), 3
	} else {
		f.width, f.height = int(int32(binary.LittleEndian.Uint32(b[4:]))), int(int32(binary.LittleEndian.Uint32(b[8:])))
		if f.topDown = f.height < 0; f.topDown {
			f.height = -f.height
		}
		f.bits, f.compression = int(binary.LittleEndian.Uint16(b[14:])), binary.LittleEndian.Uint32(b[16:])
		colours = int64(binary.LittleEndian.Uint32(b[32:]))
	}
	if f.width < 0 || f.height > 1<<31-1 {
		return f, damaged("its size is %dx%d", f.width, f.height)
	}
	n, err := f.layout(b, content[after:])
	if err != nil {
		return f, err
	}
	after += n
	f.offset = int64(binary.LittleEndian.Uint32(content[10:]))
	if f.bits <= 8 {
		if colours == 0 {
			colours = 1 << f.bits
		}
		if colours > 1<<16 {
			return f, damaged("it has %d colours", colours)
		}
		if f.offset == bmpFileHeader+header { // some writers forget the palette
			f.offset = 0
		}
		f.colours(content[after:], colours, entry)
		after += colours * entry
	}
	if f.offset == 0 {
		f.offset = after
	}
	return f, nil
}

// layout finds the masks of a pixel from the header and the bytes after it. It returns how many
// of these bytes are masks.
func (f *bmpFile) layout(header, after []byte) (n int64, err error) {
	known := f.bits == 1 || f.bits == 2 || f.bits == 4 || f.bits == 8 || f.bits == 16 || f.bits == 24 || f.bits == 32
	switch {
	case !known:
		return 0, unsupported("%d bits a pixel", f.bits)
	case f.compression == bmpRLE8 && f.bits == 8, f.compression == bmpRLE4 && f.bits == 4:
		return 0, nil
	case f.compression == bmpJPEG, f.compression == bmpPNG:
		return 0, unsupported("a JPEG or PNG image inside")
	case f.compression == bmpRaw && f.bits == 16:
		f.masks = [3]uint32{0x7c00, 0x3e0, 0x1f}
		return 0, nil
	case f.compression == bmpRaw:
		f.masks = [3]uint32{0xff0000, 0xff00, 0xff}
		return 0, nil
	case f.compression != bmpMasks && f.compression != bmpMasksAlpha || f.bits < 16:
		return 0, unsupported("compression %d of %d bits", f.compression, f.bits)
	}
	if len(header) < bmpMasksHeader {
		if n = 12; f.compression == bmpMasksAlpha {
			n = 16
		}
		if int64(len(after)) < n {
			return 0, io.ErrUnexpectedEOF
		}
		header = append(header[:bmpInfoHeader:bmpInfoHeader], after[:n]...)
	}
	all := uint32(0)
	for i := range f.masks {
		f.masks[i] = binary.LittleEndian.Uint32(header[bmpInfoHeader+4*i:])
		run := f.masks[i] >> bits.TrailingZeros32(f.masks[i])
		if run&(run+1) != 0 || all&f.masks[i] != 0 {
			return 0, damaged("its colours have the masks %#x", f.masks)
		}
		all |= f.masks[i]
	}
	if all == 0 || f.bits == 24 {
		f.masks = [3]uint32{0xff0000, 0xff00, 0xff}
	}
	return n, nil
}

// colours reads the palette. An entry is blue, green, red and, if it has four bytes, an unused
// one.
func (f *bmpFile) colours(b []byte, n, entry int64) {
	n = min(n, int64(len(f.palette)), int64(len(b))/entry)
	table := make([]uint8, 0, 3*n)
	for i := range n {
		p := b[i*entry:]
		table = append(table, p[2], p[1], p[0])
	}
	f.palette.set(table)
}

// row returns the row of each plane that row y of the file belongs to.
func (f *bmpFile) row(m transforms.Image, y int) (r, g, b []uint8) {
	if !f.topDown {
		y = f.height - 1 - y
	}
	area := m.Height * m.Width
	at := y * m.Width
	return m.Pix[at:][:m.Width], m.Pix[area+at:][:m.Width], m.Pix[2*area+at:][:m.Width]
}

// put decodes row y of the file.
func (f *bmpFile) put(m transforms.Image, y int, row []uint8) {
	r, g, b := f.row(m, y)
	switch f.bits {
	case 24:
		for x := range r {
			p := row[3*x:][:3]
			r[x], g[x], b[x] = p[2], p[1], p[0]
		}
	case 16, 32:
		fields := [3]field{fieldOf(f.masks[0]), fieldOf(f.masks[1]), fieldOf(f.masks[2])}
		for x := range r {
			var v uint32
			if f.bits == 16 {
				v = uint32(binary.LittleEndian.Uint16(row[2*x:]))
			} else {
				v = binary.LittleEndian.Uint32(row[4*x:])
			}
			r[x], g[x], b[x] = fields[0].scale(v), fields[1].scale(v), fields[2].scale(v)
		}
	default:
		for x := range r {
			c := &f.palette[packed(row, x, f.bits)]
			r[x], g[x], b[x] = c[0], c[1], c[2]
		}
	}
}

// field describes the bits of one colour in a pixel, of which the upper 8 are used.
type field struct {
	mask  uint32
	shift int
	max   uint32
}

func fieldOf(mask uint32) field {
	f := field{mask, bits.TrailingZeros32(mask), 1}
	if n := bits.OnesCount32(mask); n > 8 {
		f.shift += n - 8
	}
	if mask != 0 {
		f.max = mask >> f.shift
	}
	return f
}

// scale extracts the colour from a pixel and scales it to 8 bits, rounding down like Pillow.
func (f field) scale(v uint32) uint8 { return uint8(v & f.mask >> f.shift * 255 / f.max) }

package photo

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"

	"github.com/residual-ml/residual/data/transforms"
)

const pngSignature = "\x89PNG\r\n\x1a\n"

// The colour types of PNG (specification, third edition, section 11.2.1).
const (
	pngGrey      = 0
	pngRGB       = 2
	pngPalette   = 3
	pngGreyAlpha = 4
	pngRGBA      = 6
)

// pngSamples is how many samples a pixel has, by colour type.
var pngSamples = [7]int{pngGrey: 1, pngRGB: 3, pngPalette: 1, pngGreyAlpha: 2, pngRGBA: 4}

// pngFile is what comes before the pixels.
type pngFile struct {
	width, height int
	depth, colour int // bits of a sample, and the colour type
	interlaced    bool
	palette       palette
	chunks        []byte // from the first IDAT on
}

func pngSize(content []byte) (width, height int, err error) {
	var f pngFile
	_, err = f.header(content)
	return f.width, f.height, err
}

// pngImage decodes a file's pixels as Pillow does: transparency, gamma and profiles are
// left out, of 16 bits the upper 8 count, and what comes after the last row matters
// not, so that rows too many, or no end, are no fault. Rows too few are one, although
// Pillow sometimes leaves them black; and 16-bit grey is scaled as colours are, where
// Pillow clips it at 255.
func pngImage(content []byte) (transforms.Image, error) {
	var f pngFile
	rest, err := f.header(content)
	if err != nil {
		return transforms.Image{}, err
	}
	if err := f.beforePixels(rest); err != nil {
		return transforms.Image{}, err
	}
	if _, rowBytes, _ := f.size(pngPass{0, 0, 1, 1}); rowBytes > mostRow {
		return transforms.Image{}, unsupported("rows of %d bytes", rowBytes)
	}
	in := &idat{rest: f.chunks}
	passes := f.passes()
	if 1032*in.total() < f.bytes(passes) { // deflate shrinks by no more
		return transforms.Image{}, io.ErrUnexpectedEOF
	}
	z, err := zlib.NewReader(in)
	if err != nil {
		return transforms.Image{}, atEnd(err)
	}
	channels := 1
	if f.colour == pngRGB || f.colour == pngRGBA || f.colour == pngPalette {
		channels = 3
	}
	m := transforms.NewImage(channels, f.height, f.width)
	for _, p := range passes {
		if err := f.readPass(m, z, p); err != nil {
			return transforms.Image{}, err
		}
	}
	return m, in.verify(z, f.bytes(passes))
}

// verify holds the pixels to their checksums: the stream's, where it ends with them; and
// where that of a chunk is wrong, to the stream's, wherever it ends.
func (r *idat) verify(z io.Reader, most int64) error {
	_, err := z.Read(make([]byte, 1))
	if r.finish(); r.mismatch && err == nil {
		_, err = io.CopyN(io.Discard, z, most+1<<16)
	}
	if errors.Is(err, zlib.ErrChecksum) || r.mismatch && !errors.Is(err, io.EOF) {
		return damaged("the checksum of its pixels is wrong")
	}
	return nil
}

// header reads the signature and the IHDR chunk, and returns the chunks behind it.
func (f *pngFile) header(content []byte) (rest []byte, err error) {
	if len(content) >= 16 && string(content[12:16]) == "CgBI" {
		return nil, unsupported("Xcode made it for iPhones")
	}
	name, b, rest, err := nextPNG(content[len(pngSignature):])
	switch {
	case err != nil:
		return nil, err
	case name != "IHDR" || len(b) < 13:
		return nil, damaged("it has no header")
	}
	width, height := binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:])
	if width > 1<<31-1 || height > 1<<31-1 {
		return nil, damaged("its size is %dx%d", width, height)
	}
	f.width, f.height = int(width), int(height)
	f.depth, f.colour, f.interlaced = int(b[8]), int(b[9]), b[12] != 0
	allowed := map[int][]byte{pngGrey: {1, 2, 4, 8, 16}, pngRGB: {8, 16}, pngPalette: {1, 2, 4, 8}, pngGreyAlpha: {8, 16}, pngRGBA: {8, 16}}
	if !bytes.Contains(allowed[f.colour], b[8:9]) || b[11] != 0 {
		return nil, damaged("%d bits, colour type %d and filter method %d make no PNG", f.depth, f.colour, b[11])
	}
	return rest, nil
}

// nextPNG splits off the first chunk, and holds it to its checksum.
func nextPNG(b []byte) (name string, chunk, rest []byte, err error) {
	if len(b) < 12 {
		return "", nil, nil, io.ErrUnexpectedEOF
	}
	n := int64(binary.BigEndian.Uint32(b))
	if n > int64(len(b)-12) {
		return "", nil, nil, io.ErrUnexpectedEOF
	}
	if crc32.ChecksumIEEE(b[4:8+n]) != binary.BigEndian.Uint32(b[8+n:]) {
		return "", nil, nil, damaged("the checksum of its chunk %q is wrong", b[4:8])
	}
	return string(b[4:8]), b[8 : 8+n], b[12+n:], nil
}

// beforePixels reads the chunks up to the first IDAT.
func (f *pngFile) beforePixels(b []byte) error {
	for {
		if len(b) >= 8 && string(b[4:8]) == "IDAT" {
			f.chunks = b
			return nil
		}
		name, chunk, rest, err := nextPNG(b)
		switch {
		case err != nil:
			return err
		case name == "IEND":
			return damaged("it holds no pixels")
		case name == "PLTE":
			for i := range min(len(chunk)/3, len(f.palette)) {
				f.palette[i] = [3]uint8(chunk[3*i:])
			}
		}
		b = rest
	}
}

// idat reads the content of consecutive IDAT chunks as one stream. The last may be cut
// short.
type idat struct {
	chunk, rest []byte
	sum, want   uint32 // of the chunk: the checksum and what it should be
	mismatch    bool
}

// next goes to the next chunk.
func (r *idat) next() bool {
	r.finish()
	if len(r.rest) < 8 || string(r.rest[4:8]) != "IDAT" {
		return false
	}
	n := min(int64(binary.BigEndian.Uint32(r.rest)), int64(len(r.rest)-8))
	r.chunk = r.rest[8 : 8+n]
	after := r.rest[8+n:]
	if r.sum, r.want = 0, 0; len(after) >= 4 { // or it is cut short, and has none
		r.sum, r.want = crc32.ChecksumIEEE(r.rest[4:8+n]), binary.BigEndian.Uint32(after)
	}
	r.rest = after[min(4, len(after)):]
	return true
}

// finish compares the checksum of the chunk that was read.
func (r *idat) finish() {
	r.mismatch = r.mismatch || r.sum != r.want
}

func (r *idat) Read(p []byte) (int, error) {
	for len(r.chunk) == 0 {
		if !r.next() {
			return 0, io.EOF
		}
	}
	n := copy(p, r.chunk)
	r.chunk = r.chunk[n:]
	return n, nil
}

func (r *idat) ReadByte() (byte, error) {
	for len(r.chunk) == 0 {
		if !r.next() {
			return 0, io.EOF
		}
	}
	b := r.chunk[0]
	r.chunk = r.chunk[1:]
	return b, nil
}

// total is how many bytes there are to read.
func (r *idat) total() (n int64) {
	for rest := r.rest; len(rest) >= 8 && string(rest[4:8]) == "IDAT"; {
		length := min(int64(binary.BigEndian.Uint32(rest)), int64(len(rest)-8))
		n += length
		rest = rest[min(12+length, int64(len(rest))):]
	}
	return n
}

// pngPass is which pixels come together: those from x, y on, so far apart.
type pngPass struct{ x, y, dx, dy int }

// adam7 are the passes of an interlaced file (specification, section 8.1).
var adam7 = []pngPass{{0, 0, 8, 8}, {4, 0, 8, 8}, {0, 4, 4, 8}, {2, 0, 4, 4}, {0, 2, 2, 4}, {1, 0, 2, 2}, {0, 1, 1, 2}}

func (f *pngFile) passes() []pngPass {
	if f.interlaced {
		return adam7
	}
	return []pngPass{{0, 0, 1, 1}}
}

// size is how many pixels a row of a pass has, in how many bytes, and how many rows there are.
func (f *pngFile) size(p pngPass) (width, rowBytes, height int) {
	width, height = max(0, (f.width-p.x+p.dx-1)/p.dx), max(0, (f.height-p.y+p.dy-1)/p.dy)
	return width, (width*f.depth*pngSamples[f.colour] + 7) / 8, height
}

// bytes is how many bytes the rows have, with their filters.
func (f *pngFile) bytes(passes []pngPass) (n int64) {
	for _, p := range passes {
		if w, rowBytes, h := f.size(p); w > 0 {
			n += int64(h) * int64(1+rowBytes)
		}
	}
	return n
}

// readPass reads the rows of a pass, undoes their filters and puts their pixels into m.
func (f *pngFile) readPass(m transforms.Image, z io.Reader, p pngPass) error {
	w, rowBytes, h := f.size(p)
	if w == 0 {
		return nil
	}
	row, above := make([]uint8, 1+rowBytes), make([]uint8, 1+rowBytes)
	bytesPerPixel := max(1, f.depth*pngSamples[f.colour]/8)
	for i := range h {
		if _, err := io.ReadFull(z, row); err != nil {
			return atEnd(err)
		}
		if err := unfilter(row[0], row[1:], above[1:], bytesPerPixel); err != nil {
			return err
		}
		f.put(m, row[1:], (p.y+i*p.dy)*f.width+p.x, p.dx, w)
		row, above = above, row
	}
	return nil
}

// put writes the n pixels of a row, beginning at one of the image, step apart.
func (f *pngFile) put(m transforms.Image, row []uint8, at, step, n int) {
	area := m.Height * m.Width
	deep := f.depth / 8 // bytes of a sample, of which the first counts
	switch f.colour {
	case pngGrey, pngGreyAlpha:
		if f.depth == 8 && f.colour == pngGrey && step == 1 {
			copy(m.Pix[at:at+n], row)
			return
		}
		for i := range n {
			if f.depth < 8 {
				m.Pix[at+i*step] = packed(row, i, f.depth) * (255 / uint8(1<<f.depth-1))
			} else {
				m.Pix[at+i*step] = row[i*deep*pngSamples[f.colour]]
			}
		}
	case pngPalette:
		for i := range n {
			c := &f.palette[packed(row, i, f.depth)]
			m.Pix[at+i*step], m.Pix[area+at+i*step], m.Pix[2*area+at+i*step] = c[0], c[1], c[2]
		}
	default:
		r, g, b := m.Pix[at:area], m.Pix[area+at:2*area], m.Pix[2*area+at:]
		size := deep * pngSamples[f.colour]
		for i := range n {
			p := row[i*size:][:size]
			r[i*step], g[i*step], b[i*step] = p[0], p[deep], p[2*deep]
		}
	}
}

// unfilter undoes a row's filter (specification, section 9.2).
func unfilter(filter uint8, row, above []uint8, bytesPerPixel int) error {
	switch n := bytesPerPixel; filter {
	case 0:
	case 1:
		for i := n; i < len(row); i++ {
			row[i] += row[i-n]
		}
	case 2:
		for i, v := range above[:len(row)] {
			row[i] += v
		}
	case 3:
		for i := range n {
			row[i] += above[i] / 2
		}
		for i := n; i < len(row); i++ {
			row[i] += uint8((int(row[i-n]) + int(above[i])) / 2)
		}
	case 4:
		for c := range n {
			paeth(row[c:], above[c:], n)
		}
	default:
		return damaged("a row has the filter %d", filter)
	}
	return nil
}

// paeth undoes the filter of that name for every n-th byte.
func paeth(row, above []uint8, n int) {
	left, corner := 0, 0
	for i := 0; i < len(row); i += n {
		up := int(above[i])
		toLeft, toUp := up-corner, left-corner // what the estimate left+up-corner is away from them
		toCorner := abs(toLeft + toUp)
		toLeft, toUp = abs(toLeft), abs(toUp)
		near := corner
		if toLeft <= toUp && toLeft <= toCorner {
			near = left
		} else if toUp <= toCorner {
			near = up
		}
		left, corner = int(row[i]+uint8(near)), up
		row[i] = uint8(left)
	}
}

func abs(x int) int { return max(x, -x) }

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

// These are the colour types of PNG (specification, third edition, section 11.2.1).
const (
	pngGrey      = 0
	pngRGB       = 2
	pngPalette   = 3
	pngGreyAlpha = 4
	pngRGBA      = 6
)

// pngSamples is the number of samples of a pixel by colour type.
var pngSamples = [7]int{pngGrey: 1, pngRGB: 3, pngPalette: 1, pngGreyAlpha: 2, pngRGBA: 4}

// pngFile holds everything before the pixels.
type pngFile struct {
	width, height int
	depth, colour int // bits of a sample, and the colour type
	interlaced    bool
	palette       palette
	chunks        []byte // the file from the first IDAT chunk on
}

func pngSize(content []byte) (width, height int, err error) {
	var f pngFile
	_, err = f.header(content)
	return f.width, f.height, err
}

// pngImage decodes the pixels as Pillow does: it ignores transparency, gamma, profiles and
// everything after the last row, and uses the upper 8 of 16 bits. Unlike Pillow, it returns an
// error when rows are missing, which Pillow may leave black, and scales 16-bit grey, which
// Pillow clips at 255.
func pngImage(content []byte) (transforms.Image, error) {
	var f pngFile
	remaining, err := f.header(content)
	if err != nil {
		return transforms.Image{}, err
	}
	if err := f.beforePixels(remaining); err != nil {
		return transforms.Image{}, err
	}
	if _, rowBytes, _ := f.size(pngPass{0, 0, 1, 1}); rowBytes > maxRowBytes {
		return transforms.Image{}, unsupported("rows of %d bytes", rowBytes)
	}
	in := &idat{remaining: f.chunks}
	passes := f.passes()
	if 1032*in.total() < f.bytes(passes) { // deflate cannot compress more
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

// verify checks the checksum of the zlib stream if it ends with the pixels. If the checksum of a
// chunk is wrong, it reads the stream to its end and checks its checksum there.
func (r *idat) verify(z io.Reader, limit int64) error {
	_, err := z.Read(make([]byte, 1))
	if r.finish(); r.mismatch && err == nil {
		_, err = io.CopyN(io.Discard, z, limit+1<<16)
	}
	if errors.Is(err, zlib.ErrChecksum) || r.mismatch && !errors.Is(err, io.EOF) {
		return damaged("the checksum of its pixels is wrong")
	}
	return nil
}

// header reads the signature and the IHDR chunk, and returns the chunks after it.
func (f *pngFile) header(content []byte) (remaining []byte, err error) {
	if len(content) >= 16 && string(content[12:16]) == "CgBI" {
		return nil, unsupported("Xcode made it for iPhones")
	}
	name, b, remaining, err := nextPNGChunk(content[len(pngSignature):])
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
		return nil, damaged("%d bits, colour type %d and filter method %d are not valid in PNG", f.depth, f.colour, b[11])
	}
	return remaining, nil
}

// nextPNGChunk splits off the first chunk and verifies its checksum.
func nextPNGChunk(b []byte) (name string, chunk, remaining []byte, err error) {
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
		name, chunk, remaining, err := nextPNGChunk(b)
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
		b = remaining
	}
}

// idat reads the content of consecutive IDAT chunks as one stream. The last one may be cut short.
type idat struct {
	chunk, remaining []byte
	sum, wantSum     uint32 // the computed and the stored checksum of the chunk
	mismatch         bool
}

// next advances to the next chunk and reports whether there is one.
func (r *idat) next() bool {
	r.finish()
	if len(r.remaining) < 8 || string(r.remaining[4:8]) != "IDAT" {
		return false
	}
	n := min(int64(binary.BigEndian.Uint32(r.remaining)), int64(len(r.remaining)-8))
	r.chunk = r.remaining[8 : 8+n]
	after := r.remaining[8+n:]
	if r.sum, r.wantSum = 0, 0; len(after) >= 4 { // a chunk that is cut short has no checksum
		r.sum, r.wantSum = crc32.ChecksumIEEE(r.remaining[4:8+n]), binary.BigEndian.Uint32(after)
	}
	r.remaining = after[min(4, len(after)):]
	return true
}

// finish compares the checksum of the chunk that was read.
func (r *idat) finish() {
	r.mismatch = r.mismatch || r.sum != r.wantSum
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

// total returns the number of bytes in all chunks.
func (r *idat) total() (n int64) {
	for after := r.remaining; len(after) >= 8 && string(after[4:8]) == "IDAT"; {
		length := min(int64(binary.BigEndian.Uint32(after)), int64(len(after)-8))
		n += length
		after = after[min(12+length, int64(len(after))):]
	}
	return n
}

// pngPass describes the pixels of one pass: they begin at (x, y) and are dx and dy apart.
type pngPass struct{ x, y, dx, dy int }

// adam7 lists the passes of an interlaced file (specification, section 8.1).
var adam7 = []pngPass{{0, 0, 8, 8}, {4, 0, 8, 8}, {0, 4, 4, 8}, {2, 0, 4, 4}, {0, 2, 2, 4}, {1, 0, 2, 2}, {0, 1, 1, 2}}

func (f *pngFile) passes() []pngPass {
	if f.interlaced {
		return adam7
	}
	return []pngPass{{0, 0, 1, 1}}
}

// size returns the number of pixels and of bytes in a row of a pass, and the number of rows.
func (f *pngFile) size(p pngPass) (width, rowBytes, height int) {
	width, height = max(0, (f.width-p.x+p.dx-1)/p.dx), max(0, (f.height-p.y+p.dy-1)/p.dy)
	return width, (width*f.depth*pngSamples[f.colour] + 7) / 8, height
}

// bytes returns the size of all rows, including the filter bytes.
func (f *pngFile) bytes(passes []pngPass) (n int64) {
	for _, p := range passes {
		if w, rowBytes, h := f.size(p); w > 0 {
			n += int64(h) * int64(1+rowBytes)
		}
	}
	return n
}

// readPass reads the rows of a pass, reverses their filters and writes their pixels into m.
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

// put writes the n pixels of a row to m, beginning at index at and step pixels apart.
func (f *pngFile) put(m transforms.Image, row []uint8, at, step, n int) {
	area := m.Height * m.Width
	deep := f.depth / 8 // bytes of a sample, of which the first is used
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

// unfilter reverses the filter of a row (specification, section 9.2).
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

// paeth reverses the Paeth filter for every n-th byte.
func paeth(row, above []uint8, n int) {
	left, corner := 0, 0
	for i := 0; i < len(row); i += n {
		up := int(above[i])
		toLeft, toUp := up-corner, left-corner // differences from the estimate left+up-corner
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

package photo

import (
	"encoding/binary"
	"io"

	"github.com/residual-ml/residual/data/transforms"
)

// gifFile holds everything before the pixels of the first frame.
type gifFile struct {
	width, height int // of the screen, enlarged if the frame extends beyond it
	x, y, w, h    int // position and size of the frame
	interlaced    bool
	palette       palette
	background    uint8 // the index of the colour around the frame
	codeBits      int   // the size of the smallest codes of the data
	data          []byte
}

// gifSize returns the size of the screen, enlarged if the first frame extends beyond it. A file
// without a frame has the size of the screen here; the decoder returns the error.
func gifSize(content []byte) (width, height int, err error) {
	f, err := parseGIF(content)
	if f.width > 0 && f.height > 0 {
		err = nil
	}
	return f.width, f.height, err
}

// gifImage decodes the first frame onto its screen, as Pillow does. Around the frame, the screen
// has the transparent colour or the first one of the palette. A transparent pixel has its colour
// in the palette. Everything after the frame is ignored.
func gifImage(content []byte) (transforms.Image, error) {
	f, err := parseGIF(content)
	if err != nil {
		return transforms.Image{}, err
	}
	codes := newGIFCodes(f.data, f.codeBits)
	m := transforms.NewImage(3, f.height, f.width)
	area := f.height * f.width
	if f.w < f.width || f.h < f.height {
		c := f.palette[f.background]
		for i := range area {
			m.Pix[i], m.Pix[area+i], m.Pix[2*area+i] = c[0], c[1], c[2]
		}
	}
	row := make([]uint8, f.w)
	for i := range f.h {
		if err := codes.fill(row); err != nil {
			return transforms.Image{}, err
		}
		at := (f.y+f.row(i))*f.width + f.x
		r, g, b := m.Pix[at:][:f.w], m.Pix[area+at:][:f.w], m.Pix[2*area+at:][:f.w]
		for x, v := range row {
			c := &f.palette[v]
			r[x], g[x], b[x] = c[0], c[1], c[2]
		}
	}
	return m, nil
}

// row returns the row of the frame that row i of the data belongs to (GIF89a, appendix E).
func (f *gifFile) row(i int) int {
	if !f.interlaced {
		return i
	}
	for _, pass := range [4][2]int{{0, 8}, {4, 8}, {2, 4}, {1, 2}} {
		n := max(0, (f.h-pass[0]+pass[1]-1)/pass[1])
		if i < n {
			return pass[0] + i*pass[1]
		}
		i -= n
	}
	panic("photo: a GIF's frame has more rows than its height")
}

// parseGIF reads a file up to the data of its first frame (GIF89a specification).
func parseGIF(content []byte) (f gifFile, err error) {
	if len(content) < 13 {
		return f, io.ErrUnexpectedEOF
	}
	f.width, f.height = int(binary.LittleEndian.Uint16(content[6:])), int(binary.LittleEndian.Uint16(content[8:]))
	b := content[13:]
	f.palette.set(nil)
	if fields := content[10]; fields&0x80 != 0 {
		if b, err = f.table(b, fields); err != nil {
			return f, err
		}
	}
	for len(b) > 0 {
		kind := b[0]
		b = b[1:]
		switch kind {
		case '!':
			b, err = f.extension(b)
		case ',':
			return f, f.frame(b)
		case ';':
			return f, damaged("it holds no frame")
		}
		if err != nil {
			return f, err
		}
	}
	return f, io.ErrUnexpectedEOF
}

// extension skips an extension, and reads its transparent colour if it has one.
func (f *gifFile) extension(b []byte) ([]byte, error) {
	if len(b) < 1 {
		return nil, io.ErrUnexpectedEOF
	}
	label := b[0]
	blocks := gifBlocks{remaining: b[1:]}
	for first := true; ; first = false {
		block, err := blocks.next()
		if err == io.EOF {
			return blocks.remaining, nil
		} else if err != nil {
			return nil, err
		}
		if first && label == 0xf9 && len(block) >= 4 && block[0]&1 != 0 {
			f.background = block[3]
		}
	}
}

// frame reads the descriptor of a frame and its colours.
func (f *gifFile) frame(b []byte) (err error) {
	if len(b) < 9 {
		return io.ErrUnexpectedEOF
	}
	at := func(i int) int { return int(binary.LittleEndian.Uint16(b[i:])) }
	f.x, f.y, f.w, f.h = at(0), at(2), at(4), at(6)
	if f.w == 0 || f.h == 0 {
		return damaged("its first frame has no pixels")
	}
	f.width, f.height = max(f.width, f.x+f.w), max(f.height, f.y+f.h)
	fields := b[8]
	f.interlaced = fields&0x40 != 0
	b = b[9:]
	if fields&0x80 != 0 {
		if b, err = f.table(b, fields); err != nil {
			return err
		}
	}
	if len(b) < 1 {
		return io.ErrUnexpectedEOF
	}
	f.codeBits, f.data = int(b[0]), b[1:]
	if f.codeBits < 1 || f.codeBits > 11 {
		return damaged("its codes have %d bits", f.codeBits)
	}
	return nil
}

// table reads a table of colours.
func (f *gifFile) table(b []byte, fields uint8) ([]byte, error) {
	n := 3 << (fields&7 + 1)
	if n > len(b) {
		return nil, io.ErrUnexpectedEOF
	}
	f.palette.set(b[:n])
	return b[n:], nil
}

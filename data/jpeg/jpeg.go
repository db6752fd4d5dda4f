// Package jpeg decodes JPEG files (ITU-T T.81) fast, the whole of them or a part, to the
// very samples of libjpeg-turbo at its usual settings, which are Pillow's: the accurate
// integer transform, chroma upsampled smoothly.
//
// It reads Huffman-coded files of 8 bits, baseline, extended and progressive: grey, three
// colours (YCbCr or RGB, as the JFIF and Adobe markers and the components' numbers say) and
// four (CMYK or YCCK, which become red, green and blue as Pillow converts them), each
// colour with any sampling factors that divide the largest. Other files are an error that
// wraps ErrUnsupported and names the kind: arithmetic coding, 12 bits, lossless and
// hierarchical files, sampling factors that do not divide each other, and progressive
// files whose scans leave out what libjpeg would guess.
//
// An image must be whole. Bytes between markers and behind the image do no harm, and the
// end marker may be missing, but a file that is cut before its last code is an error even
// where others show what there is of it.
package jpeg

import (
	"context"
	"errors"
	"fmt"
	"image"
	"io"
	"sync"
)

// ErrUnsupported is the error, wrapped, of a file of a kind this package does not decode.
var ErrUnsupported = errors.New("unsupported JPEG")

func unsupported(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrUnsupported, fmt.Sprintf(format, args...))
}

func damaged(format string, args ...any) error {
	return fmt.Errorf("damaged JPEG: "+format, args...)
}

// Image is a decoded file, or a part of it: Pix is [Channels, Height, Width] in
// row-major order, of 1 channel (grey) or 3 (red, green, blue).
type Image struct {
	Channels, Height, Width int
	Pix                     []uint8
}

// Info is what the headers of a file say.
type Info struct {
	Width, Height int
	Colours       int // 1 for grey, 3, or 4 for CMYK
	Progressive   bool
	Bytes         int64 // of memory that decoding the whole takes, its pixels included
}

// Inspect reads a file up to its first scan and decodes nothing.
func Inspect(content []byte) (Info, error) {
	d := decoders.Get().(*decoder)
	defer d.release()
	d.reset(context.Background(), content)
	if err := d.markers(true); err != nil {
		return Info{}, err
	}
	return Info{d.width, d.height, len(d.components), d.progressive, d.bytes()}, nil
}

// Decode decodes a file.
func Decode(content []byte) (Image, error) {
	return DecodePart(context.Background(), content, nil)
}

// DecodePart decodes a file as far as is needed for a part of its image: choose is told
// the size and returns the part, which must lie within it and not be empty; nil chooses
// all. The samples are those of the whole, and so is the error: damage outside the part
// is damage. The end of ctx ends the work after at most a row of blocks, with ctx's error.
func DecodePart(ctx context.Context, content []byte, choose func(width, height int) image.Rectangle) (Image, error) {
	d := decoders.Get().(*decoder)
	defer d.release()
	d.reset(ctx, content)
	d.choose = choose
	if err := d.markers(false); err != nil {
		return Image{}, err
	}
	return d.picture()
}

var decoders = sync.Pool{New: func() any { return new(decoder) }}

// component is one colour of a file.
type component struct {
	id, h, v      int
	quantIndex    int
	quant         [64]int16 // by rows, as at its first scan
	latched       bool
	width, height int // samples
	wide, high    int // blocks, filled up to whole MCUs
	fullW, fullH  int // blocks that hold samples

	part   image.Rectangle // blocks that are needed
	plane  []uint8         // their samples, with margins
	stride int
	coefs  []int16  // of all blocks, by rows, where there are several scans
	known  [64]int8 // of a progressive file: the bits of each coefficient, by zigzag, that are still to come; -1 for all

	pending  [128]int16 // two blocks whose transform is due
	where    [2]int     // they go to the plane
	count    int        // of them
	dc       *huffman
	ac       *huffman
	previous int32 // DC
}

type decoder struct {
	ctx    context.Context
	in     []byte
	at     int
	choose func(width, height int) image.Rectangle

	width, height int
	hMax, vMax    int
	progressive   bool
	components    []*component
	store         [4]component
	part          image.Rectangle
	quants        [4][64]int16
	haveQuant     [4]bool
	dcs, acs      [4]huffman
	interval      int
	jfif          bool
	adobe         int // transform of the Adobe marker; below 0 without it
	colours       colours
	scans         int
	work          int64 // coefficients that the scans went over
	several       bool  // coefficients are kept until all scans are read

	scan     []byte // without stuffed zeros and markers, with margins
	segments []int  // the ends of its parts
	odd      error  // what ended them, if it was no marker that may
	segment  int
	bits     bits
	eobRun   int
	rows     [4][]uint8
	outside  [128]int16 // where blocks that nobody needs go
}

// reset forgets a file and keeps memory and tables of codes, which many files share.
func (d *decoder) reset(ctx context.Context, content []byte) {
	d.ctx, d.in, d.at = ctx, content, 0
	d.width, d.height, d.progressive = 0, 0, false
	d.components = d.components[:0]
	d.haveQuant = [4]bool{}
	for i := range 4 {
		d.dcs[i].defined, d.acs[i].defined = false, false
	}
	d.interval, d.jfif, d.adobe, d.scans, d.work, d.several, d.eobRun = 0, false, -1, 0, 0, false, 0
}

// release gives the decoder to the next file, without the memory of a large one.
func (d *decoder) release() {
	d.ctx, d.in, d.choose = nil, nil, nil
	for i := range d.store {
		c := &d.store[i]
		c.plane, c.coefs = retained(c.plane), retained(c.coefs)
	}
	d.scan = retained(d.scan)
	decoders.Put(d)
}

// segmentBody returns the body of the marker segment at d.at and moves on.
func (d *decoder) segmentBody() ([]byte, error) {
	if d.at+2 > len(d.in) {
		return nil, damaged("it ends inside a marker: %w", io.ErrUnexpectedEOF)
	}
	n := int(d.in[d.at])<<8 | int(d.in[d.at+1])
	if n < 2 || d.at+n > len(d.in) {
		return nil, damaged("a segment of %d bytes where %d are left: %w", n, len(d.in)-d.at, io.ErrUnexpectedEOF)
	}
	body := d.in[d.at+2 : d.at+n]
	d.at += n
	return body, nil
}

// markers reads the file from marker to marker; only up to its first scan, if the headers
// are all that is asked for.
func (d *decoder) markers(headers bool) error {
	if len(d.in) < 2 || d.in[0] != 0xff || d.in[1] != 0xd8 {
		return damaged("it does not begin as one")
	}
	for d.at = 2; ; {
		if err := d.ctx.Err(); err != nil {
			return err
		}
		for d.at < len(d.in) && d.in[d.at] != 0xff { // libjpeg passes over what is between
			d.at++
		}
		for d.at < len(d.in) && d.in[d.at] == 0xff {
			d.at++
		}
		if d.at >= len(d.in) {
			return d.end(damaged("it has no end: %w", io.ErrUnexpectedEOF))
		}
		marker := d.in[d.at]
		d.at++
		switch {
		case marker == 0 || marker == 0x01 || marker >= 0xd0 && marker <= 0xd8:
			continue
		case marker == 0xd9:
			return d.end(nil)
		}
		body, err := d.segmentBody()
		if err != nil {
			return d.end(err)
		}
		if marker == 0xda {
			if err = d.startScan(body, headers); err != nil || headers || !d.several {
				return err // or this is the one scan there is
			}
		} else if err = d.header(marker, body, headers); err != nil {
			return err
		}
	}
}

// processes names the coding processes that are not decoded, by the marker of their frame.
var processes = map[byte]string{
	0xc3: "lossless coding", 0xc5: "hierarchical coding", 0xc6: "hierarchical coding", 0xc7: "hierarchical coding", 0xc8: "an extension",
	0xc9: "arithmetic coding", 0xca: "arithmetic coding", 0xcb: "lossless arithmetic coding",
	0xcd: "hierarchical arithmetic coding", 0xce: "hierarchical arithmetic coding", 0xcf: "hierarchical arithmetic coding", 0xde: "hierarchical coding",
}

// header reads a marker segment that is no scan.
func (d *decoder) header(marker byte, body []byte, headers bool) error {
	if name := processes[marker]; name != "" {
		return unsupported("%s", name)
	}
	switch marker {
	case 0xc0, 0xc1, 0xc2:
		return d.frame(body, marker == 0xc2)
	case 0xc4:
		if !headers {
			return d.huffmanTables(body)
		}
	case 0xdb:
		return d.quantTables(body)
	case 0xdd:
		if len(body) < 2 {
			return damaged("a restart interval of %d bytes", len(body))
		}
		d.interval = int(body[0])<<8 | int(body[1])
	case 0xe0:
		d.jfif = d.jfif || len(body) >= 14 && string(body[:5]) == "JFIF\x00"
	case 0xee:
		if len(body) >= 12 && string(body[:5]) == "Adobe" {
			d.adobe = int(body[11])
		}
	}
	return nil
}

// end is reached after all scans, where there are several; or where the file cannot be read
// on, which is no matter if nothing is missing.
func (d *decoder) end(cut error) error {
	if !d.several {
		if cut == nil {
			cut = damaged("it ends before its image")
		}
		return cut
	}
	for _, c := range d.components {
		if !c.latched {
			return damaged("a colour has no scan")
		}
		for k, bits := range c.known {
			switch {
			case !d.progressive || bits == 0:
			case cut != nil:
				return cut
			case k >= 1 && k <= 9: // libjpeg smooths such blocks (jdcoefct.c, smoothing_ok)
				return unsupported("the scans leave out bits of coefficient %d of colour %d", k, c.id)
			}
		}
	}
	for _, c := range d.components {
		if err := d.transformAll(c); err != nil {
			return err
		}
	}
	return nil
}

// frame reads a frame header, T.81 B.2.2.
func (d *decoder) frame(b []byte, progressive bool) error {
	if d.width != 0 {
		return damaged("it has two frames")
	}
	if len(b) < 6 || len(b) < 6+3*int(b[5]) {
		return damaged("a frame header of %d bytes", len(b))
	}
	if b[0] != 8 {
		return unsupported("samples of %d bits", b[0])
	}
	height, width, n := int(b[1])<<8|int(b[2]), int(b[3])<<8|int(b[4]), int(b[5])
	switch {
	case height == 0:
		return unsupported("the height comes after the image")
	case width == 0:
		return damaged("it has no pixels")
	case n != 1 && n != 3 && n != 4:
		return unsupported("%d colours", n)
	}
	d.width, d.height, d.progressive, d.hMax, d.vMax = width, height, progressive, 1, 1
	for i := range n {
		c := &d.store[i]
		*c = component{plane: c.plane, coefs: c.coefs, id: int(b[6+3*i]), h: int(b[7+3*i] >> 4), v: int(b[7+3*i] & 15), quantIndex: int(b[8+3*i])}
		if c.h < 1 || c.h > 4 || c.v < 1 || c.v > 4 || c.quantIndex > 3 {
			return damaged("colour %d is sampled %dx%d, with table %d", i, c.h, c.v, c.quantIndex)
		}
		if n == 1 { // one colour alone is never sampled otherwise than the image
			c.h, c.v = 1, 1
		}
		d.hMax, d.vMax = max(d.hMax, c.h), max(d.vMax, c.v)
		d.components = append(d.components, c)
	}
	for _, c := range d.components {
		if d.hMax%c.h != 0 || d.vMax%c.v != 0 {
			return unsupported("a colour sampled %dx%d, which does not divide the largest factors, %dx%d", c.h, c.v, d.hMax, d.vMax)
		}
		c.width, c.height = over(width*c.h, d.hMax), over(height*c.v, d.vMax)
		c.fullW, c.fullH = over(c.width, 8), over(c.height, 8)
		c.wide, c.high = over(width, 8*d.hMax)*c.h, over(height, 8*d.vMax)*c.v
		for k := range c.known {
			c.known[k] = -1
		}
	}
	return nil
}

// bytes is the memory that decoding takes: for the samples, for the coefficients where they
// are kept, for the codes and for the result.
func (d *decoder) bytes() int64 {
	n := int64(len(d.in)) + int64(min(len(d.components), 3))*int64(d.width)*int64(d.height)
	for _, c := range d.components {
		blocks := int64(c.wide) * int64(c.high)
		n += 64*blocks + 2*margin*8*int64(c.high)
		if d.several {
			n += 2 * 64 * blocks
		}
	}
	return n
}

// over is a/b rounded up.
func over(a, b int) int { return (a + b - 1) / b }

// quantTables reads T.81 B.2.4.1.
func (d *decoder) quantTables(b []byte) error {
	for len(b) > 0 {
		wide, index := int(b[0]>>4), int(b[0]&15)
		size := 64 * (1 + wide)
		if wide > 1 || index > 3 || len(b) < 1+size {
			return damaged("a quantization table is not whole")
		}
		for k := range 64 {
			v := uint16(b[1+k])
			if wide == 1 {
				v = uint16(b[1+2*k])<<8 | uint16(b[2+2*k])
			}
			d.quants[index][natural[k]] = int16(v)
		}
		d.haveQuant[index] = true
		b = b[1+size:]
	}
	return nil
}

// natural is the place, 8 times v plus u, of the k-th coefficient in zigzag order.
var natural = [64]uint8{
	0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5,
	12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21, 28,
	35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51,
	58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
}

// paired is the same in one block of two, as package pixel has them.
var paired = func() (p [64]uint8) {
	for k, n := range natural {
		p[k] = n/8*16 + n%8
	}
	return p
}()

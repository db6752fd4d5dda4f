package jpeg

import (
	"context"
	"image"
	"io"
	"sync"
)

// decoders holds decoders for reuse, with their buffers and tables.
var decoders = sync.Pool{New: func() any { return new(decoder) }}

// component is one colour of a file.
type component struct {
	id, h, v               int
	quantIndex             int
	quant                  [64]int16 // by rows, as defined at the first scan of the component
	quantSet               bool
	width, height          int // samples
	blocksWide, blocksHigh int // blocks, padded to full MCUs
	fullW, fullH           int // blocks that contain samples

	part        image.Rectangle // the blocks that are needed
	plane       []uint8         // the samples of these, with margins
	stride      int
	coefs       []int16  // the coefficients of all blocks, by rows, in a file with several scans
	missingBits [64]int8 // in a progressive file, how many low bits of each coefficient, in zigzag order, are missing; -1 for all

	pending   [128]int16 // up to two blocks that are not yet transformed
	positions [2]int     // where these begin in the plane
	count     int        // how many there are
	dc        *huffman
	ac        *huffman
	previous  int32 // the previous DC coefficient
}

// decoder decodes one file at a time.
type decoder struct {
	ctx    context.Context
	in     []byte
	at     int // the position in in
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
	adobe         int // the transform in the Adobe marker; below 0 without one
	colours       colours
	scans         int
	work          int64 // how many coefficients the scans went over
	manyScans     bool  // coefficients are kept until all scans are read

	scan      []byte // the present scan without stuffed zeros and markers, with a margin
	segments  []int  // the ends of its restart segments
	scanErr   error  // why it ended, if not by a valid marker
	segment   int
	bits      bits
	eobRun    int
	rows      [4][]uint8
	discarded [128]int16 // the target of blocks that are not needed
}

// reset prepares the decoder for a file. It keeps buffers and code tables, which many files share.
func (d *decoder) reset(ctx context.Context, content []byte) {
	d.ctx, d.in, d.at = ctx, content, 0
	d.width, d.height, d.progressive = 0, 0, false
	d.components = d.components[:0]
	d.haveQuant = [4]bool{}
	for i := range 4 {
		d.dcs[i].defined, d.acs[i].defined = false, false
	}
	d.interval, d.jfif, d.adobe, d.scans, d.work, d.manyScans, d.eobRun = 0, false, -1, 0, 0, false, 0
}

// release returns the decoder to the pool, without the buffers of a large file.
func (d *decoder) release() {
	d.ctx, d.in, d.choose = nil, nil, nil
	for i := range d.store {
		c := &d.store[i]
		c.plane, c.coefs = retained(c.plane), retained(c.coefs)
	}
	d.scan = retained(d.scan)
	decoders.Put(d)
}

// segmentBody returns the body of the marker segment at d.at and advances d.at.
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

// ceilDiv returns a/b rounded up.
func ceilDiv(a, b int) int { return (a + b - 1) / b }

// colours is the colour space of a file.
type colours int

const (
	grey colours = iota
	rgb
	ycbcr
	cmyk
	ycck // YCbCr of the complements of cyan, magenta and yellow; and black
)

// scanHeader is the header of a scan (T.81, B.2.3).
type scanHeader struct {
	components           []*component
	first, last          int // the range of coefficients
	high, low            int // the bit positions of the previous scan and of this one
	unitsWide, unitsHigh int
}

// margin is the space on both sides of a plane for neighbours that are repeated at the edges.
const margin = 16

// maxRetained is the largest capacity of a buffer that a decoder keeps for the next file.
const maxRetained = 1 << 24

// retained returns s, or nil if it is too large to be kept for the next file.
func retained[T any](s []T) []T {
	if cap(s) > maxRetained {
		return nil
	}
	return s
}

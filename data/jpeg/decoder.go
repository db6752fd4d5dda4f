package jpeg

import (
	"context"
	"image"
	"io"
	"sync"
)

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

// over is a/b rounded up.
func over(a, b int) int { return (a + b - 1) / b }

// colours says what the samples of a file are.
type colours int

const (
	grey colours = iota
	rgb
	ycbcr
	cmyk
	ycck // YCbCr of the complements of cyan, magenta and yellow, and black
)

// scanHeader is T.81 B.2.3.
type scanHeader struct {
	components         []*component
	first, last        int // coefficients
	high, low          int // bits: of the scan before, and of this
	unitsWide, unitsUp int
}

// The planes have room on both sides for neighbours that are repeated at the edges.
const margin = 16

// maxRetained is the length of buffers that a decoder keeps for the next file.
const maxRetained = 1 << 24

// retained is s for the next file, or nil where it is too long to be kept.
func retained[T any](s []T) []T {
	if cap(s) > maxRetained {
		return nil
	}
	return s
}

package cpu

import (
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu/kernel"
)

// padded is the walk of a convolution over one image. Without other images beside
// it, the pixels at its border, which other taps reach, would be rows of their own
// and each go through all weights. Here the image is copied into a frame of zeros,
// so that all taps reach every pixel, and lines of pixels follow each other: what
// is computed between them, over the frame, is left out of the result.
type padded struct {
	frame          []uint16
	image          []uint16
	h, w, c        int
	padH, padW     int
	line, distance int // pixels of a line of the result, and from one line to the next
}

// paddedWalk turns p into the walk over one padded image, where that pays, and
// returns what is to be done before it.
func (b *binder) paddedWalk(p *halfProduct, s *engine.Conv) (prepare func()) {
	n, c, h, w := s.X.Dims()
	_, _, oh, ow := s.Y.Dims()
	if n != 1 || !b.Static || p.patches || p.taps == 1 || s.Stats != nil || p.dst.half == nil {
		return nil
	}
	f := &padded{image: p.src, h: h, w: w, c: c, padH: s.PadH, padW: s.PadW, line: ow, distance: ow}
	height, width := h+2*s.PadH, w+2*s.PadW
	words := alloc(height * width * c / 2)
	b.private += len(words)
	f.frame = words.half()
	var segs []kernel.Seg
	for i := range s.KH {
		for j := range s.KW {
			segs = append(segs, kernel.Seg{A: (i*s.DilationH*width + j*s.DilationW) * c, B: (i*s.KW + j) * p.tapSize()})
		}
	}
	lines := 1 // of one chunk
	if s.StrideH == 1 && s.StrideW == 1 {
		f.distance = width
		lines = min(max(1, chunkRows/width), ceil(oh*ceil(p.panels, p.together), 4*b.pool.threads))
	}
	p.chunks = nil
	for y := 0; y < oh; y += lines {
		now := min(lines, oh-y)
		p.chunks = append(p.chunks, chunk{
			row: y * ow, rows: (now-1)*f.distance + ow,
			source: y * s.StrideH * width * c, ars: s.StrideW * c, segs: segs,
		})
	}
	p.src, p.lines = f.frame, f
	return f.fill
}

// fill copies the image into its frame, whose border stays zero.
func (f *padded) fill() {
	width := f.w + 2*f.padW
	for y := range f.h {
		copy(f.frame[((y+f.padH)*width+f.padW)*f.c:], f.image[y*f.w*f.c:(y+1)*f.w*f.c])
	}
}

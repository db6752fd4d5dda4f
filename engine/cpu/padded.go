package cpu

import (
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu/kernel"
)

// padded is the walk of a convolution over one image. Without other images beside
// it, the pixels at its border, which other taps reach, would be rows of their own
// and each go through all weights. Here the image is copied into a frame of zeros,
// so that all taps reach every pixel of a line.
type padded struct {
	frame, image   activation
	h, w, c        int
	padH, padW     int
	line, distance int // pixels of a line of the result, and from one line to the next
}

// newPadded returns the frame for the image that a convolution reads, or nil where
// the walk does not pay or does not apply.
func (b *binder) newPadded(s *engine.Conv, padH int) *padded {
	n, c, h, w := s.X.Dims()
	if n != 1 || !b.Static || s.KH*s.KW == 1 || s.Stats != nil {
		return nil
	}
	_, _, _, ow := s.Y.Dims()
	f := &padded{image: b.act(s.X), h: h, w: w, c: c, padH: padH, padW: s.PadW, line: ow, distance: ow}
	size := (h + 2*padH) * f.width() * c
	if f.image.half != nil {
		size = ceil(size, 2)
	}
	words := alloc(size)
	b.private += len(words)
	if f.image.half != nil {
		f.frame.half = words.half()
	} else {
		f.frame.full = words
	}
	return f
}

// width returns the pixels of a line of the frame.
func (f *padded) width() int { return f.w + 2*f.padW }

// halfLines turns p into the walk over one padded image, where that pays, and
// returns what is to be done before it. Lines of pixels follow each other: what is
// computed between them, over the frame, is left out of the result.
func (b *binder) halfLines(p *halfProduct, s *engine.Conv) (prepare func()) {
	if p.patches || p.dst.half == nil {
		return nil
	}
	f := b.newPadded(s, s.PadH)
	if f == nil {
		return nil
	}
	_, _, oh, ow := s.Y.Dims()
	lines := 1 // of one chunk
	if s.StrideH == 1 && s.StrideW == 1 {
		f.distance = f.width()
		lines = min(max(1, chunkRows/f.distance), ceil(oh*ceil(p.panels, p.together), 4*b.pool.threads))
	}
	segs := f.segs(s.Window, 0, s.KH, p.tapSize())
	p.chunks = nil
	for y := 0; y < oh; y += lines {
		now := min(lines, oh-y)
		p.chunks = append(p.chunks, chunk{
			row: y * ow, rows: (now-1)*f.distance + ow,
			source: y * s.StrideH * f.width() * f.c, ars: s.StrideW * f.c, segs: segs,
		})
	}
	p.src, p.lines = f.frame.half, f
	return f.fill
}

// lines turns p into the walk over one image between margins of zeros, line by
// line, where that pays, and returns what is to be done before it. Taps above and
// below the image are left out.
func (b *binder) lines(p *product, s *engine.Conv) (prepare func()) {
	f := b.newPadded(s, 0)
	if f == nil {
		return nil
	}
	_, _, oh, ow := s.Y.Dims()
	p.chunks = nil
	for y := range oh {
		top := y*s.StrideH - s.PadH // of the window; rows from lo to hi are in the image
		lo, hi := ceil(max(0, -top), s.DilationH), min(s.KH, ceil(max(0, f.h-top), s.DilationH))
		if lo >= hi {
			p.chunks = append(p.chunks, chunk{row: y * ow, rows: ow})
			continue
		}
		p.chunks = append(p.chunks, chunk{
			row: y * ow, rows: ow, ars: s.StrideW * f.c,
			source: (top + lo*s.DilationH) * f.width() * f.c, segs: f.segs(s.Window, lo, hi, p.tapSize()),
		})
	}
	p.src = f.frame.full
	p.balance(b.pool.threads)
	return f.fill
}

// segs lists the taps in rows lo to hi of a filter, from the first of them on.
func (f *padded) segs(w engine.Window, lo, hi, tapSize int) []kernel.Seg {
	var segs []kernel.Seg
	for i := lo; i < hi; i++ {
		for j := range w.KW {
			segs = append(segs, kernel.Seg{A: ((i-lo)*w.DilationH*f.width() + j*w.DilationW) * f.c, B: (i*w.KW + j) * tapSize})
		}
	}
	return segs
}

// fill copies the image into its frame, whose border stays zero.
func (f *padded) fill() {
	for y := range f.h {
		to, from, n := ((y+f.padH)*f.width()+f.padW)*f.c, y*f.w*f.c, f.w*f.c
		if f.image.half != nil {
			copy(f.frame.half[to:], f.image.half[from:from+n])
		} else {
			copy(f.frame.full[to:], f.image.full[from:from+n])
		}
	}
}

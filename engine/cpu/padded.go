package cpu

import (
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu/kernel"
)

// padded is a copy of a single image between margins of zeros. In a batch of one, each
// border pixel, which has other taps than its neighbours, would be a row of its own that
// reads all weights again. In the padded copy every pixel of a line has the same taps.
type padded struct {
	frame, image   activation
	h, w, c        int
	padH, padW     int
	line, distance int // pixels of a line of the result, and between the beginnings of lines
}

// newPadded returns the padded copy, which has no memory yet, for the image that a convolution
// reads, or nil where padding does not apply or does not pay.
func (b *binder) newPadded(s *engine.Conv, padH int) *padded {
	n, c, h, w := s.X.Dims()
	if n != 1 || !b.Static || s.KH*s.KW == 1 || s.Stats != nil {
		return nil
	}
	_, _, _, ow := s.Y.Dims()
	return &padded{image: b.act(s.X), h: h, w: w, c: c, padH: padH, padW: s.PadW, line: ow, distance: ow}
}

// allocate gives f memory that all threads share.
func (b *binder) allocate(f *padded) {
	n := f.elements()
	if f.image.bf16 != nil {
		n = ceil(n, 2)
	}
	words := alloc(n)
	b.private += n
	if f.image.bf16 != nil {
		f.frame.bf16 = words.bf16()
	} else {
		f.frame.full = words
	}
}

// elements is the number of elements of the frame.
func (f *padded) elements() int { return (f.h + 2*f.padH) * f.width() * f.c }

// width returns the number of pixels of a line of the frame.
func (f *padded) width() int { return f.w + 2*f.padW }

// bf16Lines makes p compute from a padded image, where that pays, and returns the
// function that fills the image before each run; otherwise it returns nil. A chunk spans
// several lines, and the pixels that it computes in the margins between them are left
// out of the result.
func (b *binder) bf16Lines(p *bf16Product, s *engine.Conv) (prepare func()) {
	if p.patches || p.dst.full != nil {
		return nil
	}
	f := b.newPadded(s, s.PadH)
	if f == nil {
		return nil
	}
	b.allocate(f)
	_, _, oh, ow := s.Y.Dims()
	lines := 1 // lines of one chunk
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
	p.src, p.lines = f.frame.bf16, f
	return f.fill
}

// lines makes p compute from an image with margins of zeros at its sides, where that
// pays, and returns the function that fills the image before each run; otherwise it
// returns nil. A chunk is one line; taps above and below the image are left out.
func (b *binder) lines(p *product, s *engine.Conv) (prepare func()) {
	f := b.newPadded(s, 0)
	if f == nil {
		return nil
	}
	b.allocate(f)
	_, _, oh, _ := s.Y.Dims()
	p.chunks = nil
	for y := range oh {
		p.chunks = append(p.chunks, f.lineChunk(s, y, p.tapSize()))
	}
	p.src = f.frame.full
	p.balance(b.pool.threads)
	if 4*p.groups*p.panels*p.panelSize() >= streamedWeights && p.n%p.set.Cols == 0 {
		p.each, p.streamed = len(p.chunks), s.KW
		p.work = p.stream
	}
	return f.fill
}

// lineChunk returns line y of the result as a chunk, for an image with margins at its sides
// only. Taps above and below the image are left out.
func (f *padded) lineChunk(s *engine.Conv, y, tapSize int) chunk {
	top := y*s.StrideH - s.PadH // of the window, whose rows lo <= i < hi are in the image
	lo, hi := ceil(max(0, -top), s.DilationH), min(s.KH, ceil(max(0, f.h-top), s.DilationH))
	c := chunk{row: y * f.line, rows: f.line}
	if lo < hi {
		c.ars, c.source, c.segs = s.StrideW*f.c, (top+lo*s.DilationH)*f.width()*f.c, f.segs(s.Window, lo, hi, tapSize)
	}
	return c
}

// streamedWeights is the size in bytes from which packed weights are no longer in a
// core's own cache when the next image is computed.
const streamedWeights = 1 << 20

// stream is the task of a single image whose weights come from memory. It reads the
// weights in the order of memory, one row of the filter at a time: it multiplies all
// lines that the row reaches while it prefetches the next row, so that loading weights
// overlaps with computing.
func (p *product) stream(i int) {
	sets := ceil(p.panels, p.together)
	g, first := i/sets, i%sets*p.together
	lo := g*p.n + first*p.set.Cols
	for q := first; q < min(first+p.together, p.panels); q++ {
		for row := range p.taps / p.streamed {
			p.multiplyRow(g, q, row)
		}
	}
	n := min(first+p.together, p.panels)*p.set.Cols + g*p.n - lo
	for at, c := range p.chunks {
		if len(c.segs) == 0 {
			clearColumns(p.dst[c.row*p.groups*p.n+lo:], c.rows, n, p.groups*p.n)
		}
		if p.after != nil {
			p.after.apply(at, c.row, c.rows, lo, n)
		}
	}
}

// multiplyRow adds the products with one row of the filter, in panel q of group g, to
// all lines that the row reaches.
func (p *product) multiplyRow(g, q, row int) {
	taps, panel := p.streamed, (g*p.panels+q)*p.panelSize()
	b, dstC := p.packed(), p.groups*p.n
	steps := 0 // register blocks of all lines, of which done are finished
	for _, c := range p.chunks {
		if _, reached := c.tapsOf(row, taps, p.tapSize()); reached {
			steps += ceil(c.rows, p.set.Rows)
		}
	}
	next, pace, done := panel+(row+1)*taps*p.tapSize(), ceil(4*p.set.Cols, max(steps, 1)), 0
	if next >= len(b) { // nothing follows these weights
		next, pace = panel, 0
	}
	for _, c := range p.chunks {
		segs, reached := c.tapsOf(row, taps, p.tapSize())
		if !reached {
			continue
		}
		at := min(next+done*taps*p.k*pace/4, len(b)-1)
		p.set.GemmFetch(p.dst[c.row*dstC+g*p.n+q*p.set.Cols:], dstC, p.src[c.source+g*p.k:], c.ars, 1,
			b[panel:], p.set.Cols, segs, p.k, c.rows, row*taps*p.tapSize() > c.segs[0].B, b[at:], pace)
		done += ceil(c.rows, p.set.Rows)
	}
}

// tapsOf returns the segments of a chunk for one row of the filter, and whether the
// chunk has any.
func (c *chunk) tapsOf(row, taps, tapSize int) (segs []kernel.Seg, reached bool) {
	if len(c.segs) == 0 {
		return nil, false
	}
	i := row*taps - c.segs[0].B/tapSize
	if i < 0 || i >= len(c.segs) {
		return nil, false
	}
	return c.segs[i : i+taps], true
}

// segs lists the taps in rows lo <= i < hi of a filter, as offsets from the first.
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
		if f.image.bf16 != nil {
			copy(f.frame.bf16[to:], f.image.bf16[from:from+n])
		} else {
			copy(f.frame.full[to:], f.image.full[from:from+n])
		}
	}
}

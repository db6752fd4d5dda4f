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
	if f.image.bf16 != nil {
		size = ceil(size, 2)
	}
	words := alloc(size)
	b.private += len(words)
	if f.image.bf16 != nil {
		f.frame.bf16 = words.bf16()
	} else {
		f.frame.full = words
	}
	return f
}

// width returns the pixels of a line of the frame.
func (f *padded) width() int { return f.w + 2*f.padW }

// bf16Lines turns p into the walk over one padded image, where that pays, and
// returns what is to be done before it. Lines of pixels follow each other: what is
// computed between them, over the frame, is left out of the result.
func (b *binder) bf16Lines(p *bf16Product, s *engine.Conv) (prepare func()) {
	if p.patches || p.dst.bf16 == nil {
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
	p.src, p.lines = f.frame.bf16, f
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
	if 4*p.groups*p.panels*p.panelSize() >= streamedWeights && p.n%p.set.Cols == 0 {
		p.each, p.streamed = len(p.chunks), s.KW
		p.work = p.stream
	}
	return f.fill
}

// streamedWeights are so many bytes that they will not be in a processor's own cache
// when the next image comes.
const streamedWeights = 1 << 20

// stream is the task of a walk whose weights come from afar. It takes them by rows of
// the filter, in the order of memory: all lines of pixels that a row of the filter
// reaches are multiplied by it while the next row is fetched, so that the stream of
// weights goes on all the time and not in turns with the products.
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

// multiplyRow adds the products with one row of the filter, of panel q of group g, to
// all lines that it reaches.
func (p *product) multiplyRow(g, q, row int) {
	taps, panel := p.streamed, (g*p.panels+q)*p.panelSize()
	b, dstC := p.packed(), p.groups*p.n
	steps := 0 // of all lines, in register blocks; done is how many of them are
	for _, c := range p.chunks {
		if _, reached := c.tapsOf(row, taps, p.tapSize()); reached {
			steps += ceil(c.rows, p.set.Rows)
		}
	}
	next, pace, done := panel+(row+1)*taps*p.tapSize(), ceil(4*p.set.Cols, max(steps, 1)), 0
	if next >= len(b) { // these are the last weights
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

// tapsOf returns the segments of a chunk for one row of the filter, if any.
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
		if f.image.bf16 != nil {
			copy(f.frame.bf16[to:], f.image.bf16[from:from+n])
		} else {
			copy(f.frame.full[to:], f.image.full[from:from+n])
		}
	}
}

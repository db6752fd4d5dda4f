package cpu

import "github.com/residual-ml/residual/engine"

// paddedBytes are padded copies of a single image of bytes, one in the work area of every
// thread. A thread copies the lines that its tasks read. So the threads copy at the same time,
// and each reads what it has written itself: a cache line takes long to come from another core.
type paddedBytes struct {
	*padded
	win   engine.Window
	areas *areas
	run   int // number of the run
	have  []linesOf
}

// linesOf are the lines from <= y < end of the image, which a thread has copied in a run.
type linesOf struct {
	run, from, end int
	_              apart
}

// newPaddedBytes is newPadded for bytes.
func (b *binder) newPaddedBytes(s *engine.Conv) *paddedBytes {
	f := b.newPadded(s, 0)
	if f == nil {
		return nil
	}
	b.areas.need(ceil(f.elements(), 4))
	return &paddedBytes{padded: f, win: s.Window, areas: b.areas, have: make([]linesOf, b.pool.threads)}
}

// begin makes all copies void. It is called before each run.
func (f *paddedBytes) begin() { f.run++ }

// copied returns the copy of a thread, with the lines of the image that the lines from <= y < end
// of the result read.
func (f *paddedBytes) copied(thread, from, end int) []uint8 {
	first := min(max(0, from*f.win.StrideH-f.win.PadH), f.h)
	last := min(max(first, (end-1)*f.win.StrideH-f.win.PadH+(f.win.KH-1)*f.win.DilationH+1), f.h)
	frame, have := f.areas.of(thread).bytes()[:f.elements()], &f.have[thread]
	if have.run != f.run || last < have.from || have.end < first {
		have.run, have.from, have.end = f.run, first, first
	}
	for ; have.from > first; have.from-- {
		f.copyLine(frame, have.from-1)
	}
	for ; have.end < last; have.end++ {
		f.copyLine(frame, have.end)
	}
	return frame
}

// copyLine copies a line of the image and clears its margins.
func (f *paddedBytes) copyLine(frame []uint8, y int) {
	margin, n := f.padW*f.c, f.w*f.c
	to := frame[y*f.width()*f.c:][:n+2*margin]
	clear(to[:margin])
	copy(to[margin:], f.image.bytes[y*n:][:n])
	clear(to[margin+n:])
}

package cpu

import (
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu/kernel"
	"github.com/residual-ml/residual/graph"
)

// byteProduct is product for a source of 8 bits and weights that are rounded to 8 bits.
// Sums are exact integers. The kernels finish them in registers, so they are never in
// memory.
type byteProduct struct {
	bytes   *kernel.Int8
	k, n    int // channels of the source and of the destination
	taps    int
	src     []uint8
	dst     activation
	after   *byteEpilogue
	chunks  []chunk
	threads int

	panels   int
	together int  // panels that one task computes
	each     int  // chunks that one task computes
	fetches  bool // prefetch weights: there are few rows for each
	packed   func() memory
	work     func(int)
}

// convBytes binds a convolution of integers and what is fused behind it.
func (b *binder) convBytes(s *engine.Conv) func() {
	n, cin, h, w := s.X.Dims()
	_, cout, oh, ow := s.Y.Dims()
	p := &byteProduct{
		bytes: &b.set.Int8, k: cin, n: cout, taps: s.KH * s.KW, threads: b.pool.threads,
		src: b.act(s.X).bytes, dst: b.act(s.Y), after: b.byteEpilogue(s, cout),
	}
	p.panels = ceil(p.n, p.bytes.Cols)
	p.together = min(p.panels, max(1, panelBudget/p.panelSize()))
	runs := gather(oh, ow, n, func(y, x int) []tap { return forwardTaps(s.Window, h, w, y, x) })
	p.chunks = chunks(runs, n, p.k, p.tapSize(), chunkRows)
	frame := b.byteLines(p, s)
	p.each = 1
	if s.KH*s.KW == 1 && s.StrideH == 1 && s.StrideW == 1 && s.PadH == 0 && s.PadW == 0 {
		p.cutPixels(oh * ow * n)
	} else if n == 1 { // a thread computes all lines with the same weights, so that it loads these once
		sets := ceil(p.panels, p.together)
		p.each, p.fetches = ceil(len(p.chunks), ceil(4*p.threads, sets)), true
	}
	weights := b.packBytes(p, s)
	p.work = p.task
	tasks := ceil(p.panels, p.together) * ceil(len(p.chunks), p.each)
	return inOrder(p.after.prepare, weights, frame, func() { b.pool.run(tasks, p.work) })
}

// cutPixels divides the rows of a 1x1 convolution, which follow each other, and its panels into
// tasks: enough for the threads to end at about the same time. Chunks are whole register
// blocks. A few rows have all weights to themselves, so tasks share these rather than the rows.
func (p *byteProduct) cutPixels(rows int) {
	tasks := 4 * p.threads
	if rows <= min(p.n, chunkRows) {
		p.together, p.fetches = min(p.together, ceil(p.panels, tasks)), true
	}
	p.together = ceil(p.panels, ceil(p.panels, p.together)) // sets of about one size
	pieces := max(ceil(rows, chunkRows), ceil(tasks, ceil(p.panels, p.together)))
	most := ceil(ceil(rows, pieces), p.bytes.Rows) * p.bytes.Rows
	p.chunks = nil
	for row := 0; row < rows; row += most {
		p.chunks = append(p.chunks, chunk{row: row, rows: min(most, rows-row), source: row * p.k, ars: p.k, segs: oneSeg})
	}
}

// tapSize is how many elements of a panel belong to one tap.
func (p *byteProduct) tapSize() int { return p.k * p.bytes.Cols }

func (p *byteProduct) panelSize() int { return p.taps * p.tapSize() }

// byteLines makes p compute a single image line by line from a copy with margins of zeros
// at its sides, where that pays, and returns the function that fills the copy before each
// run; otherwise it returns nil. Taps above and below the image are left out.
func (b *binder) byteLines(p *byteProduct, s *engine.Conv) (prepare func()) {
	f := b.newPadded(s, 0)
	if f == nil {
		return nil
	}
	_, _, oh, _ := s.Y.Dims()
	p.chunks = nil
	for y := range oh {
		p.chunks = append(p.chunks, f.lineChunk(s, y, p.tapSize()))
	}
	p.src = f.frame.bytes
	return f.fill
}

// packBytes binds the packing of the weights, rounded to integers.
func (b *binder) packBytes(p *byteProduct, s *engine.Conv) (prepare func()) {
	values, size, cols := b.mem(s.W), p.panelSize(), p.bytes.Cols
	w := weights{value: s.W, round: s.Round}
	p.packed, prepare = b.packing(w, 0, ceil(p.panels*size, 4), p.panels, func(packed memory, q, _ int) {
		n := min(cols, p.n-q*cols)
		panel, rounded := packed.int8s()[q*size:(q+1)*size], make([]int8, p.k*n)
		for t := range p.taps {
			roundWeights(rounded, values[t*p.k*p.n+q*cols:], s.Round, q*cols, p.k, n, p.n)
			p.bytes.PackQuads(panel[t*p.tapSize():], rounded, p.k, n, n, cols)
		}
	})
	return prepare
}

// roundWeights rounds n columns of k rows that lie ld apart, from channel lo on.
func roundWeights(dst []int8, src []float32, round *graph.FakeQuantize, lo, k, n, ld int) {
	for j := range n {
		c := min(lo+j, len(round.Scale)-1)
		for i := range k {
			dst[i*n+j] = int8(round.Integer(float64(src[i*ld+j]), c))
		}
	}
}

// task computes some chunks of rows for as many panels as fit the cache.
func (p *byteProduct) task(i int) {
	pieces := ceil(len(p.chunks), p.each)
	from := i % pieces * p.each
	first := i / pieces * p.together
	last := min(first+p.together, p.panels)
	ahead := p.ahead(first, from)
	if p.each == 1 { // the rows stay in the cache while panels change
		for q := first; q < last; q++ {
			p.multiply(&p.chunks[from], q, q == first, &ahead)
		}
		return
	}
	for q := first; q < last; q++ {
		for at := from; at < min(from+p.each, len(p.chunks)); at++ {
			p.multiply(&p.chunks[at], q, q == first, &ahead)
		}
	}
}

// multiply computes one chunk for one panel.
func (p *byteProduct) multiply(c *chunk, q int, fresh bool, ahead *bytePrefetch) {
	lo, n := q*p.bytes.Cols, min(p.bytes.Cols, p.n-q*p.bytes.Cols)
	e, panel, a, to := p.after.at(c.row, lo), p.packed().int8s()[q*p.panelSize():], p.src[c.source:], c.row*p.n+lo
	next, pace := ahead.take(len(c.segs) * p.k / 4 * ceil(c.rows, p.bytes.Rows))
	if pace == 0 && p.taps == 1 && fresh {
		next, pace = p.src[min(len(p.src)-1, c.source+2*p.bytes.Rows*c.ars):], 4*p.bytes.Rows
	}
	switch {
	case p.dst.bytes != nil:
		p.bytes.DotBytes(p.dst.bytes[to:], p.n, a, c.ars, panel, c.segs, p.k, c.rows, n, e, next, pace)
	case p.dst.bf16 != nil:
		p.bytes.DotBF16(p.dst.bf16[to:], p.n, a, c.ars, panel, c.segs, p.k, c.rows, n, e, next, pace)
	default:
		p.bytes.DotFloat(p.dst.full[to:], p.n, a, c.ars, panel, c.segs, p.k, c.rows, n, e, next, pace)
	}
}

// bytePrefetch is what is prefetched while a task computes.
type bytePrefetch struct {
	data []uint8
	done int
	pace int // bytes for every step
}

// take returns what is prefetched during some steps.
func (f *bytePrefetch) take(steps int) (next []uint8, pace int) {
	if f.done >= len(f.data) {
		return nil, 0
	}
	next = f.data[f.done:]
	f.done += steps * f.pace
	return next, f.pace
}

// ahead returns the prefetching of the weights that this thread probably needs in its
// next task, if each weight is read for few rows only.
func (p *byteProduct) ahead(first, from int) (f bytePrefetch) {
	next := first + p.together
	if !p.fetches || from > 0 || next >= p.panels {
		return f
	}
	f.data = p.packed().bytes()[next*p.panelSize() : min(next+p.together, p.panels)*p.panelSize()]
	steps := 0
	for _, c := range p.chunks[:min(p.each, len(p.chunks))] {
		steps += len(c.segs) * p.k / 4 * ceil(c.rows, p.bytes.Rows) * p.together
	}
	f.pace = min(64, ceil(len(f.data), max(steps, 1))) // a line at most
	return f
}

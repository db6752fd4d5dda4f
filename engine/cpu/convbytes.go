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

	panels  int
	sets    int          // of about as many panels, of which a task computes one
	pieces  int          // of about as many chunks, of which a task computes one
	fetches bool         // prefetch weights: there are few rows for each
	lines   *paddedBytes // the padded copies of a single image, or nil
	packed  func() memory
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
	p.sets = ceil(p.panels, max(1, panelBudget/p.panelSize()))
	runs := gather(oh, ow, n, func(y, x int) []tap { return forwardTaps(s.Window, h, w, y, x) })
	p.chunks = chunks(runs, n, p.k, p.tapSize(), chunkRows)
	b.byteLines(p, s)
	if s.KH*s.KW == 1 && s.StrideH == 1 && s.StrideW == 1 && s.PadH == 0 && s.PadW == 0 {
		p.cutPixels(oh * ow * n)
	} else if n == 1 {
		p.cutLines()
	} else {
		p.pieces = len(p.chunks)
	}
	weights := b.packBytes(p, s)
	task := p.task // a method value in the function would be allocated at every call
	tasks := p.sets * p.pieces
	return inOrder(p.after.prepare, weights, func() {
		if p.lines != nil {
			p.lines.begin()
		}
		b.pool.runOn(tasks, task)
	})
}

// cutPixels divides the rows of a 1x1 convolution, which follow each other, and its panels into
// tasks: enough for the threads to end at about the same time. Chunks are whole register
// blocks. A few rows have all weights to themselves, so tasks share these rather than the rows.
func (p *byteProduct) cutPixels(rows int) {
	tasks := 4 * p.threads
	if rows <= min(p.n, chunkRows) {
		p.sets, p.fetches = max(p.sets, min(p.panels, tasks)), true
	}
	pieces := max(ceil(rows, chunkRows), ceil(tasks, p.sets))
	most := ceil(ceil(rows, pieces), p.bytes.Rows) * p.bytes.Rows
	p.chunks = nil
	for row := 0; row < rows; row += most {
		p.chunks = append(p.chunks, chunk{row: row, rows: min(most, rows-row), source: row * p.k, ars: p.k, segs: oneSeg})
	}
	p.pieces = len(p.chunks)
}

// cutLines divides the lines of a single image and the panels into tasks. A task computes several
// lines with the same weights, so that it loads these once. If there are few lines, the threads
// share the panels.
func (p *byteProduct) cutLines() {
	tasks := 4 * p.threads
	if len(p.chunks) < tasks {
		p.sets = max(p.sets, min(p.panels, p.threads))
	}
	each := ceil(len(p.chunks), ceil(tasks, p.sets))
	p.pieces, p.fetches = ceil(len(p.chunks), each), true
	for p.pieces < len(p.chunks) && p.sets*p.pieces%p.threads != 0 { // as many tasks for every thread
		p.pieces++
	}
}

// tapSize is how many elements of a panel belong to one tap.
func (p *byteProduct) tapSize() int { return p.k * p.bytes.Cols }

func (p *byteProduct) panelSize() int { return p.taps * p.tapSize() }

// byteLines makes p compute a single image line by line from copies with margins of zeros
// at its sides, where that pays. Taps above and below the image are left out.
func (b *binder) byteLines(p *byteProduct, s *engine.Conv) {
	f := b.newPaddedBytes(s)
	if f == nil {
		return
	}
	_, _, oh, _ := s.Y.Dims()
	p.chunks = nil
	for y := range oh {
		p.chunks = append(p.chunks, f.lineChunk(s, y, p.tapSize()))
	}
	p.lines = f
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

// set returns the panels first <= q < last of a set.
func (p *byteProduct) set(i int) (first, last int) {
	return p.panels * i / p.sets, p.panels * (i + 1) / p.sets
}

// piece returns the chunks from <= at < end of a piece.
func (p *byteProduct) piece(i int) (from, end int) {
	return len(p.chunks) * i / p.pieces, len(p.chunks) * (i + 1) / p.pieces
}

// task computes some chunks of rows for as many panels as fit the cache.
func (p *byteProduct) task(i, thread int) {
	first, last := p.set(i / p.pieces)
	from, end := p.piece(i % p.pieces)
	ahead, src := p.ahead(i), p.src
	if p.lines != nil {
		src = p.lines.copied(thread, from, end)
	}
	for q := first; q < last; q++ {
		for at := from; at < end; at++ {
			p.multiply(src, &p.chunks[at], q, q == first, &ahead)
		}
	}
}

// multiply computes one chunk for one panel.
func (p *byteProduct) multiply(src []uint8, c *chunk, q int, fresh bool, ahead *bytePrefetch) {
	lo, n := q*p.bytes.Cols, min(p.bytes.Cols, p.n-q*p.bytes.Cols)
	e, panel, a, to := p.after.at(c.row, lo), p.packed().int8s()[q*p.panelSize():], src[c.source:], c.row*p.n+lo
	next, pace := ahead.take(len(c.segs) * p.k / 4 * ceil(c.rows, p.bytes.Rows))
	if pace == 0 && p.taps == 1 && fresh {
		next, pace = src[min(len(src)-1, c.source+2*p.bytes.Rows*c.ars):], 4*p.bytes.Rows
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
func (p *byteProduct) ahead(task int) (f bytePrefetch) {
	next := task/p.pieces + 1
	if !p.fetches || task%p.pieces > 0 || next >= p.sets {
		return f
	}
	first, last := p.set(next)
	f.data = p.packed().bytes()[first*p.panelSize() : last*p.panelSize()]
	from, end := p.piece(0)
	steps := 0
	for _, c := range p.chunks[from:end] {
		steps += len(c.segs) * p.k / 4 * ceil(c.rows, p.bytes.Rows) * (last - first)
	}
	f.pace = min(64, ceil(len(f.data), max(steps, 1))) // a line at most
	return f
}

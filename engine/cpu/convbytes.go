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
	fetches  bool // prefetch the next panel: each is read for few rows only
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
	weights := b.packBytes(p, s)
	p.work = p.task
	tasks := ceil(p.panels, p.together) * len(p.chunks)
	return inOrder(p.after.prepare, weights, frame, func() { b.pool.run(tasks, p.work) })
}

// tapSize is how many elements of a panel belong to one tap.
func (p *byteProduct) tapSize() int { return p.k * p.bytes.Cols }

func (p *byteProduct) panelSize() int { return p.taps * p.tapSize() }

// byteLines makes p compute a single image line by line from a padded copy, where that
// pays, and returns the function that fills the copy before each run; otherwise it returns
// nil.
func (b *binder) byteLines(p *byteProduct, s *engine.Conv) (prepare func()) {
	n, _, _, _ := s.X.Dims()
	p.fetches = n == 1
	f := b.newPadded(s, s.PadH)
	if f == nil {
		return nil
	}
	_, _, oh, ow := s.Y.Dims()
	segs := f.segs(s.Window, 0, s.KH, p.tapSize())
	p.chunks = nil
	for y := range oh {
		p.chunks = append(p.chunks, chunk{row: y * ow, rows: ow, source: y * s.StrideH * f.width() * f.c, ars: s.StrideW * f.c, segs: segs})
	}
	p.src = f.frame.bytes
	return f.fill
}

// packBytes binds the packing of the weights, rounded to integers.
func (b *binder) packBytes(p *byteProduct, s *engine.Conv) (prepare func()) {
	values, size, cols := b.mem(s.W), p.panelSize(), p.bytes.Cols
	w := weights{value: s.W, round: s.Round}
	p.packed, prepare = b.packing(w, 0, ceil(p.panels*size, 4), p.panels, func(packed memory, q int) {
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

// task computes one chunk of rows for as many panels as fit the cache.
func (p *byteProduct) task(i int) {
	at := i % len(p.chunks)
	c := &p.chunks[at]
	first := i / len(p.chunks) * p.together
	last := min(first+p.together, p.panels)
	size, packed := p.panelSize(), p.packed().int8s()
	next, pace := p.nextPanels(c, at, last, last-first)
	for q := first; q < last; q++ {
		lo, n := q*p.bytes.Cols, min(p.bytes.Cols, p.n-q*p.bytes.Cols)
		e, panel, a, to := p.after.at(c.row, lo), packed[q*size:], p.src[c.source:], c.row*p.n+lo
		switch {
		case p.dst.bytes != nil:
			p.bytes.DotBytes(p.dst.bytes[to:], p.n, a, c.ars, panel, c.segs, p.k, c.rows, n, e, next, pace)
		case p.dst.bf16 != nil:
			p.bytes.DotBF16(p.dst.bf16[to:], p.n, a, c.ars, panel, c.segs, p.k, c.rows, n, e, next, pace)
		default:
			p.bytes.DotFloat(p.dst.full[to:], p.n, a, c.ars, panel, c.segs, p.k, c.rows, n, e, next, pace)
		}
		next = nil
	}
}

// nextPanels returns the part of the weights after the given panels that is prefetched
// while a chunk of a single image is computed, and the pace: all chunks together read the
// panels that the next tasks need.
func (p *byteProduct) nextPanels(c *chunk, at, last, count int) (next []uint8, pace int) {
	if !p.fetches || last >= p.panels {
		return nil, 0
	}
	steps := len(c.segs) * p.k / 4 * ceil(c.rows, p.bytes.Rows)
	ahead := min(count, p.panels-last) * p.panelSize()
	from := last*p.panelSize() + ahead*at/len(p.chunks)
	if steps == 0 {
		return nil, 0
	}
	return p.packed().bytes()[from:], ceil(ahead, steps*len(p.chunks))
}

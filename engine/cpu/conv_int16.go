package cpu

import (
	"math"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu/kernel"
)

// int16Product computes a 1x1 convolution of activations in bfloat16 with products of 16-bit
// integers, on processors that have instructions for these but none for bfloat16. Every
// pixel of an image, and every column of the weights in a chunk of channels, has a scale of
// its own, such that no sum of a chunk can overflow. The result does not depend on the other
// images of a batch.
type int16Product struct {
	set    *kernel.Set
	ints   *kernel.Int16
	k, n   int // channels of the source and of the result
	src    []uint16
	dst    []uint16
	after  *epilogue
	areas  *areas
	chunks []chunk

	panels   int
	together int // panels that one task computes
	packed   func() memory
}

// Integers of activations are at most int16Limit. The absolute weights of a column in a
// chunk of int16Chunk channels add up to at most 2^31/int16Limit, with half a unit more for
// the rounding of each. Both are rounded to about 13 bits of their largest, a few times
// finer than bfloat16.
const (
	int16Limit = 1<<13 - 1
	int16Chunk = 256
)

// byInt16 reports whether a convolution in bfloat16 is computed with integers.
func (b *binder) byInt16(s *engine.Conv) bool {
	_, cin, _, _ := s.X.Dims()
	w := s.Window
	return b.set.Int16.ForBF16 && b.Static && w.KH*w.KW == 1 && w.PadH == 0 && w.PadW == 0 && w.Groups == 1 &&
		cin >= 32 && cin%2 == 0 && isBF16(s.Y) && s.Stats == nil
}

// convInt16 binds such a convolution and what is fused behind it.
func (b *binder) convInt16(s *engine.Conv, runs []run, after *epilogue) func() {
	n, cin, _, _ := s.X.Dims()
	_, cout, _, _ := s.Y.Dims()
	p := &int16Product{set: b.set, ints: &b.set.Int16, k: cin, n: cout, src: b.act(s.X).bf16, dst: b.act(s.Y).bf16, after: after, areas: b.areas}
	p.panels = ceil(cout, p.ints.Cols)
	p.together = min(p.panels, max(1, panelBudget/(4*p.panelSize())))
	most := max(p.ints.Rows, min(chunkRows, (192<<10)/(2*cin)))
	p.chunks = chunks(runs, n, cin, 0, most)
	b.areas.need(most * (p.ints.Cols + 1 + cin/2))
	values, size := b.mem(s.W), p.panelSize()
	packed, prepare := b.packing(weights{value: s.W, bf16: true}, 1, p.panels*size, p.panels, func(packed memory, q, _ int) {
		p.pack(packed[q*size:][:size], values, q)
	})
	p.packed = packed
	tasks := len(p.chunks) * ceil(p.panels, p.together)
	return inOrder(prepare, func() { b.pool.runOn(tasks, p.task) })
}

// parts is the number of chunks of channels.
func (p *int16Product) parts() int { return ceil(p.k, int16Chunk) }

// panelSize is the number of float32 that the integers of a panel and their scales take.
func (p *int16Product) panelSize() int { return (p.k/2 + p.parts()) * p.ints.Cols }

// pack writes panel q and its scales from weights [k][n].
func (p *int16Product) pack(panel, weight memory, q int) {
	cols, lo := p.ints.Cols, q*p.ints.Cols
	n := min(cols, p.n-lo)
	integers, scales := panel.int16s(), panel[p.k/2*cols:]
	factors := make([]float32, n)
	for part := range p.parts() {
		from := part * int16Chunk
		channels := min(int16Chunk, p.k-from)
		for j := range n {
			factors[j], scales[part*cols+j] = weightFactors(weight[from*p.n+lo+j:], channels, p.n)
		}
		p.ints.PackPairsFloat(integers[from*cols:], weight[from*p.n+lo:], factors, channels, n, p.n, cols)
	}
}

// weightFactors returns the factor that makes integers of a column of weights, which lie ld
// apart, and the scale of these integers. A column that is not finite has the scale NaN.
func weightFactors(column []float32, channels, ld int) (factor, scale float32) {
	sum, largest := 0.0, 0.0
	for i := range channels {
		v := math.Abs(float64(column[i*ld]))
		sum += v
		largest = max(largest, v)
	}
	switch {
	case sum == 0:
		return 0, 0
	case !(sum <= math.MaxFloat32):
		return 0, float32(math.NaN())
	}
	f := min((math.MaxInt32/int16Limit-float64(channels))/sum, math.MaxInt16/largest, 0x1p100)
	return float32(f), float32(1 / float64(float32(f)))
}

// task computes one chunk of rows for as many panels as fit the cache.
func (p *int16Product) task(i, thread int) {
	area := p.areas.of(thread)
	at, first := i%len(p.chunks), i/len(p.chunks)*p.together
	c, cols := &p.chunks[at], p.ints.Cols
	block, rest := area[:c.rows*cols], area[c.rows*cols:]
	rowScale, a := rest[:c.rows], rest[c.rows:].int16s()
	p.ints.ScaleRows(a, rowScale, p.src[c.source+c.segs[0].A:], c.rows, p.k, c.ars, int16Limit)
	packed, size := p.packed(), p.panelSize()
	for q := first; q < min(first+p.together, p.panels); q++ {
		lo, n := q*cols, min(cols, p.n-q*cols)
		panel := packed[q*size:][:size]
		integers, scales := panel.int16s(), panel[p.k/2*cols:]
		for part := range p.parts() {
			from := part * int16Chunk
			p.ints.DotRows(block, cols, a[from:], p.k, integers[from*cols:], scales[part*cols:], rowScale,
				min(int16Chunk, p.k-from), c.rows, n, part > 0)
		}
		if p.after != nil {
			p.after.finish(block, cols, at, c.row, c.rows, lo, n)
			continue
		}
		p.set.BF16.Finish(p.dst[c.row*p.n+lo:], p.n, block, cols, nil, nil, nil, false, c.rows, n)
	}
}

package cpu

import (
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu/kernel"
)

// winogradBytes computes a convolution of 8-bit integers by a tiling. ByteTiles of kernel says
// how. Its results have the bits of direct sums.
type winogradBytes struct {
	tiledWork
	bytes  *kernel.Int8
	src    []uint8
	dst    activation
	after  *byteEpilogue
	packed func() memory

	// Panels of weights that a panel of the work has: two if they have only 16 columns, so
	// that the results of an image are 32 bytes.
	together int
}

// convInt8 binds a convolution of integers and what is fused behind it: by a tiling where
// that is faster, if the weights are small enough for it.
func (b *binder) convInt8(s *engine.Conv) func() {
	f, ok := b.byteTiling(s)
	if !ok {
		return b.convBytes(s)
	}
	n, cin, h, wide := s.X.Dims()
	_, cout, oh, ow := s.Y.Dims()
	w := &winogradBytes{
		tiledWork: tiledWork{f: f, padH: s.PadH, padW: s.PadW},
		bytes:     &b.set.Int8, src: b.act(s.X).bytes, dst: b.act(s.Y), after: b.byteEpilogue(s, cout),
	}
	to := geometry{oh, ow, n, cout}
	w.divide(b, geometry{h, wide, n, cin}, to, w.groupRows(to, cin, b.pool.threads))
	w.together = 1
	if n > 1 && w.k.Cols < 32 {
		w.together = min(2, w.panels)
	}
	weights, borrowed := b.packWinogradBytes(w, s)
	w.panels = ceil(w.panels, w.together)
	tiles := inOrder(w.after.prepare, w.bind(b, w, borrowed))
	const largest = 128
	if 9*cin*largest <= kernel.ByteTileLimit(f.m) {
		return inOrder(weights, tiles)
	}
	direct := b.convBytes(s)
	return func() {
		weights()
		if w.exact() {
			tiles()
		} else {
			direct()
		}
	}
}

// groupRows is about how many rows a group has.
func (w *winogradBytes) groupRows(to geometry, channels, threads int) int {
	switch {
	case channels <= 64 && to.batch == 1:
		return w.evenRows(to, threads)
	case channels <= 64:
		return 28
	}
	return groupRows16(channels, to.batch)
}

func (w *winogradBytes) inputSize() int { return w.f.points() * w.inputStep() / 2 }

func (w *winogradBytes) workSize() int { return w.together*w.sumsSize() + kernel.ByteTileScratch }

// sumsSize is the number of sums of a panel of weights.
func (w *winogradBytes) sumsSize() int { return w.f.points() * w.productStep() }

// panelSize is the number of integers in the packed weights of a panel.
func (w *winogradBytes) panelSize() int { return w.f.points() * w.depth * w.k.Cols }

// packWinogradBytes binds the packing of the weights: the panels, and behind them for each the
// number of columns that are not exact. It returns how many elements of borrowed scratch they
// take.
func (b *binder) packWinogradBytes(w *winogradBytes, s *engine.Conv) (prepare func(), borrowed int) {
	values, size, cols := b.mem(s.W), w.panelSize()/2, w.k.Cols
	k, cout, limit := w.from.channels, w.to.channels, kernel.ByteTileLimit(w.f.m)
	panels := ceil(cout, cols)
	n := ceil(panels*(size+1), 16) * 16
	if !b.keeps(s.W) {
		borrowed = n
	}
	const taps = 9
	w.packed, prepare = b.packing(weights{value: s.W, round: s.Round}, w.f.m, n, panels, func(packed memory, q, _ int) {
		n := min(cols, cout-q*cols)
		rounded := make([]int8, taps*k*n)
		for t := range taps {
			roundWeights(rounded[t*k*n:], values[t*k*cout+q*cols:], s.Round, q*cols, k, n, cout)
		}
		kernel.FilterBytes(w.f.m, packed[q*size:][:size].int16s(), k*cols, rounded, k, n, cols)
		packed[panels*size:].int32s()[q] = columnsBeyond(limit, rounded, n)
	})
	return prepare, borrowed
}

// columnsBeyond counts the columns of which the weights of one sign sum to more than a limit.
func columnsBeyond(limit int, weights []int8, columns int) (count int32) {
	for j := range columns {
		positive, negative := 0, 0
		for i := j; i < len(weights); i += columns {
			positive += max(0, int(weights[i]))
			negative += max(0, -int(weights[i]))
		}
		if max(positive, negative) > limit {
			count++
		}
	}
	return count
}

// exact reports whether the packed weights give exact results.
func (w *winogradBytes) exact() bool {
	panels := ceil(w.to.channels, w.k.Cols)
	for _, beyond := range w.packed()[panels*w.panelSize()/2:].int32s()[:panels] {
		if beyond > 0 {
			return false
		}
	}
	return true
}

// before does nothing: weights are packed before.
func (w *winogradBytes) before(int, memory) {}

// input transforms the inputs of tiles lo <= t < hi of a group.
func (w *winogradBytes) input(g tileGroup, lo, hi int, to, scratch memory) {
	v := to.int16s()
	for t := lo; t < hi; t++ {
		at, k0, k1, p0, p1 := w.window(g, t)
		var src []uint8
		if k0 < k1 && p0 < p1 {
			src = w.src[at:]
		}
		w.bytes.Tiles.Input(w.f.m, v[t*g.images*w.depth:], w.inputStep(), src, w.from.w*w.from.pixel(), w.from.pixel(), w.from.channels, g.images,
			k0, k1, p0, p1, scratch)
	}
}

// panel multiplies the inputs of a group with one panel of weights and transforms the sums
// back.
func (w *winogradBytes) panel(at, q int, inputs, area memory) {
	g, m := w.groups[at], w.f.m
	n := w.together * w.sumsSize()
	sums, scratch := area[:n].int32s(), area[n:]
	lo := q * w.together * w.k.Cols
	cols := min(w.together*w.k.Cols, w.to.channels-lo)
	for i := 0; i*w.k.Cols < cols; i++ {
		w.multiply(g, q*w.together+i, inputs.int16s(), sums[i*w.sumsSize():])
	}
	row, col, ld := w.to.w*w.to.pixel(), w.to.pixel(), w.to.channels
	for t := range g.tiles {
		y, x := w.tile(g.first + t)
		i1, j1 := min(m, w.to.h-y), min(m, w.to.w-x)
		src, first := sums[t*g.images*w.k.Cols:], (y*w.to.w+x)*w.to.batch+g.image
		e, to := w.after.at(first, lo), first*ld+lo
		switch tiles := &w.bytes.Tiles; {
		case w.dst.bytes != nil:
			tiles.Bytes(m, w.dst.bytes[to:], row, col, ld, src, w.productStep(), w.sumsSize(), e, g.images, i1, j1, cols, scratch)
		case w.dst.bf16 != nil:
			tiles.BF16(m, w.dst.bf16[to:], row, col, ld, src, w.productStep(), w.sumsSize(), e, g.images, i1, j1, cols, scratch)
		default:
			tiles.Float(m, w.dst.full[to:], row, col, ld, src, w.productStep(), w.sumsSize(), e, g.images, i1, j1, cols, scratch)
		}
	}
}

// multiply computes the sums of all points with one panel.
func (w *winogradBytes) multiply(g tileGroup, q int, v []int16, sums []int32) {
	cols, size := w.k.Cols, w.panelSize()
	panel := w.packed().int16s()[q*size:][:size]
	n := ceil(min(cols, w.to.channels-q*cols), cols/2) * cols / 2
	for p := range w.f.points() {
		for i, end := w.fetchedBefore(g, p); i < end && q%w.together == 0; i++ {
			w.fetch(g, i, q*cols)
		}
		at := p * w.depth * cols
		next := panel[min(at+w.depth*cols, len(panel)-1):]
		w.k.DotSums(sums[p*w.productStep():], cols, v[p*w.inputStep():], w.depth, panel[at:], w.depth, g.rows(), n, next, w.pace(g))
	}
}

// fetch prefetches the cache lines of a pixel of a group's results, and of the residual, in a
// panel of columns.
func (w *winogradBytes) fetch(g tileGroup, pixel, lo int) {
	if w.dst.bytes == nil {
		return
	}
	const line = 64
	at, rows, ld, ok := w.lines(g, pixel, lo, line)
	if !ok {
		return
	}
	w.bytes.Tiles.Fetch(w.dst.bytes[at:], rows, ld)
	if res := w.after.residual.bytes; res != nil {
		w.bytes.Tiles.Fetch(res[at:], rows, ld)
	}
}

package cpu

import (
	"unsafe"

	"github.com/residual-ml/residual/engine/cpu/kernel"
)

// images16 is an activation in bfloat16.
type images16 struct {
	geometry
	data []uint16
}

// winograd16 computes a convolution of activations in bfloat16, or the gradient of its
// input, by a tiling whose products are those of 16-bit integers. Tiles of kernel says how
// inputs and weights become integers.
type winograd16 struct {
	tiledWork
	set      *kernel.Set
	src, dst images16
	weights  weights
	filter   kernel.Mix
	packed   func() memory // of all panels; nil where every task packs the panel that it multiplies
	base     []uint16      // to be added to the result, or nil
	after    *epilogue
	signed   bool // the inputs are gradients, of either sign
}

// inputSize is the number of float32 that the transformed inputs of a group and their
// scales take.
func (w *winograd16) inputSize() int {
	return w.f.points()*w.inputStep()/2 + ceil(w.rows, 16)*16
}

// blockSize is the number of float32 of a group's results before statistics are taken.
func (w *winograd16) blockSize() int {
	if w.after == nil || w.after.stats == nil {
		return 0
	}
	return w.f.m * w.f.m * w.rows * w.k.Cols
}

// workSize is the number of float32 that a panel of a group needs.
func (w *winograd16) workSize() int {
	size := w.f.points()*w.productStep() + w.blockSize() + kernel.TileScratch
	if w.packed == nil {
		size = w.packedSize() + max(size, w.packingSize())
	}
	return size
}

// int16s returns the same memory as 16-bit integers.
func (m memory) int16s() []int16 {
	return unsafe.Slice((*int16)(unsafe.Pointer(unsafe.SliceData(m))), 2*len(m))
}

// winograd16 binds w, of which tiling, source, destination, padding, base and epilogue are
// set, with its weights.
func (b *binder) winograd16(w *winograd16, weight weights) func() {
	w.set = b.set
	w.tiledWork.divide(b, w.src.geometry, w.dst.geometry, w.groupRows(b.pool.threads))
	if w.after != nil && w.after.stats != nil {
		rows := make([]int, len(w.groups))
		for i, g := range w.groups {
			for t := range g.tiles {
				y, x := w.tile(g.first + t)
				rows[i] += min(w.f.m, w.dst.h-y) * min(w.f.m, w.dst.w-x) * g.images
			}
		}
		b.initMoments(w.after.stats, rows, false)
	}
	prepare, borrowed := b.packWinograd16(w, weight)
	return inOrder(prepare, w.tiledWork.bind(b, w, borrowed))
}

// groupRows is about how many rows a group has. Those of one image depend on the number of
// threads, unless there are statistics, which are summed by groups.
func (w *winograd16) groupRows(threads int) int {
	if w.dst.batch > 1 || w.src.channels > 64 || w.after != nil && w.after.stats != nil {
		return groupRows16(w.src.channels, w.dst.batch)
	}
	return w.evenRows(w.dst.geometry, threads)
}

// evenRows is about how many rows a group has if the tiles of one image of few channels are
// divided evenly among the threads.
func (w *tiledWork) evenRows(to geometry, threads int) int {
	const most = 36
	tiles := ceil(to.w, w.f.m) * ceil(to.h, w.f.m)
	return ceil(tiles, threads*ceil(tiles, threads*most))
}

// groupRows16 is about how many rows a group has: enough to use every packed weight often,
// and so few that transformed inputs and products stay in the second-level cache.
func groupRows16(channels, batch int) int {
	switch c := channels; {
	case c <= 32 || c >= 512:
		return 64
	case c <= 64 && batch == 1:
		return 14
	case c <= 64:
		return 16
	case c <= 128:
		return 28
	case batch == 1:
		return 16
	}
	return 32
}

// transformed divides the memory of a group's transformed inputs into integers and inverse
// scales.
func (w *winograd16) transformed(m memory) (v []int16, inverse []float32) {
	n := w.f.points() * w.inputStep() / 2
	return m[:n].int16s(), m[n:w.inputSize()]
}

// input transforms the inputs of tiles lo <= t < hi of a group.
func (w *winograd16) input(g tileGroup, lo, hi int, to, scratch memory) {
	v, inverse := w.transformed(to)
	s, row, transform := w.src, w.src.w*w.src.pixel(), w.k.Tiles.Input
	if w.signed {
		transform = w.k.Tiles.SignedInput
	}
	for t := lo; t < hi; t++ {
		at, k0, k1, p0, p1 := w.window(g, t)
		var src []uint16
		if k0 < k1 && p0 < p1 {
			src = s.data[at:]
		}
		transform(w.f.m, v[t*g.images*w.depth:], w.inputStep(), inverse[t*g.images:], src, row, s.pixel(), s.channels, g.images,
			k0, k1, p0, p1, scratch)
	}
}

// panel multiplies the inputs of a group with one panel of weights and transforms the
// products back.
func (w *winograd16) panel(at, q int, inputs, area memory) {
	g := w.groups[at]
	v, inverse := w.transformed(inputs)
	panel, area := w.panelOf(q, area)
	products, remaining := area[:w.f.points()*w.productStep()], area[w.f.points()*w.productStep():]
	w.multiply(g, q, panel, v, products)
	block, scratch := remaining[:w.blockSize()], remaining[w.blockSize():]
	lo := q * w.k.Cols
	n := min(w.k.Cols, w.dst.channels-lo)
	for t := range g.tiles {
		y, x := w.tile(g.first + t)
		i1, j1 := min(w.f.m, w.dst.h-y), min(w.f.m, w.dst.w-x)
		src, inverse := products[t*g.images*w.k.Cols:], inverse[t*g.images:]
		if len(block) > 0 {
			w.k.Tiles.OutputFloat(w.f.m, block, src, w.productStep(), inverse, g.images, i1, j1, scratch)
			block = block[i1*j1*g.images*w.k.Cols:]
			continue
		}
		to := (y*w.dst.w+x)*w.dst.pixel() + g.image*w.dst.channels + lo
		var scale, shift []float32
		var res []uint16
		relu := false
		switch {
		case w.base != nil:
			res = w.base[to:]
		case w.after != nil:
			scale, shift, res, relu = from(w.after.scale, lo), from(w.after.shift, lo), w.after.residual.at(to).bf16, w.after.relu
		}
		w.k.Tiles.Output(w.f.m, w.dst.data[to:], w.dst.w*w.dst.pixel(), w.dst.pixel(), w.dst.channels, src, w.productStep(), inverse,
			scale, shift, res, relu, g.images, i1, j1, n, scratch)
	}
	if w.blockSize() > 0 {
		w.finish(at, lo, n, remaining)
	}
}

// multiply computes the products of all points with one panel.
func (w *winograd16) multiply(g tileGroup, q int, packed panel16, v []int16, products []float32) {
	cols, panel := w.k.Cols, packed.integers
	n := ceil(min(cols, w.dst.channels-q*cols), w.k.Cols/2) * w.k.Cols / 2
	for p := range w.f.points() {
		for i, end := w.fetchedBefore(g, p); i < end; i++ {
			w.fetch(g, i, q*cols)
		}
		for c := range w.chunks() {
			from := c * w.together()
			k := min(w.together(), w.depth-from)
			at := (p*w.depth + from) * cols
			next := panel[min(at+k*cols, len(panel)-1):]
			w.k.DotFetch(products[p*w.productStep():], cols, v[p*w.inputStep()+from:], w.depth, panel[at:],
				packed.scales[(p*w.chunks()+c)*cols:], k, g.rows(), n, c > 0, next, w.pace(g))
		}
	}
}

// lineWords is the number of bfloat16 in a cache line.
const lineWords = 32

// fetch prefetches the cache lines of a pixel of a group's results, and of what is added to
// them, in a panel of columns.
func (w *winograd16) fetch(g tileGroup, pixel, lo int) {
	at, rows, ld, ok := w.lines(g, pixel, lo, lineWords)
	if !ok {
		return
	}
	w.k.Tiles.Fetch(w.dst.data[at:], rows, ld)
	added := w.base
	if w.after != nil {
		added = w.after.residual.bf16
	}
	if added != nil {
		w.k.Tiles.Fetch(added[at:], rows, ld)
	}
}

// finish takes the statistics of a group's results in n columns from lo on, and applies the
// epilogue to them, pixel by pixel.
func (w *winograd16) finish(at, lo, n int, block []float32) {
	g, e := w.groups[at], w.after
	e.stats.take(e.set, at, activation{full: block}, w.k.Cols, e.stats.rows[at], lo, n)
	if e.shift != nil {
		e.stats.move(at, lo, e.shift[lo:lo+n])
	}
	for t := range g.tiles {
		y, x := w.tile(g.first + t)
		for i := range min(w.f.m, w.dst.h-y) {
			for j := range min(w.f.m, w.dst.w-x) {
				to := ((y+i)*w.dst.w+x+j)*w.dst.pixel() + g.image*w.dst.channels + lo
				e.set.BF16.Finish(w.dst.data[to:], w.dst.channels, block, w.k.Cols, from(e.scale, lo), from(e.shift, lo), e.residual.at(to).bf16,
					e.relu, g.images, n)
				block = block[g.images*w.k.Cols:]
			}
		}
	}
}

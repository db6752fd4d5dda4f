package cpu

import (
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu/kernel"
)

// winogradRows is about how many rows, images times tiles, are transformed before they
// are multiplied: a few megabytes, which fit the last-level cache.
const winogradRows = 512

// nearBudget is how many bytes of inputs and gradients of one point should stay in the
// second-level cache. With fewer than nearLeast rows, reading and writing the sums would
// cost more than the cache gains.
const (
	nearBudget = 256 << 10
	nearLeast  = 64
)

// winogradWeight computes the gradient of a convolution's weight by a tiling:
//
//	dg = Gᵀ [ Σ (Bᵀ d B) ⊗ (A dY Aᵀ) ] G
//
// where the sum is over tiles and images, and ⊗ multiplies every input channel with every
// output channel.
type winogradWeight struct {
	set        *kernel.Set
	f          tiling
	x, dy      imageBatch
	padH, padW int
	across     int
	groups     []tileGroup
	starts     []int // row of the pass at which each group begins
	passes     [][2]int
	rows       int // of the largest pass
	near       int // rows of a pass that one task takes at a time
	parts      int // of the input channels, for more tasks than points
	dw         memory
	work       func() memory
	areas      *areas
	first      int // first group of the current pass
	passRows   int // its rows
}

func (b *binder) winogradWeight(f tiling, x, dy imageBatch, s *engine.ConvGradWeight) func() {
	w := &winogradWeight{
		set: b.set, f: f, x: x, dy: dy, padH: s.PadH, padW: s.PadW, dw: b.mem(s.DW), areas: b.areas,
		across: ceil(dy.w, f.m),
	}
	w.parts = min(ceil(x.channels, b.set.Rows), 4)
	w.near = max(nearLeast, nearBudget/(4*(ceil(x.channels, w.parts)+dy.channels)))
	w.groups = groupTiles(w.across*ceil(dy.h, f.m), dy.batch, groupRows)
	w.plan()
	points, product := f.points(), x.channels*dy.channels
	w.work = b.borrow(points * (w.rows*(x.channels+dy.channels) + product))
	b.areas.need(kernel.MixScratch)
	const lanes = 4096
	pieces := ceil(product, lanes)
	transform, multiply := w.transform, w.multiply
	back := func(i, thread int) {
		area := b.areas.of(thread)
		lo := i * lanes
		b.set.Mix2(f.filterGrad, w.dw[lo:], w.sums()[lo:], 3*product, product, f.t*product, product, min(lanes, product-lo),
			0, f.t, 0, f.t, 3, 3, area)
	}
	return func() {
		for _, pass := range w.passes {
			w.first = pass[0]
			last := pass[1] - 1
			w.passRows = w.starts[last] + w.groups[last].rows()
			b.pool.runOn(pass[1]-pass[0], transform)
			b.pool.run(points*w.parts, multiply)
		}
		b.pool.runOn(pieces, back)
	}
}

// plan divides the groups into passes.
func (w *winogradWeight) plan() {
	at, first := 0, 0
	for i, g := range w.groups {
		if at > 0 && at+g.rows() > winogradRows {
			w.passes = append(w.passes, [2]int{first, i})
			at, first = 0, i
		}
		w.starts = append(w.starts, at)
		at += g.rows()
		w.rows = max(w.rows, at)
	}
	w.passes = append(w.passes, [2]int{first, len(w.groups)})
}

// inputs returns the transformed inputs of a pass, [point][row][channel]. gradients
// returns the transformed gradients in the same order, and sums the products,
// [point][input channel][output channel].
func (w *winogradWeight) inputs() memory { return w.work() }

func (w *winogradWeight) gradients() memory {
	return w.work()[w.f.points()*w.rows*w.x.channels:]
}

func (w *winogradWeight) sums() memory {
	return w.work()[w.f.points()*w.rows*(w.x.channels+w.dy.channels):]
}

// transform transforms the tiles of one group.
func (w *winogradWeight) transform(i, thread int) {
	area := w.areas.of(thread)
	g, start := w.groups[w.first+i], w.starts[w.first+i]
	for t := range g.tiles {
		y, x := (g.first+t)/w.across*w.f.m, (g.first+t)%w.across*w.f.m
		row := start + t*g.images
		w.x.window(w.set, w.f.input, w.inputs()[row*w.x.channels:], w.rows*w.x.channels, y-w.padH, x-w.padW, g.image, g.images, area)
		w.dy.window(w.set, w.f.outputGrad, w.gradients()[row*w.dy.channels:], w.rows*w.dy.channels, y, x, g.image, g.images, area)
	}
}

// multiply adds the products of one point for a part of the input channels. It takes a
// few rows of inputs and gradients at a time, which stay in the second-level cache.
func (w *winogradWeight) multiply(i int) {
	point, part := i/w.parts, i%w.parts
	cin, cout := w.x.channels, w.dy.channels
	in, grad := w.inputs()[point*w.rows*cin:], w.gradients()[point*w.rows*cout:]
	sum := w.sums()[point*cin*cout:]
	lo, hi := cin*part/w.parts, cin*(part+1)/w.parts
	for row := 0; row < w.passRows; row += w.near {
		for co := 0; co < cout; co += w.set.Cols {
			w.set.Gemm(sum[lo*cout+co:], cout, in[row*cin+lo:], 1, cin, grad[row*cout+co:], cout, oneSeg,
				min(w.near, w.passRows-row), hi-lo, min(w.set.Cols, cout-co), w.first > 0 || row > 0)
		}
	}
}

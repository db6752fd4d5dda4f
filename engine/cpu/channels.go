package cpu

import (
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/graph"
)

// channels copies the channels that x and y both have, and sets the other channels of
// y to zero. The channels of an image at one pixel lie together.
func (b *binder) channels(x, y *engine.Value) func() {
	n, from, h, w := x.Dims()
	_, to, _, _ := y.Dims()
	src, dst := b.act(x), b.act(y)
	both := min(from, to)
	return b.rows(n*h*w, func(i, _ int) {
		if dst.bytes != nil {
			row := dst.bytes[i*to : (i+1)*to]
			clear(row[copy(row, src.bytes[i*from:][:both]):])
			return
		}
		if dst.bf16 != nil {
			row := dst.bf16[i*to : (i+1)*to]
			clear(row[copy(row, src.bf16[i*from:][:both]):])
			return
		}
		row := dst.full[i*to : (i+1)*to]
		clear(row[copy(row, src.full[i*from:][:both]):])
	})
}

// stochasticDepth binds stochastic depth. Each run chooses the images to drop with the
// random generator of its key. The channels of an image at one pixel lie together.
func (b *binder) stochasticDepth(op graph.StochasticDepth, in, out *engine.Value) func() {
	n, c, h, w := in.Dims()
	if len(in.Shape) == 1 {
		n, c = c, 1
	}
	if len(in.Shape) > 4 { // row-major
		n, c, h, w = in.Shape[0], in.Numel()/max(1, in.Shape[0]), 1, 1
	}
	src, dst, exe := b.act(in), b.act(out), b.exe
	keep := float32(0)
	if op.P < 1 {
		keep = float32(1 / (1 - op.P))
	}
	b.areas.need(2 * c)
	return b.rows(n*h*w, func(i, thread int) {
		factor := float32(0)
		if graph.DropoutKeep(exe.key, op.Stream, uint64(i%n), op.P) {
			factor = keep
		}
		if dst.bf16 == nil {
			row := dst.full[i*c : (i+1)*c]
			if factor == 0 {
				clear(row)
			} else {
				b.set.Scale(row, factor, src.full[i*c:(i+1)*c])
			}
			return
		}
		if factor == 0 {
			clear(dst.bf16[i*c : (i+1)*c])
			return
		}
		area := b.areas.of(thread)
		wide := area[c : 2*c]
		b.set.Scale(wide, factor, src.read(b.set, i*c, c, area))
		dst.write(b.set, i*c, wide)
	})
}

// rows calls f for every row below n, in parallel tasks of 64 rows.
func (b *binder) rows(n int, f func(i, thread int)) func() {
	const size = 64
	work := func(i, thread int) {
		for row := i * size; row < min((i+1)*size, n); row++ {
			f(row, thread)
		}
	}
	return func() { b.pool.runOn(ceil(n, size), work) }
}

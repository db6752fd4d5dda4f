package cpu

import (
	"math"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu/kernel"
)

// normReduce sums the gradients of a batch norm's gamma and beta over an activation that
// arrives in parts, and applies the mask of a ReLU to it if there is one.
type normReduce struct {
	set         *kernel.Set
	channels    int
	dy, mask, x activation
	masked      activation // dy, where a mask is applied to it in place; else empty
	stats, out  memory
	eps         float64
	dys, dyx    *sums
}

// normReduce returns the reduction of a gradient in so many parts.
func (b *binder) normReduce(s *engine.BatchNormReduce, parts int) *normReduce {
	_, c, _, _ := s.X.Dims()
	return &normReduce{
		set: b.set, channels: c, dy: b.act(s.DY), mask: b.act(s.Mask), x: b.act(s.X), stats: b.mem(s.Stats), out: b.mem(s.Out),
		eps: s.Eps, dys: b.newSums(parts, c), dyx: b.newSums(parts, c),
	}
}

// take adds rows by n columns of the gradient, from row and column lo on, to a part. No
// other call may add the same columns to it.
func (r *normReduce) take(part, row, rows, lo, n int) {
	at := row*r.channels + lo
	bnReduce(r.set, r.dys.block(part)[lo:lo+n], r.dyx.block(part)[lo:lo+n], r.dy.at(at), r.mask.at(at), r.x.at(at), r.masked.at(at),
		r.stats[lo:lo+n], rows, n, r.channels)
}

// finish writes the gradients of gamma and beta.
func (r *normReduce) finish() {
	c := r.channels
	for i, v := range r.dyx.add() {
		r.out[i] = float32(v / math.Sqrt(float64(r.stats[c+i])+r.eps))
	}
	for i, v := range r.dys.add() {
		r.out[c+i] = float32(v)
	}
}

// ReducesNorm reports whether the step computes its gradient in an order that suits
// engine.NormReducer: by direct sums in bfloat16.
func (d *Device) ReducesNorm(s *engine.ConvGradInput) bool {
	if !isBF16(s.DX) || !isBF16(s.DY) || isDepthwise(s.Window, s.DX, s.DY) {
		return false
	}
	_, tiled := d.gradInputTiling(s)
	return !tiled
}

// reduceInto returns the reduction that a gradient of a convolution's input does in so many
// parts, or nil if there is none.
func (b *binder) reduceInto(s *engine.ConvGradInput, parts int) *normReduce {
	if s.Reduce == nil {
		return nil
	}
	r := b.normReduce(&engine.BatchNormReduce{
		X: s.Reduce.X, Stats: s.Reduce.Stats, DY: s.DX, Mask: s.Reduce.Mask, Out: s.Reduce.Out, Eps: s.Reduce.Eps,
	}, parts)
	if s.Reduce.Mask != nil {
		r.masked = r.dy
	}
	return r
}

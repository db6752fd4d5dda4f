package cpu

import (
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/graph"
)

// tabled is the least number of elements for which a table is made, since it takes 65,536
// evaluations.
const tabled = 1 << 18

// byTable binds a function of bfloat16 numbers, or its gradient, as a look-up. ok is false where another
// way is as fast, or where the values are not all in bfloat16.
func (b *binder) byTable(s *engine.Compute, in []activation, out activation) (f func(), ok bool) {
	n := s.Out.Numel()
	for i, a := range append(in, out) {
		if a.bf16 == nil || i < len(in) && s.In[i].Numel() != n {
			return nil, false
		}
	}
	if n < tabled {
		return nil, false
	}
	pieces := ceil(n, pieceSize)
	switch op := s.Op.(type) {
	case graph.Unary:
		if quick(op) != nil {
			return nil, false
		}
		values := (*[1 << 16]uint16)(b.device.tables.table(op, false).values)
		work := func(i, _ int) {
			lo, hi := i*pieceSize, min((i+1)*pieceSize, n)
			to := out.bf16[lo:hi]
			for j, x := range in[0].bf16[lo:hi] {
				to[j] = values[x]
			}
		}
		return func() { b.pool.runOn(pieces, work) }, true
	case graph.UnaryGrad:
		slopes := (*[1 << 16]float64)(b.device.tables.table(op.Unary, true).slopes)
		b.areas.need(pieceSize)
		work := func(i, thread int) {
			lo, hi := i*pieceSize, min((i+1)*pieceSize, n)
			dx := b.areas.of(thread)[:hi-lo]
			b.set.BF16.Widen(dx, in[0].bf16[lo:hi])
			for j, x := range in[1].bf16[lo:hi] {
				dx[j] = float32(float64(dx[j]) * slopes[x])
			}
			b.set.BF16.Narrow(out.bf16[lo:hi], dx)
		}
		return func() { b.pool.runOn(pieces, work) }, true
	}
	return nil, false
}

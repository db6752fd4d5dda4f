package cpu

import (
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/graph"
)

// quantising binds fake quantisation and its gradient. Rounding is computed in float64, as
// in the reference, so that a value becomes the same integer on every device.
func (b *binder) quantising(s *engine.Compute) (func(), bool) {
	strides := s.Out.Layout.Strides(s.Out.Shape)
	in, out := make([]activation, len(s.In)), b.act(s.Out)
	for i, v := range s.In {
		in[i] = b.act(v)
	}
	switch op := s.Op.(type) {
	case graph.FakeQuantize:
		channel := op.Channel(s.Out.Shape, strides)
		return b.blocks(s.Out.Numel(), func(lo, hi int) {
			for i := lo; i < hi; i++ {
				c := channel(i)
				out.set(i, float32(op.Value(op.Integer(float64(in[0].get(i)), c), c)))
			}
		}), true
	case graph.FakeQuantizeGrad:
		channel := op.Channel(s.Out.Shape, strides)
		return b.blocks(s.Out.Numel(), func(lo, hi int) {
			for i := lo; i < hi; i++ {
				dx := float32(0)
				if op.Passes(float64(in[1].get(i)), channel(i)) {
					dx = in[0].get(i)
				}
				out.set(i, dx)
			}
		}), true
	}
	return nil, false
}

package engine

import (
	"math"

	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/tensor"
)

// onBytes reports whether op rounds to integers of 8 bits with one scale.
func onBytes(op graph.FakeQuantize) bool {
	return len(op.Scale) == 1 && op.Low == 0 && op.High == math.MaxUint8
}

// fakeQuantize lowers a rounding. In INT8 an activation becomes a value of 8 bits. A
// rounded variable is computed only if a step needs it, since convolutions of integers
// round their weights themselves.
func (lo *lowering) fakeQuantize(n *graph.Node, op graph.FakeQuantize) {
	if _, ok := n.Inputs[0].Op.(*graph.Leaf); ok {
		return
	}
	if lo.precision != INT8 || !onBytes(op) {
		lo.compute(n)
		return
	}
	x := lo.act(n, 0)
	s := &Quantize{X: x, Y: lo.newValue(n.Shape, x.Layout)}
	s.Y.DType, s.Y.Scale, s.Y.Zero = tensor.Uint8, op.Scale[0], op.Zero
	lo.add(n, s, s.Y)
}

// integers lowers a convolution or linear layer of integers, and returns false if n is
// none that devices compute: its input and its weight have to be quantised with a zero
// point of 0.
func (lo *lowering) integers(n *graph.Node, win Window, wl Layout) bool {
	if lo.precision != INT8 || win.Groups != 1 {
		return false
	}
	x, w := lo.in(n, 0), n.Inputs[1]
	round, ok := w.Op.(graph.FakeQuantize)
	if !ok || x.DType != tensor.Uint8 || x.Zero != 0 || x.Layout != defaultLayout(x.Shape) {
		return false
	}
	if _, ok = w.Inputs[0].Op.(*graph.Leaf); !ok || round.Zero != 0 || round.Low < math.MinInt8 || round.High > math.MaxInt8 || len(round.Scale) > 1 && round.Axis != 0 {
		return false
	}
	terms := w.Shape[1:].Numel()
	if w.Shape[1]%4 != 0 || terms > math.MaxInt32/(math.MaxUint8*-math.MinInt8) {
		return false
	}
	v := lo.valueOf(w.Inputs[0])
	if v.Layout != wl {
		return false
	}
	s := &Conv{Window: win, X: x, W: v, Round: &round, Y: lo.newValue(n.Shape, defaultLayout(n.Shape))}
	if len(n.Inputs) == 3 {
		s.Bias = lo.in(n, 2)
	}
	lo.add(n, s, s.Y)
	return true
}

// staysBytes reports whether a step of op takes input i, v, in 8 bits, or may be fused into
// one that takes it. layout is that of the inputs before it.
func (lo *lowering) staysBytes(op graph.Op, v *Value, i int, layout Layout) bool {
	if v.DType != tensor.Uint8 {
		return false
	}
	switch op := op.(type) {
	case graph.MaxPool2d, graph.Reshape:
		return true
	case graph.Take:
		return op.Fill == 0
	case graph.AvgPool2d:
		return everyNth(op)
	case graph.PadChannels, graph.TakeChannels:
		return v.Zero == 0
	case graph.Add:
		return i == 0 || v.Layout == layout
	case graph.AdaptiveAvgPool2d:
		return op.H == 1 && op.W == 1
	}
	return false
}

// retype gives the output of an operation that only chooses or moves elements the type
// of its input.
func (lo *lowering) retype(s *Compute) {
	if len(s.In) == 0 || s.In[0].DType != tensor.Uint8 {
		return
	}
	switch op := s.Op.(type) {
	case graph.MaxPool2d, graph.Reshape, graph.Take, graph.PadChannels, graph.TakeChannels, graph.AvgPool2d:
		if pool, ok := op.(graph.AvgPool2d); ok { // the mean of one pixel is its maximum, too
			s.Op = graph.MaxPool2d{KH: 1, KW: 1, StrideH: pool.StrideH, StrideW: pool.StrideW, DilationH: 1, DilationW: 1}
		}
		x := s.In[0]
		s.Out.DType, s.Out.Scale, s.Out.Zero = x.DType, x.Scale, x.Zero
	}
}

// everyNth reports whether a pooling takes every nth pixel unchanged.
func everyNth(op graph.AvgPool2d) bool {
	return op.KH == 1 && op.KW == 1 && op.PadH == 0 && op.PadW == 0 && !op.CeilMode && op.Divisor == 0
}

// floating returns the type in which an operation in floating point reads v in a layout.
func (lo *lowering) floating(v *Value, l Layout) tensor.DType {
	if v.DType == tensor.Uint8 {
		return lo.precision.dtype(l)
	}
	return v.DType
}

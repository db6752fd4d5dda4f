package graph

import (
	"math"

	"github.com/residual-ml/residual/tensor"
)

// FakeQuantize rounds every value to the nearest number that an integer of a few bits stands for
// (quantisation), and returns that number:
//
//	q = min(max(round(x/scale) + Zero, Low), High)
//	y = (q - Zero)·scale
//
// where round rounds half to even. NaN becomes the number of High. scale is Scale[0], or, if Scale
// has several elements, Scale[c] for index c along dimension Axis. FakeQuantize is the
// specification of computing in integers: a convolution of two such values is a sum of products of
// the integers q - Zero, times both scales.
//
// The gradient passes straight through where round(x/scale) + Zero lies between Low and High, and
// is 0 elsewhere.
//
// Input and output have one shape.
// https://pytorch.org/docs/stable/generated/torch.fake_quantize_per_channel_affine.html
type FakeQuantize struct {
	Scale     []float32 // positive and finite; one, or one for every channel
	Axis      int       // the dimension of the channels, if Scale has several elements
	Zero      int       // the integer that stands for 0, between Low and High
	Low, High int       // the least and the greatest integer
}

// Uint8 returns the operation that quantises a whole tensor, such as an activation, to integers
// from 0 to 255.
func Uint8(scale float32, zero int) FakeQuantize {
	return FakeQuantize{Scale: []float32{scale}, Zero: zero, High: math.MaxUint8}
}

// Int8 returns the operation that quantises a weight [channels, ...] to integers from -127 to
// 127 that stand for a multiple of its channel's scale.
func Int8(scale ...float32) FakeQuantize {
	return FakeQuantize{Scale: scale, Low: -math.MaxInt8, High: math.MaxInt8}
}

func (FakeQuantize) Name() string { return "FakeQuantize" }

func (o FakeQuantize) Shape(in []tensor.Shape) tensor.Shape {
	s := sameShapes(o, in, 1)
	o.check(o, in)
	return s
}

// check panics if an attribute is invalid or does not fit the first input. The panic names op.
func (o FakeQuantize) check(op Op, in []tensor.Shape) {
	switch s := in[0]; {
	case len(o.Scale) == 0:
		badShapes(op, in, "there is no scale")
	case len(o.Scale) > 1 && (o.Axis < 0 || o.Axis >= len(s)):
		badShapes(op, in, "there are %d scales, but no dimension %d", len(o.Scale), o.Axis)
	case len(o.Scale) > 1 && s[o.Axis] != len(o.Scale):
		badShapes(op, in, "there are %d scales for %d channels", len(o.Scale), s[o.Axis])
	case o.Low > o.Zero || o.Zero > o.High:
		badShapes(op, in, "zero %d does not lie between %d and %d", o.Zero, o.Low, o.High)
	}
	for _, v := range o.Scale {
		if !(v > 0 && v <= math.MaxFloat32) {
			badShapes(op, in, "scale %v is not a positive number", v)
		}
	}
}

func (o FakeQuantize) Gradient(n, dy *Node) []*Node {
	return []*Node{n.Graph.Apply(FakeQuantizeGrad{o}, dy, n.Inputs[0])}
}

func (o FakeQuantize) Reference(n *Node, y []float64, in [][]float64) {
	channel := o.Channel(n.Shape, n.Shape.Strides())
	for i, x := range in[0] {
		c := channel(i)
		y[i] = o.Value(o.Integer(x, c), c)
	}
}

// Channel returns a function from the offset of an element to the index of its scale, for a tensor
// of shape s with the given strides.
func (o FakeQuantize) Channel(s tensor.Shape, strides []int) func(i int) int {
	if len(o.Scale) == 1 {
		return func(int) int { return 0 }
	}
	stride, n := strides[o.Axis], len(o.Scale)
	return func(i int) int { return i / stride % n }
}

// Integer returns q for x, with scale number c.
func (o FakeQuantize) Integer(x float64, c int) int {
	q := o.steps(x, c)
	if !(q <= float64(o.High)) {
		return o.High
	}
	return int(max(q, float64(o.Low)))
}

// steps is q without its limits.
func (o FakeQuantize) steps(x float64, c int) float64 {
	return math.RoundToEven(x/float64(o.Scale[c])) + float64(o.Zero)
}

// Value returns y for q, with scale number c.
func (o FakeQuantize) Value(q, c int) float64 { return float64(q-o.Zero) * float64(o.Scale[c]) }

// FakeQuantizeGrad is the gradient of FakeQuantize: dy where x is within the range of the
// integers, and 0 elsewhere, also where x is NaN.
// Inputs dy and x, of one shape.
type FakeQuantizeGrad struct{ FakeQuantize }

func (FakeQuantizeGrad) Name() string                   { return "FakeQuantizeGrad" }
func (o FakeQuantizeGrad) Gradient(n, dy *Node) []*Node { return noSecond(o) }

func (o FakeQuantizeGrad) Shape(in []tensor.Shape) tensor.Shape {
	s := sameShapes(o, in, 2)
	o.check(o, in)
	return s
}

func (o FakeQuantizeGrad) Reference(n *Node, dx []float64, in [][]float64) {
	channel := o.Channel(n.Shape, n.Shape.Strides())
	for i, x := range in[1] {
		if o.Passes(x, channel(i)) {
			dx[i] = in[0][i]
		}
	}
}

// Passes reports whether the gradient passes at x, with scale number c.
func (o FakeQuantizeGrad) Passes(x float64, c int) bool {
	q := o.steps(x, c)
	return q >= float64(o.Low) && q <= float64(o.High)
}

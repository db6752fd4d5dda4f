package exchange

import (
	"fmt"
	"math"
	"slices"

	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/weights/onnx"
)

// quantisation tells which numbers the integers of a tensor stand for: integer q of channel c is
// (q - zero[c])·scale[c], or (q - zero[0])·scale[0] for the whole tensor.
type quantisation struct {
	scale []float32
	zero  []int64 // as many as scales
	axis  int     // the dimension of the channels, if there are several scales
	kind  onnx.ElementType
}

// quantisedValue is an output of QuantizeLinear. The network computes the numbers that its integers
// stand for; the integers themselves are computed only for a node that takes them as such.
type quantisedValue struct {
	numbers string // the name of the value with these numbers
	by      quantisation
}

// limits returns the least and the greatest integer of a type, which has at most 32 bits.
func limits(t onnx.ElementType) (low, high int) {
	switch t {
	case onnx.Int8:
		return math.MinInt8, math.MaxInt8
	case onnx.Uint16:
		return 0, math.MaxUint16
	case onnx.Int16:
		return math.MinInt16, math.MaxInt16
	case onnx.Int32:
		return math.MinInt32, math.MaxInt32
	}
	return 0, math.MaxUint8
}

// check sets the axis, and reports whether the quantisation suits a tensor of the shape.
func (q *quantisation) check(n *onnx.Node, of tensor.Shape, axis int64) error {
	switch count := len(q.scale); {
	case count == 0:
		return fmt.Errorf("its scale %q is not a float tensor with at least one number", n.Inputs[1])
	case count > 1 && (axis < -int64(len(of)) || axis >= int64(len(of))):
		return fmt.Errorf("axis=%d does not exist in a tensor of %d dimensions", axis, len(of))
	case count > 1:
		q.axis = axisIndex(axis, len(of))
		if of[q.axis] != count {
			return fmt.Errorf("has %d scales for %d channels", count, of[q.axis])
		}
	}
	switch q.kind {
	case onnx.Uint8, onnx.Int8, onnx.Uint16, onnx.Int16:
	case onnx.Int32:
		if n.Op == "DequantizeLinear" {
			break
		}
		fallthrough
	default:
		return fmt.Errorf("integers of type %v are not supported, only UINT8, INT8, UINT16 and INT16", q.kind)
	}
	low, high := limits(q.kind)
	for i, s := range q.scale {
		if !(s > 0 && s <= math.MaxFloat32) {
			return fmt.Errorf("the scale %v is not a positive number", s)
		}
		if z := q.zero[i]; z < int64(low) || z > int64(high) {
			return fmt.Errorf("the zero point %d is none of %v", z, q.kind)
		}
	}
	return nil
}

// same reports whether two quantisations give every integer the same number.
func (q quantisation) same(other quantisation) bool {
	return q.kind == other.kind && slices.Equal(q.scale, other.scale) && slices.Equal(q.zero, other.zero) && (len(q.scale) == 1 || q.axis == other.axis)
}

// operation returns the operation that rounds numbers to those that integers stand for.
func (q quantisation) operation() (graph.FakeQuantize, error) {
	low, high := limits(q.kind)
	for _, z := range q.zero {
		if z != q.zero[0] {
			return graph.FakeQuantize{}, fmt.Errorf("its channels have different zero points, which is only supported for weights")
		}
	}
	return graph.FakeQuantize{Scale: q.scale, Axis: q.axis, Zero: int(q.zero[0]), Low: low, High: high}, nil
}

// integers returns the integers that stand for the numbers of a constant.
func (q quantisation) integers(t *tensor.Tensor) *tensor.Tensor {
	low, high := limits(q.kind)
	ints := make([]int64, t.Numel())
	channel := q.channel(t.Shape())
	for i, x := range t.Data() {
		c := channel(i)
		ints[i] = int64(min(max(math.RoundToEven(float64(x)/float64(q.scale[c]))+float64(q.zero[c]), float64(low)), float64(high)))
		if x != x {
			ints[i] = int64(low)
		}
	}
	return tensor.FromInts(ints, t.Shape()...)
}

// channel returns a function from the offset of an element in a tensor to the index of its scale.
func (q quantisation) channel(s tensor.Shape) func(i int) int {
	return graph.FakeQuantize{Scale: q.scale, Axis: q.axis}.Channel(s, s.Strides())
}

// numbers returns the numbers that computed integers x stand for.
func (q quantisation) numbers(x *graph.Node) *graph.Node {
	return x.Sub(q.perChannel(x, func(c int) float32 { return float32(q.zero[c]) })).Mul(q.perChannel(x, func(c int) float32 { return q.scale[c] }))
}

// integersOf returns the integers that stand for computed numbers x, which numbers returned.
func (q quantisation) integersOf(x *graph.Node) *graph.Node {
	whole := graph.Round.Of(x.Div(q.perChannel(x, func(c int) float32 { return q.scale[c] })), 0, 0)
	return whole.Add(q.perChannel(x, func(c int) float32 { return float32(q.zero[c]) }))
}

// perChannel returns a node with one number for each scale, in a shape that broadcasts to x.
func (q quantisation) perChannel(x *graph.Node, number func(c int) float32) *graph.Node {
	t := tensor.New(len(q.scale))
	for c := range q.scale {
		t.Data()[c] = number(c)
	}
	if len(q.scale) > 1 {
		t = t.Reshape(channelShape(x.Shape, q.axis)...)
	}
	return value{data: t}.asNode(x.Graph)
}

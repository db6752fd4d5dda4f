package exchange

import (
	"fmt"
	"math"
	"slices"

	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/nn"
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

// quantisation reads the scale and the zero point of a QuantizeLinear or DequantizeLinear whose first
// input has the given shape. kind is the type of its integers if it has no zero point.
func (imp *importer) quantisation(n *onnx.Node, a *attributes, of tensor.Shape, kind onnx.ElementType) (q quantisation, err error) {
	axis := a.int("axis", 1)
	a.ignore("saturate", "precision")
	if size := a.int("block_size", 0); size != 0 {
		a.fail("block_size=%d: scales for blocks within a channel are not supported; quantise by tensor or by channel", size)
	}
	if kind == 0 {
		kind = onnx.Uint8
	}
	if to := onnx.ElementType(a.int("output_dtype", 0)); to != 0 && n.Op == "QuantizeLinear" {
		kind = to
	}
	if err := a.done(); err != nil {
		return q, err
	}
	scale, err := imp.constant(n, 1)
	if err != nil {
		return q, fmt.Errorf("%w; a scale that depends on the image makes an image's result depend on the others of its batch", err)
	}
	if scale == nil {
		return q, fmt.Errorf("has no input 1")
	}
	zero, err := imp.constant(n, 2)
	if err != nil {
		return q, err
	}
	q = quantisation{scale: scale.Data(), kind: kind, zero: make([]int64, scale.Numel())}
	if zero != nil {
		if zero.DType() != tensor.Int64 || zero.Numel() != scale.Numel() {
			return q, fmt.Errorf("the zero point is %v %v for a scale of %v", zero.DType(), zero.Shape(), scale.Shape())
		}
		q.zero = zero.Ints()
		if t, ok := imp.types[imp.resolve(n.Inputs[2])]; ok {
			q.kind = t
		}
	}
	return q, q.check(n, of, axis)
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

// quantize reads QuantizeLinear. Of a computed value it makes the numbers that the integers stand
// for, which a DequantizeLinear then returns.
func (imp *importer) quantize(n *onnx.Node, a *attributes) error {
	name := imp.inputNames(n, 1)[0]
	v, err := imp.value(name)
	if err != nil {
		return err
	}
	if !v.present() {
		return fmt.Errorf("has no input 0")
	}
	q, err := imp.quantisation(n, a, v.shape(), 0)
	if err != nil {
		return err
	}
	out := n.Outputs[0]
	imp.types[out] = q.kind
	if v.node == nil {
		if v.isInteger() {
			return fmt.Errorf("its input %q has integers", n.Inputs[0])
		}
		return imp.addConstant(out, q.integers(v.data), nil)
	}
	op, err := q.operation()
	if err != nil {
		return err
	}
	numbers := "\x00numbers of " + out // no readable ONNX graph has a name with a NUL byte
	imp.apply(n.String(), numbers, []string{name}, func(in []value) value {
		return value{node: in[0].node.Graph.Apply(op, in[0].node)}
	})
	imp.quantised[out] = quantisedValue{numbers, q}
	return imp.err
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

// dequantize reads DequantizeLinear.
func (imp *importer) dequantize(n *onnx.Node, a *attributes) error {
	name, out := imp.unchangedInputNames(n)[0], n.Outputs[0]
	if t, ok := imp.constants[name]; ok {
		return imp.dequantizeConstant(n, a, t)
	}
	if v, ok := imp.quantised[name]; ok {
		q, err := imp.quantisation(n, a, imp.shapeOf(v.numbers), v.by.kind)
		if err != nil {
			return err
		}
		if q.same(v.by) {
			imp.alias[out] = v.numbers
			return nil
		}
	}
	if in := &imp.net.Input; in.Bytes && name == imp.preparedImages && name != "" {
		q, err := imp.quantisation(n, a, tensor.Shape{1, in.Channels}, onnx.Uint8)
		if err != nil {
			return err
		}
		scale, shift := make([]float64, len(q.scale)), make([]float64, len(q.scale))
		for c, s := range q.scale {
			scale[c], shift[c] = float64(s), -float64(q.zero[c])*float64(s)
		}
		return imp.prepare(n, name, scale, shift)
	}
	name = imp.inputNames(n, 1)[0]
	v, err := imp.value(name)
	if err != nil {
		return err
	}
	if !v.present() {
		return fmt.Errorf("has no input 0")
	}
	q, err := imp.quantisation(n, a, v.shape(), imp.types[name])
	if err != nil {
		return err
	}
	imp.apply(n.String(), out, []string{name}, func(in []value) value { return value{node: q.numbers(in[0].node)} })
	return imp.err
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

// dequantizeConstant makes the numbers that constant integers stand for. Of weights with 8 bits it
// also records the operation that rounds to these numbers, so that the layer that takes them can be
// computed in integers.
func (imp *importer) dequantizeConstant(n *onnx.Node, a *attributes, t *tensor.Tensor) error {
	if t.DType() != tensor.Int64 {
		return fmt.Errorf("its input %q is %v, not an integer type", n.Inputs[0], t.DType())
	}
	q, err := imp.quantisation(n, a, t.Shape(), imp.types[imp.resolve(n.Inputs[0])])
	if err != nil {
		return err
	}
	out := tensor.New(t.Shape()...)
	channel := q.channel(t.Shape())
	op := graph.FakeQuantize{Scale: q.scale, Axis: q.axis, Low: -math.MaxInt8, High: math.MaxInt8}
	for i, v := range t.Ints() {
		c := channel(i)
		v -= q.zero[c]
		out.Data()[i] = float32(float64(v) * float64(q.scale[c]))
		op.Low, op.High = min(op.Low, int(v)), max(op.High, int(v))
	}
	name := n.Outputs[0]
	if len(t.Shape()) > 1 && (q.kind == onnx.Int8 || q.kind == onnx.Uint8) {
		imp.weights[name] = op
	}
	imp.integersName[name] = imp.resolve(n.Inputs[0])
	return imp.addConstant(name, out, nil)
}

// takeQuantised records how the file quantises the weight of a layer, which is input i of the node.
// transposed says that the layer's weight is the transposed matrix.
func (imp *importer) takeQuantised(l nn.Module, n *onnx.Node, i int, transposed bool) {
	op, ok := imp.weights[imp.resolve(n.Inputs[i])]
	if !ok {
		return
	}
	if transposed {
		op.Axis = 1 - op.Axis
	}
	if imp.net.quantised == nil {
		imp.net.quantised = map[nn.Module]graph.FakeQuantize{}
	}
	imp.net.quantised[l] = op
}

// forward applies a layer of the file, or the module that has replaced it. The weight of the file's
// own layer is quantised as in the file.
func (n *Network) forward(layer nn.Module, x *graph.Node) *graph.Node {
	with := n.current(layer)
	op, ok := n.quantised[layer]
	if !ok || with != layer {
		return with.Forward(x)
	}
	g, first := x.Graph, len(x.Graph.Nodes)
	apply := func(layer graph.Op, x *graph.Node, weight, bias *nn.Parameter) *graph.Node {
		in := []*graph.Node{x, g.Apply(op, g.Variable(weight))}
		if bias != nil {
			in = append(in, g.Variable(bias))
		}
		return g.Apply(layer, in...)
	}
	switch l := layer.(type) {
	case *nn.Conv2d:
		return g.Record(l, first, apply(l.Geometry, x, l.Weight, l.Bias))
	case *nn.Linear:
		to := x.Shape.Clone()
		last := len(to) - 1
		y := apply(graph.Linear{}, x.Reshape(to[:last].Numel(), to[last]), l.Weight, l.Bias)
		to[last] = y.Shape[1]
		return g.Record(l, first, y.Reshape(to...))
	}
	return with.Forward(x)
}

// Quantised reports whether the graph has layers whose weights are integers of 8 bits.
func (n *Network) Quantised() bool { return len(n.quantised) > 0 }

// dynamicOperators are the operators of ONNX that dynamic quantisation uses.
var dynamicOperators = []string{"DynamicQuantizeLinear", "ConvInteger", "MatMulInteger"}

// dynamicQuantisation refuses the operations that choose a scale for each batch, and those that take
// their integers.
func dynamicQuantisation(*importer, *onnx.Node, *attributes) error {
	return fmt.Errorf("belongs to dynamic quantisation, whose scales depend on all images of a batch, so that an image would have another result among other images; " +
		"quantise the float model statically, by residual quantize or by quantize_static of ONNX Runtime")
}

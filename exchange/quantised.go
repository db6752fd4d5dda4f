package exchange

import (
	"fmt"
	"math"

	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/weights/onnx"
)

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

package exchange

import (
	"fmt"
	"math"
	"reflect"
	"strings"

	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/quant"
	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/weights/onnx"
)

// A quantised net is written in QDQ form: each graph.FakeQuantize becomes a QuantizeLinear and a
// DequantizeLinear, and of a weight only its integers and a DequantizeLinear are written. Runtimes
// fuse an operation with the DequantizeLinear of its inputs and the QuantizeLinear of its output to
// one that computes with integers. ONNX Runtime does so only if there is a QuantizeLinear behind
// every convolution. So the terms of residual sums, which stay exact here, are rounded as well: to the
// grid that the scheme has for them, or else to one that covers all numbers that matter.

// quantisedWeight returns the operation that rounds the weight of a convolution or linear layer, if
// its integers have 8 bits.
func quantisedWeight(layer *graph.Node) (op graph.FakeQuantize, ok bool) {
	switch layer.Op.(type) {
	case graph.Conv2d, graph.Linear:
		op, ok = layer.Inputs[1].Op.(graph.FakeQuantize)
	}
	_, constant := constantValues(unquantisedWeight(layer))
	return op, ok && constant && op.Zero == 0 && op.Low >= math.MinInt8 && op.High <= math.MaxInt8 && (len(op.Scale) == 1 || op.Axis == 0)
}

// unquantisedWeight returns the weight of a layer before it is rounded.
func unquantisedWeight(layer *graph.Node) *graph.Node {
	if len(layer.Inputs) < 2 {
		return layer
	}
	return unquantised(layer.Inputs[1])
}

// planQuantised chooses the roundings that are added for the runtimes, and drops the constants that
// are only written as integers.
func (e *exporter) planQuantised(g *graph.Graph, live map[*graph.Node]bool) {
	readers := map[*graph.Node][]*graph.Node{}
	for _, n := range g.Nodes {
		if live[n] {
			for _, in := range n.Inputs {
				readers[in] = append(readers[in], n)
			}
		}
	}
	e.rounded = map[*graph.Node]graph.FakeQuantize{}
	for _, n := range g.Nodes {
		if !live[n] {
			continue
		}
		if _, ok := quantisedWeight(n); ok { // only the integers are written
			for _, in := range n.Inputs[1:] {
				if e.uses[in] == 1 {
					delete(live, in)
				}
			}
		}
		switch n.Op.(type) {
		case graph.FakeQuantize:
			if _, ok := constantValues(n.Inputs[0]); ok && e.uses[n.Inputs[0]] == 1 {
				delete(live, n.Inputs[0])
			}
		case graph.Add:
			e.roundTerms(n, readers)
		case graph.MaxPool2d: // rounding before the maximum gives the same, and runtimes then take it of integers
			in := n.Inputs[0]
			_, images := in.Op.(*graph.Input)
			if op, ok := roundedBy(readers[n]); ok && n != e.out && len(readers[in]) == 1 && !images && unquantised(in) == in {
				e.rounded[in] = op
			}
		}
	}
}

// roundedBy returns the operation with which all readers of a value round it to integers of 8 bits.
func roundedBy(readers []*graph.Node) (op graph.FakeQuantize, ok bool) {
	for i, n := range readers {
		this, rounds := n.Op.(graph.FakeQuantize)
		if _, fits := gridOf(this); !rounds || !fits || i > 0 && !reflect.DeepEqual(op, this) {
			return op, false
		}
		op, ok = this, true
	}
	return op, ok
}

// roundTerms rounds the terms of a residual sum that are outputs of quantised layers, to the range that
// the scheme has for them. Another bound follows from the range of the sum, as it is rounded, and from
// that of the other term: what lies beyond gives the least or the largest integer of the sum in any case.
func (e *exporter) roundTerms(sum *graph.Node, readers map[*graph.Node][]*graph.Node) {
	least, largest := e.boundsOf(sum, readers)
	for i, term := range sum.Inputs {
		layer := layerOfTerm(term)
		if _, ok := quantisedWeight(layer); !ok || len(readers[term]) != 1 {
			continue
		}
		low, high := math.Inf(-1), math.Inf(1)
		if other, ok := rounding(sum.Inputs[1-i]); ok && len(other.Scale) == 1 {
			l, h := limitsOf(other)
			low, high = least-h, largest-l
		}
		if leaf, ok := unquantisedWeight(layer).Op.(*graph.Leaf); ok && e.sums[leaf.Variable] != nil {
			l, h := limitsOf(e.sums[leaf.Variable].Op())
			low, high = max(low, l), min(high, h)
		}
		if !math.IsInf(low, 0) && !math.IsInf(high, 0) {
			e.rounded[term] = quant.GridOf(float32(low), float32(high)).Op()
		}
	}
}

// boundsOf returns the range of the integers to which all readers of a sum, or of its ReLU, round it.
func (e *exporter) boundsOf(sum *graph.Node, readers map[*graph.Node][]*graph.Node) (least, largest float64) {
	out := sum
	if to := readers[sum]; len(to) == 1 && sum != e.out {
		if _, ok := to[0].Op.(graph.ReLU); ok {
			out = to[0]
		}
	}
	result, ok := roundedBy(readers[out])
	if !ok || out == e.out {
		return math.Inf(-1), math.Inf(1)
	}
	return limitsOf(result)
}

// layerOfTerm returns the layer whose batch norm n is, or n.
func layerOfTerm(n *graph.Node) *graph.Node {
	if _, ok := n.Op.(graph.BatchNorm); ok {
		return n.Inputs[0]
	}
	return n
}

// sumsOf returns the grids of the terms of sums that a quantised net has, by the weights of their layers.
func sumsOf(m nn.Module) map[*graph.Variable]*quant.Grid {
	sums := map[*graph.Variable]*quant.Grid{}
	if net, ok := m.(*quant.Net); ok {
		for _, p := range nn.Named(net.Module) {
			sums[p.Variable] = net.Scheme.Layers[p.Name].Sum
		}
	}
	return sums
}

// limitsOf returns the numbers of the least and the greatest integer.
func limitsOf(op graph.FakeQuantize) (low, high float64) {
	return op.Value(op.Low, 0), op.Value(op.High, 0)
}

// writeQuantised writes graph.FakeQuantize.
func (e *exporter) writeQuantised(n *graph.Node) (known bool, err error) {
	op, ok := n.Op.(graph.FakeQuantize)
	if !ok {
		return false, nil
	}
	if values, ok := constantValues(n.Inputs[0]); ok && n != e.out {
		return true, e.writeQuantisedConstant(n, op, values)
	}
	x := e.value(n.Inputs[0])
	if kind, attributes, ok := integerType(op); ok {
		in, q := e.quantizeNode(n, op, kind, x, attributes)
		e.result(n, "DequantizeLinear", append([]string{q}, in...), attributes...)
		return true, nil
	}
	steps := e.intermediate(n, "Round", []string{e.intermediate(n, "Div", []string{x, e.perChannel(n, op)})})
	steps = e.intermediate(n, "Clip", []string{steps, e.scalar(n, float64(op.Low-op.Zero)), e.scalar(n, float64(op.High-op.Zero))})
	e.result(n, "Mul", []string{steps, e.perChannel(n, op)})
	return true, nil
}

// integerType returns the ONNX type whose range op rounds to, and the attributes of the nodes. ok is
// false if no type of 8 bits has exactly this range.
func integerType(op graph.FakeQuantize) (kind onnx.ElementType, attributes []onnx.Attribute, ok bool) {
	if len(op.Scale) > 1 {
		attributes = []onnx.Attribute{intAttribute("axis", op.Axis)}
	}
	switch {
	case op.Low == 0 && op.High == math.MaxUint8:
		return onnx.Uint8, attributes, true
	case op.Low == math.MinInt8 && op.High == math.MaxInt8:
		return onnx.Int8, attributes, true
	}
	return 0, nil, false
}

// quantizeNode writes QuantizeLinear, and returns the names of scale and zero point and that of the integers.
func (e *exporter) quantizeNode(n *graph.Node, op graph.FakeQuantize, kind onnx.ElementType, x string, attributes []onnx.Attribute) (in []string, q string) {
	in = e.gridInputs(fmt.Sprintf("value_%d", n.ID), op.Scale, kind, op.Zero)
	return in, e.intermediate(n, "QuantizeLinear", append([]string{x}, in...), attributes...)
}

// gridInputs adds initialisers for a scale and a zero point and returns their names.
func (e *exporter) gridInputs(name string, scale []float32, kind onnx.ElementType, zero int) []string {
	s, z := tensor.New(), tensor.FromInts([]int64{int64(zero)}, []int{}...)
	if len(scale) > 1 {
		s, z = tensor.New(len(scale)), tensor.FromInts(make([]int64, len(scale)), len(scale))
		for c := range scale {
			z.Ints()[c] = int64(zero)
		}
	}
	copy(s.Data(), scale)
	return []string{e.initialiser(e.unique(name+"_scale"), s), e.smallIntegers(e.unique(name+"_zero_point"), z, kind)}
}

// smallIntegers adds an initialiser whose integers are written in a small type, and returns its name.
func (e *exporter) smallIntegers(name string, t *tensor.Tensor, kind onnx.ElementType) string {
	if e.model.Graph.Types == nil {
		e.model.Graph.Types = map[string]onnx.ElementType{}
	}
	e.model.Graph.Types[name] = kind
	return e.initialiser(name, t)
}

// perChannel adds an initialiser with the scales in a shape that broadcasts to n.
func (e *exporter) perChannel(n *graph.Node, op graph.FakeQuantize) string {
	shape := tensor.Shape{}
	if len(op.Scale) > 1 {
		shape = channelShape(n.Shape, op.Axis)
	}
	t := tensor.New(shape...)
	copy(t.Data(), op.Scale)
	return e.initialiser(e.unique(fmt.Sprintf("scales_%d", n.ID)), t)
}

// round writes the rounding that planQuantised has added behind n, if any.
func (e *exporter) round(n *graph.Node) {
	op, ok := e.rounded[n]
	if !ok {
		return
	}
	kind, attributes, _ := integerType(op)
	in, q := e.quantizeNode(n, op, kind, e.value(n), attributes)
	e.names[n] = e.intermediate(n, "DequantizeLinear", append([]string{q}, in...), attributes...)
}

// writeQuantisedConstant writes a constant that no layer takes as its weight as the numbers that its
// integers stand for.
func (e *exporter) writeQuantisedConstant(n *graph.Node, op graph.FakeQuantize, values []float32) error {
	t := tensor.New(n.Shape...)
	channel := op.Channel(n.Shape, n.Shape.Strides())
	for i, x := range values {
		t.Data()[i] = float32(op.Value(op.Integer(float64(x), channel(i)), channel(i)))
	}
	e.names[n] = e.initialiser(e.unique(fmt.Sprintf("rounded_%d", n.ID)), t)
	return nil
}

// quantisedLayer is a layer with integers as its weight, together with the batch norm that is folded into it.
type quantisedLayer struct {
	weight *tensor.Tensor // integers
	scale  []float32      // of every output channel
	bias   []float64      // nil if there is none
}

// quantisedOf returns a layer whose weight is rounded by op. A batch norm only changes scale and bias,
// and the sign of the integers:
//
//	s'[o] = s[o]·|f[o]|    b'[o] = (b[o]-mean[o])·f[o] + beta[o]    f[o] = gamma[o]/√(var[o]+eps)
func quantisedOf(layer, bn *graph.Node, op graph.FakeQuantize) quantisedLayer {
	w, _ := constantValues(unquantisedWeight(layer))
	channels := layer.Inputs[1].Shape[0]
	l := quantisedLayer{weight: tensor.FromInts(make([]int64, len(w)), layer.Inputs[1].Shape...), scale: make([]float32, channels)}
	numbers := func(n *graph.Node) []float32 { v, _ := constantValues(n); return v }
	if bn != nil || len(layer.Inputs) == 3 {
		l.bias = make([]float64, channels)
	}
	row := len(w) / channels
	for o := range channels {
		c, factor := o%len(op.Scale), 1.0
		if len(layer.Inputs) == 3 {
			l.bias[o] = float64(numbers(layer.Inputs[2])[o])
		}
		if bn != nil {
			factor = float64(numbers(bn.Inputs[2])[o]) / math.Sqrt(float64(numbers(bn.Inputs[1].Inputs[1])[o])+bn.Op.(graph.BatchNorm).Eps)
			l.bias[o] = (l.bias[o]-float64(numbers(bn.Inputs[1].Inputs[0])[o]))*factor + float64(numbers(bn.Inputs[3])[o])
		}
		sign := int64(1)
		switch l.scale[o] = float32(float64(op.Scale[c]) * math.Abs(factor)); {
		case l.scale[o] == 0:
			l.scale[o], sign = 1, 0
		case factor < 0:
			sign = -1
		}
		for i := o * row; i < (o+1)*row; i++ {
			l.weight.Ints()[i] = sign * int64(op.Integer(float64(w[i]), c))
		}
	}
	return l
}

// weightedQuantised writes the weight and the bias of a layer whose weight is rounded by op, with the
// batch norm that is folded into it, if any. It returns the names of the layer's inputs.
func (e *exporter) weightedQuantised(n, bn *graph.Node, op graph.FakeQuantize) (in []string) {
	l := quantisedOf(n, bn, op)
	name := fmt.Sprintf("parameter_%d", n.ID)
	if l, ok := unquantisedWeight(n).Op.(*graph.Leaf); ok && l.Variable.Name != "" {
		name = l.Variable.Name
	}
	biasName := strings.TrimSuffix(name, ".weight") + ".bias"
	name = e.smallIntegers(e.unique(name), l.weight, onnx.Int8)
	in = append(in, e.dequantizeNode(n, append([]string{name}, e.gridInputs(name, l.scale, onnx.Int8, 0)...)))
	if l.bias == nil {
		return in
	}
	input, ok := n.Inputs[0].Op.(graph.FakeQuantize)
	bias, scale := tensor.FromInts(make([]int64, len(l.bias)), len(l.bias)), make([]float32, len(l.bias))
	floats := tensor.New(len(l.bias))
	for o, b := range l.bias {
		floats.Data()[o] = float32(b)
		if ok && len(input.Scale) == 1 {
			scale[o] = input.Scale[0] * l.scale[o]
		}
		q := math.RoundToEven(b / float64(scale[o]))
		if ok = ok && scale[o] > 0 && math.Abs(q) < math.MaxInt32; ok {
			bias.Ints()[o] = int64(q)
		}
	}
	biasName = e.unique(biasName)
	if !ok { // the accumulators of the products cannot hold it
		return append(in, e.initialiser(biasName, floats))
	}
	name = e.smallIntegers(biasName, bias, onnx.Int32)
	return append(in, e.dequantizeNode(n, append([]string{name}, e.gridInputs(name, scale, onnx.Int32, 0)...)))
}

// dequantizeNode writes the DequantizeLinear of the weight or bias of a layer, with one scale for each
// output channel, and returns the name of its output.
func (e *exporter) dequantizeNode(n *graph.Node, in []string) string {
	title := strings.TrimSuffix(in[0], ".weight") + "/DequantizeLinear"
	out := e.unique(in[0] + "_dequantised")
	e.emit(title, "DequantizeLinear", in, out, intAttribute("axis", 0))
	return out
}

package exchange

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/weights/onnx"
)

// An integerOperator is an operator that takes and returns integers with their scales and zero points,
// such as QLinearConv. It computes the same as its float operator between DequantizeLinear and
// QuantizeLinear, and is read as such.
type integerOperator struct {
	op     string
	domain string
	inputs int // how many inputs, from the first on, are each followed by a scale and a zero point
	bias   bool
}

const contributed = "com.microsoft" // the domain of ONNX Runtime's own operators

var integerOperators = map[string]integerOperator{
	"QLinearConv": {"Conv", "", 2, true}, "QLinearMatMul": {"MatMul", "", 2, false}, "QGemm": {"Gemm", contributed, 2, true},
	"QLinearAdd": {"Add", contributed, 2, false}, "QLinearMul": {"Mul", contributed, 2, false},
	"QLinearGlobalAveragePool": {"GlobalAveragePool", contributed, 1, false}, "QLinearAveragePool": {"AveragePool", contributed, 1, false},
	"QLinearSigmoid": {"Sigmoid", contributed, 1, false}, "QLinearLeakyRelu": {"LeakyRelu", contributed, 1, false},
	"QLinearConcat": {"Concat", contributed, 0, false}, // any number of inputs, after the scale and zero point of the output
}

// moving are operators that only move elements, or choose among them, whatever these stand for.
var moving = []string{"MaxPool", "Flatten", "Reshape", "Transpose", "Squeeze", "Unsqueeze", "Slice", "Identity"}

// integerNode reads a node of integerOperators, and one of moving that moves integers. known is false
// for any other node.
func (imp *importer) integerNode(n *onnx.Node) (known bool, err error) {
	if o, ok := integerOperators[n.Op]; ok && n.Domain == o.domain {
		return true, imp.integerOperator(n, o)
	}
	if n.Domain != "" || !slices.Contains(moving, n.Op) || len(n.Inputs) == 0 || len(n.Outputs) == 0 {
		return false, nil
	}
	v, ok := imp.quantised[imp.resolve(n.Inputs[0])]
	if !ok || len(v.by.scale) > 1 {
		return false, nil
	}
	moved := *n
	moved.Inputs, moved.Outputs = slices.Clone(n.Inputs), []string{"\x00numbers of " + n.Outputs[0]}
	moved.Inputs[0] = v.numbers
	imp.quantised[n.Outputs[0]], imp.types[n.Outputs[0]] = quantisedValue{moved.Outputs[0], v.by}, v.by.kind
	return true, imp.node(&moved)
}

// integerOperator reads a node as DequantizeLinear nodes, the float operator and QuantizeLinear.
func (imp *importer) integerOperator(n *onnx.Node, o integerOperator) error {
	if len(n.Inputs) < max(3*o.inputs, 2) || len(n.Outputs) != 1 {
		return fmt.Errorf("has %d inputs and %d outputs", len(n.Inputs), len(n.Outputs))
	}
	in := append(slices.Clone(n.Inputs), "", "", "")
	triples, out := in[:3*o.inputs], in[3*o.inputs:]
	if n.Op == "QLinearConcat" {
		if triples, out = n.Inputs[2:], in; len(triples) == 0 || len(triples)%3 != 0 {
			return fmt.Errorf("has %d inputs after the scale and zero point of its output", len(triples))
		}
	}
	bias := ""
	if o.bias && n.Op == "QGemm" {
		bias, out = out[0], out[1:]
	} else if o.bias {
		bias = out[2]
	}
	result := n.Outputs[0]
	number := *n
	number.Op, number.Domain, number.Inputs, number.Outputs = o.op, "", nil, []string{"\x00result of " + result}
	number.Attributes = slices.DeleteFunc(slices.Clone(n.Attributes), func(a onnx.Attribute) bool { return a.Name == "channels_last" && a.Value == int64(0) })
	for i := 0; i < len(triples); i += 3 {
		name := fmt.Sprintf("\x00numbers %d of %s", i/3, result)
		if err := imp.node(&onnx.Node{Name: n.Name, Op: "DequantizeLinear", Inputs: triples[i:][:3], Outputs: []string{name},
			Attributes: []onnx.Attribute{intAttribute("axis", weightAxis(n, i/3))}}); err != nil {
			return err
		}
		number.Inputs = append(number.Inputs, name)
	}
	if bias != "" {
		name, err := imp.integerBias(n, bias)
		if err != nil {
			return err
		}
		number.Inputs = append(number.Inputs, name)
	}
	if out[0] == "" { // a QGemm whose result stays in floats
		number.Outputs = n.Outputs
		return imp.node(&number)
	}
	if err := imp.node(&number); err != nil {
		return err
	}
	return imp.node(&onnx.Node{Name: n.Name, Op: "QuantizeLinear", Inputs: []string{number.Outputs[0], out[0], out[1]}, Outputs: []string{result}})
}

// weightAxis returns the dimension of the channels of input i.
func weightAxis(n *onnx.Node, i int) int {
	a := attributes{node: n}
	if i == 1 && n.Op != "QLinearMatMul" && (n.Op != "QGemm" || a.int("transB", 0) != 0) {
		return 0
	}
	return 1
}

// integerBias makes the numbers of a bias whose integers have the scale of the products of the node's
// first two inputs, and returns its name.
func (imp *importer) integerBias(n *onnx.Node, bias string) (string, error) {
	x, err := imp.constant(n, 1)
	if err != nil {
		return "", err
	}
	w, err := imp.constant(n, 4)
	if err != nil {
		return "", err
	}
	if x == nil || w == nil || len(x.Data()) != 1 || w.DType() != tensor.Float32 {
		return "", fmt.Errorf("has a bias, but no scales of one input and one weight")
	}
	a := attributes{node: n}
	alpha := a.float("alpha", 1)
	scale := tensor.New(w.Shape()...)
	for i, s := range w.Data() {
		scale.Data()[i] = float32(alpha * float64(x.Data()[0]) * float64(s))
	}
	name := "\x00bias of " + n.Outputs[0]
	imp.constants[name+" scale"] = scale
	return name, cmp.Or(a.err, imp.node(&onnx.Node{Name: n.Name, Op: "DequantizeLinear", Inputs: []string{bias, name + " scale"}, Outputs: []string{name},
		Attributes: []onnx.Attribute{intAttribute("axis", 0)}}))
}

package exchange

import (
	"math"

	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/weights/onnx"
)

// writeElementwise writes elementwise operations. An operation that the written version of ONNX
// lacks becomes several nodes.
func (e *exporter) writeElementwise(n *graph.Node) (known bool, err error) {
	switch op := n.Op.(type) {
	case graph.ReLU:
		e.sameInputs(n, "Relu")
	case graph.Sigmoid, graph.Tanh:
		e.sameInputs(n, n.Op.Name())
	case graph.Add, graph.Mul:
		e.result(n, n.Op.Name(), e.operands(n))
	case graph.Scale:
		e.result(n, "Mul", []string{e.value(n.Inputs[0]), e.scalar(n, op.Factor)})
	case graph.Unary:
		e.unary(n, op)
	case graph.Binary:
		e.binary(n, op)
	case graph.Where:
		in := e.operands(n)
		if in[0] = e.conditions[n.Inputs[0]]; in[0] == "" {
			in[0] = e.intermediate(n, "Cast", []string{e.value(n.Inputs[0])}, intAttribute("to", int(onnx.Bool)))
		}
		e.result(n, "Where", in)
	default:
		return false, nil
	}
	return true, nil
}

// functionNames maps each function that ONNX has without attributes to its operator.
var functionNames = map[graph.Function]string{
	graph.Exp: "Exp", graph.Log: "Log", graph.Sqrt: "Sqrt", graph.Reciprocal: "Reciprocal", graph.Abs: "Abs", graph.Sign: "Sign",
	graph.Floor: "Floor", graph.Ceil: "Ceil", graph.Round: "Round", graph.Erf: "Erf", graph.Sin: "Sin", graph.Cos: "Cos", graph.Tan: "Tan",
	graph.Asin: "Asin", graph.Acos: "Acos", graph.Atan: "Atan", graph.Sinh: "Sinh", graph.Cosh: "Cosh",
	graph.Asinh: "Asinh", graph.Acosh: "Acosh", graph.Atanh: "Atanh", graph.Hardswish: "HardSwish", graph.Softplus: "Softplus", graph.Softsign: "Softsign",
}

// functionsWithAttributes maps each function that ONNX has with attributes to these.
var functionsWithAttributes = map[graph.Function]func(o graph.Unary) (op string, attributes []onnx.Attribute){
	graph.LeakyReLU: func(o graph.Unary) (string, []onnx.Attribute) {
		return "LeakyRelu", []onnx.Attribute{floatAttribute("alpha", o.A)}
	},
	graph.ELU: func(o graph.Unary) (string, []onnx.Attribute) {
		return "Selu", []onnx.Attribute{floatAttribute("alpha", o.A), floatAttribute("gamma", o.B)}
	},
	graph.CELU: func(o graph.Unary) (string, []onnx.Attribute) {
		return "Celu", []onnx.Attribute{floatAttribute("alpha", o.A)}
	},
	graph.Hardsigmoid: func(o graph.Unary) (string, []onnx.Attribute) {
		return "HardSigmoid", []onnx.Attribute{floatAttribute("alpha", o.A), floatAttribute("beta", o.B)}
	},
	graph.Shrink: func(o graph.Unary) (string, []onnx.Attribute) {
		return "Shrink", []onnx.Attribute{floatAttribute("lambd", o.A), floatAttribute("bias", o.B)}
	},
}

func (e *exporter) unary(n *graph.Node, o graph.Unary) {
	if op, ok := functionNames[o.Function]; ok {
		e.sameInputs(n, op)
		return
	}
	if attributesOf, ok := functionsWithAttributes[o.Function]; ok {
		op, attributes := attributesOf(o)
		e.sameInputs(n, op, attributes...)
		return
	}
	x := e.value(n.Inputs[0])
	number := func(v float64) string { return e.scalar(n, v) }
	node := func(op string, in ...string) string { return e.intermediate(n, op, in) }
	switch o.Function {
	case graph.Power:
		e.result(n, "Pow", []string{x, number(o.A)})
	case graph.Clamp:
		in := []string{x, "", ""}
		for i, bound := range []float64{o.A, o.B} {
			if !math.IsInf(bound, 0) {
				in[1+i] = number(bound)
			}
		}
		if in[2] == "" {
			in = in[:2]
		}
		e.result(n, "Clip", in)
	case graph.SiLU:
		inner := x
		if o.A != 1 {
			inner = node("Mul", x, number(o.A))
		}
		e.result(n, "Mul", []string{x, node("Sigmoid", inner)})
	case graph.Mish:
		e.result(n, "Mul", []string{x, node("Tanh", node("Softplus", x))})
	case graph.GELU: // x/2·(1 + erf(x/√2))
		factor := node("Add", node("Erf", node("Div", x, number(math.Sqrt2))), number(1))
		e.result(n, "Mul", []string{node("Mul", x, factor), number(0.5)})
	case graph.GELUTanh: // x/2·(1 + tanh(√(2/π)·(x + 0.044715·x³)))
		cube := node("Mul", node("Mul", node("Mul", x, x), x), number(0.044715))
		factor := node("Add", node("Tanh", node("Mul", node("Add", x, cube), number(math.Sqrt(2/math.Pi)))), number(1))
		e.result(n, "Mul", []string{node("Mul", x, factor), number(0.5)})
	case graph.Threshold:
		e.result(n, "Where", []string{node("LessOrEqual", x, number(o.A)), number(o.B), x})
	case graph.Not:
		e.condition(n, node("Equal", x, number(0)))
	}
}

// condition converts a boolean to 1 and 0, and records the boolean's name for Where.
func (e *exporter) condition(n *graph.Node, boolean string) {
	e.conditions[n] = boolean
	e.result(n, "Cast", []string{boolean}, intAttribute("to", int(onnx.Float)))
}

func (e *exporter) binary(n *graph.Node, o graph.Binary) {
	in := e.operands(n)
	switch o.Pairing {
	case graph.Less, graph.LessOrEqual, graph.Greater, graph.GreaterOrEqual, graph.Equal:
		e.condition(n, e.intermediate(n, o.Name(), in))
	case graph.NotEqual:
		e.condition(n, e.intermediate(n, "Not", []string{e.intermediate(n, "Equal", in)}))
	case graph.Mod: // a - b·floor(a/b), since ONNX's Mod with this sign takes only integers
		quotient := e.intermediate(n, "Floor", []string{e.intermediate(n, "Div", in)})
		e.result(n, "Sub", []string{in[0], e.intermediate(n, "Mul", []string{in[1], quotient})})
	case graph.Fmod:
		e.result(n, "Mod", in, intAttribute("fmod", 1))
	default:
		e.result(n, o.Name(), in)
	}
}

// operands returns the names of the inputs of an elementwise operation. For an input that is
// broadcast only to fit the others, it returns the name of the tensor before the broadcast,
// since ONNX broadcasts too.
func (e *exporter) operands(n *graph.Node) []string {
	in := make([]string, len(n.Inputs))
	var to tensor.Shape
	for i, x := range n.Inputs {
		shape := x.Shape
		if r, ok := e.broadcasts[x]; ok && e.names[x] == "" {
			in[i], shape = e.broadcastSource(x), r.shape
		} else {
			in[i] = e.value(x)
		}
		to = broadcastShape(to, shape)
	}
	if !to.Equal(n.Shape) { // all inputs are broadcast along one dimension
		in[0] = e.value(n.Inputs[0])
	}
	return in
}

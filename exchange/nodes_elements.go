package exchange

import (
	"math"

	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/weights/onnx"
)

// elements writes elementwise operations. Those that ONNX lacks in the version that Export writes
// become several nodes.
func (e *exporter) elements(n *graph.Node) (known bool, err error) {
	switch op := n.Op.(type) {
	case graph.ReLU:
		e.plain(n, "Relu")
	case graph.Sigmoid, graph.Tanh:
		e.plain(n, n.Op.Name())
	case graph.Add, graph.Mul:
		e.last(n, n.Op.Name(), e.operands(n))
	case graph.Scale:
		e.last(n, "Mul", []string{e.value(n.Inputs[0]), e.scalar(n, op.Factor)})
	case graph.Unary:
		e.unary(n, op)
	case graph.Binary:
		e.binary(n, op)
	case graph.Where:
		in := e.operands(n)
		if in[0] = e.conditions[n.Inputs[0]]; in[0] == "" {
			in[0] = e.step(n, "Cast", []string{e.value(n.Inputs[0])}, number("to", int(onnx.Bool)))
		}
		e.last(n, "Where", in)
	default:
		return false, nil
	}
	return true, nil
}

// direct are the functions that ONNX has without attributes.
var direct = map[graph.Function]string{
	graph.Exp: "Exp", graph.Log: "Log", graph.Sqrt: "Sqrt", graph.Reciprocal: "Reciprocal", graph.Abs: "Abs", graph.Sign: "Sign",
	graph.Floor: "Floor", graph.Ceil: "Ceil", graph.Round: "Round", graph.Erf: "Erf", graph.Sin: "Sin", graph.Cos: "Cos", graph.Tan: "Tan",
	graph.Asin: "Asin", graph.Acos: "Acos", graph.Atan: "Atan", graph.Sinh: "Sinh", graph.Cosh: "Cosh",
	graph.Asinh: "Asinh", graph.Acosh: "Acosh", graph.Atanh: "Atanh", graph.Hardswish: "HardSwish", graph.Softplus: "Softplus", graph.Softsign: "Softsign",
}

// configured are the functions that ONNX has with attributes.
var configured = map[graph.Function]func(o graph.Unary) (op string, attributes []onnx.Attribute){
	graph.LeakyReLU: func(o graph.Unary) (string, []onnx.Attribute) {
		return "LeakyRelu", []onnx.Attribute{real32("alpha", o.A)}
	},
	graph.ELU: func(o graph.Unary) (string, []onnx.Attribute) {
		return "Selu", []onnx.Attribute{real32("alpha", o.A), real32("gamma", o.B)}
	},
	graph.CELU: func(o graph.Unary) (string, []onnx.Attribute) {
		return "Celu", []onnx.Attribute{real32("alpha", o.A)}
	},
	graph.Hardsigmoid: func(o graph.Unary) (string, []onnx.Attribute) {
		return "HardSigmoid", []onnx.Attribute{real32("alpha", o.A), real32("beta", o.B)}
	},
	graph.Shrink: func(o graph.Unary) (string, []onnx.Attribute) {
		return "Shrink", []onnx.Attribute{real32("lambd", o.A), real32("bias", o.B)}
	},
}

func (e *exporter) unary(n *graph.Node, o graph.Unary) {
	if op, ok := direct[o.Function]; ok {
		e.plain(n, op)
		return
	}
	if attributesOf, ok := configured[o.Function]; ok {
		op, attributes := attributesOf(o)
		e.plain(n, op, attributes...)
		return
	}
	x := e.value(n.Inputs[0])
	number := func(v float64) string { return e.scalar(n, v) }
	step := func(op string, in ...string) string { return e.step(n, op, in) }
	switch o.Function {
	case graph.Power:
		e.last(n, "Pow", []string{x, number(o.A)})
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
		e.last(n, "Clip", in)
	case graph.SiLU:
		inner := x
		if o.A != 1 {
			inner = step("Mul", x, number(o.A))
		}
		e.last(n, "Mul", []string{x, step("Sigmoid", inner)})
	case graph.Mish:
		e.last(n, "Mul", []string{x, step("Tanh", step("Softplus", x))})
	case graph.GELU: // x/2·(1 + erf(x/√2))
		factor := step("Add", step("Erf", step("Div", x, number(math.Sqrt2))), number(1))
		e.last(n, "Mul", []string{step("Mul", x, factor), number(0.5)})
	case graph.GELUTanh: // x/2·(1 + tanh(√(2/π)·(x + 0.044715·x³)))
		cube := step("Mul", step("Mul", step("Mul", x, x), x), number(0.044715))
		factor := step("Add", step("Tanh", step("Mul", step("Add", x, cube), number(math.Sqrt(2/math.Pi)))), number(1))
		e.last(n, "Mul", []string{step("Mul", x, factor), number(0.5)})
	case graph.Threshold:
		e.last(n, "Where", []string{step("LessOrEqual", x, number(o.A)), number(o.B), x})
	case graph.Not:
		e.condition(n, step("Equal", x, number(0)))
	}
}

// condition writes a boolean as 1 and 0, and remembers its name for Where.
func (e *exporter) condition(n *graph.Node, boolean string) {
	e.conditions[n] = boolean
	e.last(n, "Cast", []string{boolean}, number("to", int(onnx.Float)))
}

func (e *exporter) binary(n *graph.Node, o graph.Binary) {
	in := e.operands(n)
	switch o.Pairing {
	case graph.Less, graph.LessOrEqual, graph.Greater, graph.GreaterOrEqual, graph.Equal:
		e.condition(n, e.step(n, o.Name(), in))
	case graph.NotEqual:
		e.condition(n, e.step(n, "Not", []string{e.step(n, "Equal", in)}))
	case graph.Mod: // a - b·floor(a/b), since ONNX's Mod with this sign takes integers alone
		whole := e.step(n, "Floor", []string{e.step(n, "Div", in)})
		e.last(n, "Sub", []string{in[0], e.step(n, "Mul", []string{in[1], whole})})
	case graph.Fmod:
		e.last(n, "Mod", in, number("fmod", 1))
	default:
		e.last(n, o.Name(), in)
	}
}

// operands returns the names of the inputs of an elementwise operation. An input that is only
// broadcast to the shape of the others is named as it was before, since ONNX broadcasts too.
func (e *exporter) operands(n *graph.Node) []string {
	in := make([]string, len(n.Inputs))
	var to tensor.Shape
	for i, x := range n.Inputs {
		shape := x.Shape
		if r, ok := e.repeated[x]; ok && e.names[x] == "" {
			in[i], shape = e.before(x), r.shape
		} else {
			in[i] = e.value(x)
		}
		to = longer(to, shape)
	}
	if !to.Equal(n.Shape) { // all inputs are broadcast along one dimension
		in[0] = e.value(n.Inputs[0])
	}
	return in
}

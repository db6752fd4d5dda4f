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

// unaryFunctions maps the operators that apply a function to each element to that function.
var unaryFunctions = map[string]func(a *attributes) graph.Unary{
	"Exp": withoutAttributes(graph.Exp), "Log": withoutAttributes(graph.Log), "Sqrt": withoutAttributes(graph.Sqrt), "Reciprocal": withoutAttributes(graph.Reciprocal), "Abs": withoutAttributes(graph.Abs),
	"Sign": withoutAttributes(graph.Sign), "Floor": withoutAttributes(graph.Floor), "Ceil": withoutAttributes(graph.Ceil), "Round": withoutAttributes(graph.Round), "Erf": withoutAttributes(graph.Erf),
	"Sin": withoutAttributes(graph.Sin), "Cos": withoutAttributes(graph.Cos), "Tan": withoutAttributes(graph.Tan), "Asin": withoutAttributes(graph.Asin), "Acos": withoutAttributes(graph.Acos), "Atan": withoutAttributes(graph.Atan),
	"Sinh": withoutAttributes(graph.Sinh), "Cosh": withoutAttributes(graph.Cosh), "Asinh": withoutAttributes(graph.Asinh), "Acosh": withoutAttributes(graph.Acosh), "Atanh": withoutAttributes(graph.Atanh),
	"HardSwish": withoutAttributes(graph.Hardswish), "Softplus": withoutAttributes(graph.Softplus), "Softsign": withoutAttributes(graph.Softsign), "Mish": withoutAttributes(graph.Mish),
	"LeakyRelu": func(a *attributes) graph.Unary {
		return graph.Unary{Function: graph.LeakyReLU, A: a.float("alpha", 0.01)}
	},
	"Elu": func(a *attributes) graph.Unary { return graph.Unary{Function: graph.ELU, A: a.float("alpha", 1), B: 1} },
	"Selu": func(a *attributes) graph.Unary {
		return graph.Unary{Function: graph.ELU, A: a.float("alpha", 1.67326319217681884765625), B: a.float("gamma", 1.05070102214813232421875)}
	},
	"Celu": func(a *attributes) graph.Unary { return graph.Unary{Function: graph.CELU, A: a.float("alpha", 1)} },
	"HardSigmoid": func(a *attributes) graph.Unary {
		return graph.Unary{Function: graph.Hardsigmoid, A: a.float("alpha", 0.2), B: a.float("beta", 0.5)}
	},
	"ThresholdedRelu": func(a *attributes) graph.Unary { return graph.Unary{Function: graph.Threshold, A: a.float("alpha", 1)} },
	"Shrink": func(a *attributes) graph.Unary {
		return graph.Unary{Function: graph.Shrink, A: a.float("lambd", 0.5), B: a.float("bias", 0)}
	},
	"Swish": func(a *attributes) graph.Unary { return graph.Unary{Function: graph.SiLU, A: a.float("alpha", 1)} },
	"Gelu": func(a *attributes) graph.Unary {
		switch kind := a.text("approximate", "none"); kind {
		case "none":
		case "tanh":
			return graph.Unary{Function: graph.GELUTanh}
		default:
			a.fail("approximate=%s is not supported, only none and tanh", kind)
		}
		return graph.Unary{Function: graph.GELU}
	},
}

// withoutAttributes returns the entry of unaryFunctions for a function without attributes.
func withoutAttributes(f graph.Function) func(*attributes) graph.Unary {
	return func(*attributes) graph.Unary { return graph.Unary{Function: f} }
}

// unary reads the operators in unaryFunctions.
func (imp *importer) unary(n *onnx.Node, a *attributes) error {
	op := unaryFunctions[n.Op](a)
	return imp.compute(n, a, onNodes(likeInputs, func(in []*graph.Node) *graph.Node { return op.Function.Of(in[0], op.A, op.B) }))
}

// activation reads an operator as a module without parameters.
func activation(m nn.Module) func(*importer, *onnx.Node, *attributes) error {
	return func(imp *importer, n *onnx.Node, a *attributes) error {
		return imp.compute(n, a, onNodes(asFloats, func(in []*graph.Node) *graph.Node { return m.Forward(in[0]) }))
	}
}

// binaryFunctions maps the operators on two or more tensors to the function that combines two of them.
var binaryFunctions = map[string]func(a, b *graph.Node) *graph.Node{
	"Add": (*graph.Node).Add, "Sub": (*graph.Node).Sub, "Mul": (*graph.Node).Mul, "Div": (*graph.Node).Div, "Pow": power,
	"Less": graph.Less.Of, "LessOrEqual": graph.LessOrEqual.Of, "Greater": graph.Greater.Of, "GreaterOrEqual": graph.GreaterOrEqual.Of,
	"Equal": graph.Equal.Of, "And": (*graph.Node).Mul, "Or": (*graph.Node).Maximum, "Xor": notEqual,
	"Max": (*graph.Node).Maximum, "Min": (*graph.Node).Minimum, "Sum": (*graph.Node).Add, "Mean": (*graph.Node).Add,
}

// notEqual returns 1 where a and b differ, else 0.
func notEqual(a, b *graph.Node) *graph.Node {
	return graph.Not.Of(graph.Equal.Of(a, b), 0, 0)
}

// power returns a to the power of b. If b is one constant, it uses the faster unary functions.
func power(a, b *graph.Node) *graph.Node {
	c, ok := b.Op.(*graph.Constant)
	switch {
	case !ok || len(b.Shape) > len(a.Shape) || b.Shape.Numel() != 1:
		return graph.Pow.Of(a, b)
	case c.Value == 2:
		return a.Mul(a)
	case c.Value == 0.5:
		return a.Sqrt()
	}
	return a.Pow(c.Value)
}

// booleanOperators lists the operators whose results are 0 or 1.
var booleanOperators = []string{"Less", "LessOrEqual", "Greater", "GreaterOrEqual", "Equal", "And", "Or", "Xor", "Not"}

// variadic reads the operators in binaryFunctions, applied to two or more inputs from the left.
func (imp *importer) variadic(n *onnx.Node, a *attributes) error {
	pair, result := binaryFunctions[n.Op], likeInputs
	if slices.Contains(booleanOperators, n.Op) {
		result = asBooleans
	}
	if len(n.Inputs) == 0 || slices.Contains(n.Inputs, "") {
		return fmt.Errorf("has no inputs")
	}
	count := len(n.Inputs)
	return imp.compute(n, a, func(in []value) value {
		run := onNodes(result, func(in []*graph.Node) *graph.Node {
			y := in[0]
			for _, x := range in[1:] {
				y = pair(y, x)
			}
			if n.Op == "Mean" {
				y = y.Graph.Apply(graph.Scale{Factor: 1 / float64(count)}, y)
			}
			return y
		})
		if n.Op == "Div" && graphOf(in) == nil && in[0].isInteger() && in[1].isInteger() {
			if slices.Contains(in[1].data.Ints(), 0) {
				panic(tensor.Misusef("divides integers by zero"))
			}
		}
		return run(in)
	})
}

// arithmetic reads Add, Sub, Mul and Div. With an activation and a constant for each channel
// they become a layer; otherwise they apply element by element.
func (imp *importer) arithmetic(n *onnx.Node, a *attributes) error {
	if len(n.Inputs) != 2 {
		return fmt.Errorf("has %d inputs, not two", len(n.Inputs))
	}
	a.ignore("axis", "broadcast") // attributes of versions before 7
	for i, name := range n.Inputs {
		t, ok := imp.constants[imp.resolve(name)]
		if !ok || i == 0 && (n.Op == "Sub" || n.Op == "Div") {
			continue
		}
		x, rank, err := imp.computedInput(n, 1-i)
		if err != nil {
			continue
		}
		if imp.transposePending && x == imp.preparedImages && onePerLast(t) {
			if err := a.done(); err != nil {
				return err
			}
			return imp.affine(n, x, rank, name, t.Reshape(t.Numel(), 1, 1))
		}
		if imp.onePerChannel(t, x, rank) {
			if err := a.done(); err != nil {
				return err
			}
			return imp.affine(n, x, rank, name, t)
		}
	}
	return imp.variadic(n, a)
}

// onePerLast reports whether a constant is one number, or one for each channel of [N, H, W, C].
func onePerLast(t *tensor.Tensor) bool {
	s := t.Shape()
	return t.DType() == tensor.Float32 && t.Numel() > 0 && (t.Numel() == 1 || s[len(s)-1] == t.Numel())
}

// onePerChannel reports whether a constant is one number, or one for each channel of x.
func (imp *importer) onePerChannel(t *tensor.Tensor, x string, rank int) bool {
	s, axis := t.Shape(), len(t.Shape())-(rank-1)
	if t.DType() != tensor.Float32 || rank < 2 || rank > 4 || len(s) > rank || t.Numel() == 0 {
		return false
	}
	if t.Numel() == 1 {
		return true
	}
	if axis < 0 || axis > 1 || axis >= len(s) || s[axis] != t.Numel() {
		return false
	}
	shape := imp.shapeOf(x)
	return shape == nil || shape[1] == t.Numel()
}

// mod reads Mod.
func (imp *importer) mod(n *onnx.Node, a *attributes) error {
	pairing := graph.Mod
	if a.int("fmod", 0) != 0 {
		pairing = graph.Fmod
	}
	if len(n.Inputs) != 2 {
		return fmt.Errorf("has %d inputs, not two", len(n.Inputs))
	}
	return imp.compute(n, a, onNodes(likeInputs, func(in []*graph.Node) *graph.Node { return pairing.Of(in[0], in[1]) }))
}

// clip reads Clip. Its bounds are attributes up to version 10 and inputs since then.
func (imp *importer) clip(n *onnx.Node, a *attributes) error {
	low, high := a.float("min", math.Inf(-1)), a.float("max", math.Inf(1))
	return imp.computeOptional(n, a, func(in []value) value {
		low, high := low, high
		for i, to := range []*float64{&low, &high} {
			if i+1 >= len(in) || !in[i+1].present() {
				continue
			}
			numbers := in[i+1].numbers("its bound")
			if len(numbers) != 1 {
				panic(tensor.Misusef("a bound has %d numbers, and only one is supported", len(numbers)))
			}
			*to = numbers[0]
		}
		return onNodes(likeInputs, func(in []*graph.Node) *graph.Node { return in[0].Clamp(low, high) })(in[:1])
	})
}

// pRelu reads PRelu.
func (imp *importer) pRelu(n *onnx.Node, a *attributes) error {
	if len(n.Inputs) != 2 {
		return fmt.Errorf("has %d inputs, not two", len(n.Inputs))
	}
	return imp.compute(n, a, onNodes(asFloats, func(in []*graph.Node) *graph.Node {
		x, zero := in[0], in[0].Graph.Constant(0, in[0].Shape...)
		return graph.Less.Of(x, zero).Where(x.Mul(in[1].Broadcast(x.Shape...)), x)
	}))
}

// where reads Where.
func (imp *importer) where(n *onnx.Node, a *attributes) error {
	if len(n.Inputs) != 3 {
		return fmt.Errorf("has %d inputs, not three", len(n.Inputs))
	}
	return imp.compute(n, a, func(in []value) value {
		result := asFloats
		if in[1].isInteger() && in[2].isInteger() {
			result = likeInputs
		}
		return onNodes(result, func(in []*graph.Node) *graph.Node { return in[0].Where(in[1], in[2]) })(in)
	})
}

func (imp *importer) not(n *onnx.Node, a *attributes) error {
	return imp.compute(n, a, onNodes(asBooleans, func(in []*graph.Node) *graph.Node { return graph.Not.Of(in[0], 0, 0) }))
}

func (imp *importer) neg(n *onnx.Node, a *attributes) error {
	return imp.compute(n, a, onNodes(likeInputs, func(in []*graph.Node) *graph.Node { return in[0].Neg() }))
}

// reductions maps the operators that reduce axes, such as sums and means, to the function
// that computes them.
var reductions = map[string]func(x *graph.Node, axes []int) *graph.Node{
	"ReduceMean":      func(x *graph.Node, axes []int) *graph.Node { return x.Mean(axes...) },
	"ReduceSum":       func(x *graph.Node, axes []int) *graph.Node { return x.Sum(axes...) },
	"ReduceMax":       func(x *graph.Node, axes []int) *graph.Node { return x.Max(axes...) },
	"ReduceMin":       func(x *graph.Node, axes []int) *graph.Node { return x.Min(axes...) },
	"ReduceProd":      func(x *graph.Node, axes []int) *graph.Node { return graph.Product.Of(x, axes...) },
	"ReduceL1":        func(x *graph.Node, axes []int) *graph.Node { return x.Abs().Sum(axes...) },
	"ReduceL2":        func(x *graph.Node, axes []int) *graph.Node { return x.Mul(x).Sum(axes...).Sqrt() },
	"ReduceSumSquare": func(x *graph.Node, axes []int) *graph.Node { return x.Mul(x).Sum(axes...) },
	"ReduceLogSum":    func(x *graph.Node, axes []int) *graph.Node { return x.Sum(axes...).Log() },
	"ReduceLogSumExp": func(x *graph.Node, axes []int) *graph.Node {
		largest := x.Max(axes...)
		return x.Sub(largest).Exp().Sum(axes...).Log().Add(largest)
	},
}

// reduce reads the operators in reductions. A mean over height and width becomes a global
// average pooling.
func (imp *importer) reduce(n *onnx.Node, a *attributes) error {
	listed, keep, none := a.ints("axes"), a.int("keepdims", 1) != 0, a.int("noop_with_empty_axes", 0) != 0
	run := reductions[n.Op]
	return imp.computeOptional(n, a, func(in []value) value {
		axes := listed
		if len(in) > 1 && in[1].present() {
			axes = in[1].integers("the list of axes")
		}
		if len(axes) == 0 && none {
			return in[0]
		}
		rank := len(in[0].shape())
		at := axisIndices(axes, rank)
		if len(axes) == 0 {
			at = indices(rank)
		}
		result := likeInputs
		if n.Op != "ReduceProd" && n.Op != "ReduceSum" && n.Op != "ReduceMax" && n.Op != "ReduceMin" {
			result = asFloats
		}
		return onNodes(result, func(in []*graph.Node) *graph.Node {
			x := in[0]
			pooled := n.Op == "ReduceMean" && rank == 4 && slices.Equal(at, []int{2, 3})
			y := x
			switch {
			case pooled && !keep:
				return nn.Flatten{}.Forward(nn.AdaptiveAvgPool2d{}.Forward(x))
			case pooled:
				return nn.AdaptiveAvgPool2d{}.Forward(x)
			case rank > 0:
				y = run(x, at)
			}
			if !keep {
				y = removeAxes(y, at)
			}
			return y
		})(in[:1])
	})
}

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

// functions maps the operators that apply a function to each element to that function.
var functions = map[string]func(a *attributes) graph.Unary{
	"Exp": plain(graph.Exp), "Log": plain(graph.Log), "Sqrt": plain(graph.Sqrt), "Reciprocal": plain(graph.Reciprocal), "Abs": plain(graph.Abs),
	"Sign": plain(graph.Sign), "Floor": plain(graph.Floor), "Ceil": plain(graph.Ceil), "Round": plain(graph.Round), "Erf": plain(graph.Erf),
	"Sin": plain(graph.Sin), "Cos": plain(graph.Cos), "Tan": plain(graph.Tan), "Asin": plain(graph.Asin), "Acos": plain(graph.Acos), "Atan": plain(graph.Atan),
	"Sinh": plain(graph.Sinh), "Cosh": plain(graph.Cosh), "Asinh": plain(graph.Asinh), "Acosh": plain(graph.Acosh), "Atanh": plain(graph.Atanh),
	"HardSwish": plain(graph.Hardswish), "Softplus": plain(graph.Softplus), "Softsign": plain(graph.Softsign), "Mish": plain(graph.Mish),
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

// plain is for functions without attributes.
func plain(f graph.Function) func(*attributes) graph.Unary {
	return func(*attributes) graph.Unary { return graph.Unary{Function: f} }
}

// function reads the operators in functions.
func (imp *importer) function(n *onnx.Node, a *attributes) error {
	op := functions[n.Op](a)
	return imp.compute(n, a, over(asInputs, func(in []*graph.Node) *graph.Node { return op.Function.Of(in[0], op.A, op.B) }))
}

// activation reads an operator as a module without parameters.
func activation(m nn.Module) func(*importer, *onnx.Node, *attributes) error {
	return func(imp *importer, n *onnx.Node, a *attributes) error {
		return imp.compute(n, a, over(asNumbers, func(in []*graph.Node) *graph.Node { return m.Forward(in[0]) }))
	}
}

// pairs maps the operators on two (or more) tensors to the function of two.
var pairs = map[string]func(a, b *graph.Node) *graph.Node{
	"Add": (*graph.Node).Add, "Sub": (*graph.Node).Sub, "Mul": (*graph.Node).Mul, "Div": (*graph.Node).Div, "Pow": powered,
	"Less": graph.Less.Of, "LessOrEqual": graph.LessOrEqual.Of, "Greater": graph.Greater.Of, "GreaterOrEqual": graph.GreaterOrEqual.Of,
	"Equal": graph.Equal.Of, "And": (*graph.Node).Mul, "Or": (*graph.Node).Maximum, "Xor": differs,
	"Max": (*graph.Node).Maximum, "Min": (*graph.Node).Minimum, "Sum": (*graph.Node).Add, "Mean": (*graph.Node).Add,
}

// differs is 1 where a and b differ, else 0.
func differs(a, b *graph.Node) *graph.Node {
	return graph.Not.Of(graph.Equal.Of(a, b), 0, 0)
}

// powered returns a to the power of b. If b is one constant, it uses the faster unary functions.
func powered(a, b *graph.Node) *graph.Node {
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

// flags lists the operators whose results are 0 or 1.
var flags = []string{"Less", "LessOrEqual", "Greater", "GreaterOrEqual", "Equal", "And", "Or", "Xor", "Not"}

// several reads the operators in pairs, applied to two or more inputs from the left.
func (imp *importer) several(n *onnx.Node, a *attributes) error {
	pair, result := pairs[n.Op], asInputs
	if slices.Contains(flags, n.Op) {
		result = asFlags
	}
	if len(n.Inputs) == 0 || slices.Contains(n.Inputs, "") {
		return fmt.Errorf("has no inputs")
	}
	count := len(n.Inputs)
	return imp.compute(n, a, func(in []value) value {
		run := over(result, func(in []*graph.Node) *graph.Node {
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
		x, rank, err := imp.activation(n, 1-i)
		if err != nil {
			continue
		}
		if imp.turn && x == imp.prepared && perLast(t) {
			if err := a.done(); err != nil {
				return err
			}
			return imp.affine(n, x, rank, name, t.Reshape(t.Numel(), 1, 1))
		}
		if imp.perChannel(t, x, rank) {
			if err := a.done(); err != nil {
				return err
			}
			return imp.affine(n, x, rank, name, t)
		}
	}
	return imp.several(n, a)
}

// perLast reports whether a constant is one number, or one for each channel of [N, H, W, C].
func perLast(t *tensor.Tensor) bool {
	s := t.Shape()
	return t.DType() == tensor.Float32 && t.Numel() > 0 && (t.Numel() == 1 || s[len(s)-1] == t.Numel())
}

// perChannel reports whether a constant is one number, or one for each channel of x.
func (imp *importer) perChannel(t *tensor.Tensor, x string, rank int) bool {
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
	return imp.compute(n, a, over(asInputs, func(in []*graph.Node) *graph.Node { return pairing.Of(in[0], in[1]) }))
}

// clip reads Clip. Its bounds are attributes up to version 10 and inputs since then.
func (imp *importer) clip(n *onnx.Node, a *attributes) error {
	low, high := a.float("min", math.Inf(-1)), a.float("max", math.Inf(1))
	return imp.optional(n, a, func(in []value) value {
		low, high := low, high
		for i, to := range []*float64{&low, &high} {
			if i+1 >= len(in) || !in[i+1].there() {
				continue
			}
			numbers := in[i+1].numbers("its bound")
			if len(numbers) != 1 {
				panic(tensor.Misusef("a bound of %d numbers is not supported, only one", len(numbers)))
			}
			*to = numbers[0]
		}
		return over(asInputs, func(in []*graph.Node) *graph.Node { return in[0].Clamp(low, high) })(in[:1])
	})
}

// pRelu reads PRelu.
func (imp *importer) pRelu(n *onnx.Node, a *attributes) error {
	if len(n.Inputs) != 2 {
		return fmt.Errorf("has %d inputs, not two", len(n.Inputs))
	}
	return imp.compute(n, a, over(asNumbers, func(in []*graph.Node) *graph.Node {
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
		result := asNumbers
		if in[1].isInteger() && in[2].isInteger() {
			result = asInputs
		}
		return over(result, func(in []*graph.Node) *graph.Node { return in[0].Where(in[1], in[2]) })(in)
	})
}

func (imp *importer) not(n *onnx.Node, a *attributes) error {
	return imp.compute(n, a, over(asFlags, func(in []*graph.Node) *graph.Node { return graph.Not.Of(in[0], 0, 0) }))
}

func (imp *importer) neg(n *onnx.Node, a *attributes) error {
	return imp.compute(n, a, over(asInputs, func(in []*graph.Node) *graph.Node { return in[0].Neg() }))
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
		most := x.Max(axes...)
		return x.Sub(most).Exp().Sum(axes...).Log().Add(most)
	},
}

// reduce reads the operators in reductions. A mean over height and width becomes a global
// average pooling.
func (imp *importer) reduce(n *onnx.Node, a *attributes) error {
	listed, keep, none := a.ints("axes"), a.int("keepdims", 1) != 0, a.int("noop_with_empty_axes", 0) != 0
	run := reductions[n.Op]
	return imp.optional(n, a, func(in []value) value {
		axes := listed
		if len(in) > 1 && in[1].there() {
			axes = in[1].integers("the list of axes")
		}
		if len(axes) == 0 && none {
			return in[0]
		}
		rank := len(in[0].shape())
		at := positions(axes, rank)
		if len(axes) == 0 {
			at = counted(rank)
		}
		result := asInputs
		if n.Op != "ReduceProd" && n.Op != "ReduceSum" && n.Op != "ReduceMax" && n.Op != "ReduceMin" {
			result = asNumbers
		}
		return over(result, func(in []*graph.Node) *graph.Node {
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
				y = without(y, at)
			}
			return y
		})(in[:1])
	})
}

// positions turns axes into sorted indices of dimensions. It panics if one is repeated.
func positions(axes []int64, rank int) []int {
	var at []int
	for _, d := range axes {
		at = append(at, position(d, rank))
	}
	slices.Sort(at)
	if len(slices.Compact(slices.Clone(at))) != len(at) {
		panic(tensor.Misusef("axes %v repeat one", axes))
	}
	return at
}

// position returns the index of an axis, which counts from the end if it is negative.
func position(d int64, rank int) int {
	if d < -int64(rank) || d >= int64(rank) {
		panic(tensor.Misusef("axis %d of %d dimensions", d, rank))
	}
	return int((d + int64(rank)) % int64(rank))
}

// counted returns 0, 1, ..., n-1.
func counted(n int) []int {
	list := make([]int, n)
	for i := range list {
		list[i] = i
	}
	return list
}

// without removes dimensions of size 1.
func without(x *graph.Node, at []int) *graph.Node {
	var to tensor.Shape
	for d, size := range x.Shape {
		if !slices.Contains(at, d) {
			to = append(to, size)
		} else if size != 1 {
			panic(tensor.Misusef("takes out dimension %d of %v", d, x.Shape))
		}
	}
	if len(x.Shape) > 2 && len(to) == 2 && to[0] == x.Shape[0] {
		return nn.Flatten{}.Forward(x)
	}
	return x.Reshape(to...)
}

package graph

import (
	"math"

	"github.com/residual-ml/residual/tensor"
)

// Function is a function of one number, for Unary. A and B are the fields of Unary.
type Function uint8

// The functions that have no comment of their own are those of package math.
const (
	Exp Function = iota
	Log
	Sqrt
	Reciprocal // 1/x
	Abs
	Sign
	Floor
	Ceil
	Round // half to even
	Erf
	Sin
	Cos
	Tan
	Asin
	Acos
	Atan
	Sinh
	Cosh
	Asinh
	Acosh
	Atanh
	Power       // x^A
	Clamp       // x, but at least A and at most B; NaN stays
	LeakyReLU   // x where x >= 0, A·x elsewhere
	ELU         // B·x where x > 0, B·A·(e^x - 1) elsewhere; SELU is ELU with a B other than 1
	CELU        // max(x, 0) + min(A·(e^(x/A) - 1), 0)
	Hardsigmoid // A·x + B, at least 0 and at most 1
	Hardswish   // x·min(max(x/6 + 1/2, 0), 1)
	Softplus    // log(1 + e^x)
	Softsign    // x/(1 + |x|)
	SiLU        // x/(1 + e^-Ax), Swish with A = 1
	Mish        // x·tanh(log(1 + e^x))
	GELU        // x·Φ(x), exactly
	GELUTanh    // GELU approximated with tanh
	Threshold   // x where x > A, B elsewhere
	Shrink      // x - B where x > A, x + B where x < -A, 0 elsewhere
	Not         // 1 where x is 0, 0 elsewhere
	functions   // the number of functions
)

// rule is a function with its derivative; y is the function's value at x.
type rule struct {
	name  string
	value func(x, a, b float64) float64
	slope func(x, y, a, b float64) float64
}

func flat(x, y, a, b float64) float64 { return 0 }

var rules = [functions]rule{
	Exp:        {"Exp", func(x, a, b float64) float64 { return math.Exp(x) }, func(x, y, a, b float64) float64 { return y }},
	Log:        {"Log", func(x, a, b float64) float64 { return math.Log(x) }, func(x, y, a, b float64) float64 { return 1 / x }},
	Sqrt:       {"Sqrt", func(x, a, b float64) float64 { return math.Sqrt(x) }, func(x, y, a, b float64) float64 { return 1 / (2 * y) }},
	Reciprocal: {"Reciprocal", func(x, a, b float64) float64 { return 1 / x }, func(x, y, a, b float64) float64 { return -(y * y) }},
	Abs:        {"Abs", func(x, a, b float64) float64 { return math.Abs(x) }, func(x, y, a, b float64) float64 { return sign(x) }},
	Sign:       {"Sign", func(x, a, b float64) float64 { return sign(x) }, flat},
	Floor:      {"Floor", func(x, a, b float64) float64 { return math.Floor(x) }, flat},
	Ceil:       {"Ceil", func(x, a, b float64) float64 { return math.Ceil(x) }, flat},
	Round:      {"Round", func(x, a, b float64) float64 { return math.RoundToEven(x) }, flat},
	Erf: {"Erf", func(x, a, b float64) float64 { return math.Erf(x) }, func(x, y, a, b float64) float64 {
		return 2 / math.Sqrt(math.Pi) * math.Exp(-(x * x))
	}},
	Sin:   {"Sin", func(x, a, b float64) float64 { return math.Sin(x) }, func(x, y, a, b float64) float64 { return math.Cos(x) }},
	Cos:   {"Cos", func(x, a, b float64) float64 { return math.Cos(x) }, func(x, y, a, b float64) float64 { return -math.Sin(x) }},
	Tan:   {"Tan", func(x, a, b float64) float64 { return math.Tan(x) }, func(x, y, a, b float64) float64 { return 1 + float64(y*y) }},
	Asin:  {"Asin", func(x, a, b float64) float64 { return math.Asin(x) }, func(x, y, a, b float64) float64 { return 1 / math.Sqrt(1-float64(x*x)) }},
	Acos:  {"Acos", func(x, a, b float64) float64 { return math.Acos(x) }, func(x, y, a, b float64) float64 { return -1 / math.Sqrt(1-float64(x*x)) }},
	Atan:  {"Atan", func(x, a, b float64) float64 { return math.Atan(x) }, func(x, y, a, b float64) float64 { return 1 / (1 + float64(x*x)) }},
	Sinh:  {"Sinh", func(x, a, b float64) float64 { return math.Sinh(x) }, func(x, y, a, b float64) float64 { return math.Cosh(x) }},
	Cosh:  {"Cosh", func(x, a, b float64) float64 { return math.Cosh(x) }, func(x, y, a, b float64) float64 { return math.Sinh(x) }},
	Asinh: {"Asinh", func(x, a, b float64) float64 { return math.Asinh(x) }, func(x, y, a, b float64) float64 { return 1 / math.Sqrt(float64(x*x)+1) }},
	Acosh: {"Acosh", func(x, a, b float64) float64 { return math.Acosh(x) }, func(x, y, a, b float64) float64 { return 1 / math.Sqrt(float64(x*x)-1) }},
	Atanh: {"Atanh", func(x, a, b float64) float64 { return math.Atanh(x) }, func(x, y, a, b float64) float64 { return 1 / (1 - float64(x*x)) }},
	Power: {"Power", func(x, a, b float64) float64 { return math.Pow(x, a) }, func(x, y, a, b float64) float64 {
		if a == 0 {
			return 0
		}
		return a * math.Pow(x, a-1)
	}},
	Clamp: {"Clamp", clamp, func(x, y, a, b float64) float64 { return one(!(x <= a) && !(x >= b)) }},
	LeakyReLU: {"LeakyReLU", func(x, a, b float64) float64 {
		if x < 0 {
			return a * x
		}
		return x
	}, func(x, y, a, b float64) float64 {
		if x <= 0 {
			return a
		}
		return 1
	}},
	ELU: {"ELU", func(x, a, b float64) float64 {
		if x > 0 {
			return b * x
		}
		return b * a * math.Expm1(x)
	}, func(x, y, a, b float64) float64 {
		if x > 0 {
			return b
		}
		return b * a * math.Exp(x)
	}},
	CELU: {"CELU", func(x, a, b float64) float64 {
		if x > 0 {
			return x
		}
		return a * math.Expm1(x/a)
	}, func(x, y, a, b float64) float64 {
		if x > 0 {
			return 1
		}
		return math.Exp(x / a)
	}},
	Hardsigmoid: {"Hardsigmoid", func(x, a, b float64) float64 { return clamp(float64(a*x)+b, 0, 1) },
		func(x, y, a, b float64) float64 { z := float64(a*x) + b; return a * one(z > 0 && z < 1) }},
	Hardswish: {"Hardswish", func(x, a, b float64) float64 { return x * clamp(x/6+0.5, 0, 1) }, func(x, y, a, b float64) float64 {
		switch {
		case x <= -3:
			return 0
		case x >= 3:
			return 1
		}
		return x/3 + 0.5
	}},
	Softplus: {"Softplus", func(x, a, b float64) float64 { return softplus(x) }, func(x, y, a, b float64) float64 { return logistic(x) }},
	Softsign: {"Softsign", func(x, a, b float64) float64 { return x / (1 + math.Abs(x)) }, func(x, y, a, b float64) float64 {
		d := 1 + math.Abs(x)
		return 1 / (d * d)
	}},
	SiLU: {"SiLU", func(x, a, b float64) float64 { return x * logistic(a*x) }, func(x, y, a, b float64) float64 {
		s := logistic(a * x)
		return s + float64(a*x*s*(1-s))
	}},
	Mish: {"Mish", func(x, a, b float64) float64 { return x * math.Tanh(softplus(x)) }, func(x, y, a, b float64) float64 {
		t := math.Tanh(softplus(x))
		return t + float64(x*(1-float64(t*t))*logistic(x))
	}},
	GELU: {"GELU", func(x, a, b float64) float64 { return x * normalBelow(x) }, func(x, y, a, b float64) float64 {
		return normalBelow(x) + float64(x*math.Exp(-(x*x)/2))/math.Sqrt(2*math.Pi)
	}},
	GELUTanh: {"GELUTanh", func(x, a, b float64) float64 { return x / 2 * (1 + math.Tanh(geluArgument(x))) }, func(x, y, a, b float64) float64 {
		t := math.Tanh(geluArgument(x))
		return (1+t)/2 + float64(x/2*(1-float64(t*t))*math.Sqrt(2/math.Pi)*(1+float64(3*0.044715*x*x)))
	}},
	Threshold: {"Threshold", func(x, a, b float64) float64 {
		if x <= a {
			return b
		}
		return x
	}, func(x, y, a, b float64) float64 { return one(!(x <= a)) }},
	Shrink: {"Shrink", func(x, a, b float64) float64 {
		switch {
		case x < -a:
			return x + b
		case x > a:
			return x - b
		}
		return 0
	}, func(x, y, a, b float64) float64 { return one(x < -a || x > a) }},
	Not: {"Not", func(x, a, b float64) float64 { return one(x == 0) }, flat},
}

func one(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

func sign(x float64) float64 {
	switch {
	case x > 0:
		return 1
	case x < 0:
		return -1
	}
	return x // 0 or NaN
}

func clamp(x, low, high float64) float64 {
	if x < low {
		x = low
	}
	if x > high {
		x = high
	}
	return x
}

func logistic(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

func softplus(x float64) float64 { return math.Max(x, 0) + math.Log1p(math.Exp(-math.Abs(x))) }

// normalBelow is Φ(x), the cumulative distribution function of the normal distribution.
func normalBelow(x float64) float64 { return math.Erfc(-x/math.Sqrt2) / 2 }

func geluArgument(x float64) float64 {
	return math.Sqrt(2/math.Pi) * (x + float64(0.044715*x*x*x))
}

// Unary computes a function of every element, y = f(x), over any shape.
type Unary struct {
	Function Function
	A, B     float64 // parameters of Function
}

func (o Unary) Name() string { return rules[o.Function].name }

func (o Unary) Shape(in []tensor.Shape) tensor.Shape {
	if o.Function >= functions {
		panic(tensor.Misusef("Unary: function %d does not exist", o.Function))
	}
	return sameShapes(o, in, 1)
}

func (o Unary) Gradient(n, dy *Node) []*Node {
	return []*Node{n.Graph.Apply(UnaryGrad{o}, dy, n.Inputs[0], n)}
}

func (o Unary) Reference(n *Node, y []float64, in [][]float64) {
	for i, x := range in[0] {
		y[i] = o.At(x)
	}
}

// At returns f(x).
func (o Unary) At(x float64) float64 { return rules[o.Function].value(x, o.A, o.B) }

// UnaryGrad is the gradient of Unary, dx = dy·f'(x), which is 0 where dy is 0.
// Inputs dy, x and y = f(x), of one shape.
type UnaryGrad struct{ Unary }

func (o UnaryGrad) Name() string                         { return o.Unary.Name() + "Grad" }
func (o UnaryGrad) Shape(in []tensor.Shape) tensor.Shape { return sameShapes(o, in, 3) }
func (o UnaryGrad) Gradient(n, dy *Node) []*Node         { return noSecond(o) }
func (o UnaryGrad) Reference(n *Node, dx []float64, in [][]float64) {
	for i, x := range in[1] {
		dx[i] = in[0][i] * o.Slope(x, in[2][i])
	}
}

// Slope returns f'(x), where y = f(x).
func (o UnaryGrad) Slope(x, y float64) float64 { return rules[o.Function].slope(x, y, o.A, o.B) }

func (n *Node) unary(f Function, a, b float64) *Node { return n.Graph.Apply(Unary{f, a, b}, n) }

// Of returns f of every element of n. a and b are the parameters A and B of f.
func (f Function) Of(n *Node, a, b float64) *Node { return n.unary(f, a, b) }

// Exp returns e to the power of n.
func (n *Node) Exp() *Node { return n.unary(Exp, 0, 0) }

// Log returns the natural logarithm of n.
func (n *Node) Log() *Node { return n.unary(Log, 0, 0) }

// Sqrt returns the square root of n.
func (n *Node) Sqrt() *Node { return n.unary(Sqrt, 0, 0) }

// Abs returns the absolute value of n.
func (n *Node) Abs() *Node { return n.unary(Abs, 0, 0) }

// Neg returns -n.
func (n *Node) Neg() *Node { return n.Scale(-1) }

// Scale returns n times a number.
func (n *Node) Scale(factor float64) *Node { return n.Graph.Apply(Scale{factor}, n) }

// Shift returns n plus a number.
func (n *Node) Shift(by float64) *Node { return n.Add(n.Graph.Constant(by)) }

// Pow returns n to the power of a number.
func (n *Node) Pow(exponent float64) *Node { return n.unary(Power, exponent, 0) }

// Clamp returns n, but at least low and at most high; NaN stays NaN.
func (n *Node) Clamp(low, high float64) *Node { return n.unary(Clamp, low, high) }

// The methods below are the activation functions of torch.nn.functional, element by element:
// https://pytorch.org/docs/stable/nn.functional.html#non-linear-activation-functions

// ReLU returns max(n, 0).
func (n *Node) ReLU() *Node { return n.Graph.Apply(ReLU{}, n) }

// ReLU6 returns min(max(n, 0), 6).
func (n *Node) ReLU6() *Node { return n.Clamp(0, 6) }

// LeakyReLU returns n where it is above 0, and slope·n elsewhere.
func (n *Node) LeakyReLU(slope float64) *Node { return n.unary(LeakyReLU, slope, 0) }

// Sigmoid returns 1/(1 + e^-n).
func (n *Node) Sigmoid() *Node { return n.Graph.Apply(Sigmoid{}, n) }

// Tanh returns the hyperbolic tangent of n.
func (n *Node) Tanh() *Node { return n.Graph.Apply(Tanh{}, n) }

// GELU returns n·Φ(n), with the normal distribution's Φ.
func (n *Node) GELU() *Node { return n.unary(GELU, 0, 0) }

// GELUTanh returns PyTorch's GELU(approximate="tanh"), which is close to GELU.
func (n *Node) GELUTanh() *Node { return n.unary(GELUTanh, 0, 0) }

// SiLU returns n·sigmoid(n), which is also called Swish.
func (n *Node) SiLU() *Node { return n.unary(SiLU, 1, 0) }

// Hardswish returns n·ReLU6(n + 3)/6.
func (n *Node) Hardswish() *Node { return n.unary(Hardswish, 0, 0) }

// Hardsigmoid returns ReLU6(n + 3)/6.
func (n *Node) Hardsigmoid() *Node { return n.unary(Hardsigmoid, 1.0/6, 0.5) }

// Softplus returns log(1 + e^n).
func (n *Node) Softplus() *Node { return n.unary(Softplus, 0, 0) }

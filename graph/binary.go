package graph

import (
	"math"

	"github.com/residual-ml/residual/tensor"
)

// Pairing is a function of two numbers, for Binary.
type Pairing uint8

// The comparisons return 1 or 0, as Less does.
const (
	Sub  Pairing = iota // a - b
	Div                 // a / b
	Pow                 // a^b
	Max                 // the larger one; NaN where either is
	Min                 // the smaller one; NaN where either is
	Mod                 // a - b·floor(a/b), with the sign of b
	Fmod                // the remainder with the sign of a
	Less                // 1 where a < b, else 0; so are the others
	LessOrEqual
	Greater
	GreaterOrEqual
	Equal
	NotEqual
	pairings // the number of pairings
)

// pairRule is a function of two numbers with its derivative by each of them, which is nil if it
// is always 0.
type pairRule struct {
	name   string
	value  func(a, b float64) float64
	slopes [2]func(a, b float64) float64
}

var pairRules = [pairings]pairRule{
	Sub: {"Sub", func(a, b float64) float64 { return a - b }, [2]func(a, b float64) float64{
		func(a, b float64) float64 { return 1 }, func(a, b float64) float64 { return -1 },
	}},
	Div: {"Div", func(a, b float64) float64 { return a / b }, [2]func(a, b float64) float64{
		func(a, b float64) float64 { return 1 / b }, func(a, b float64) float64 { return -(a / b) / b },
	}},
	Pow: {"Pow", math.Pow, [2]func(a, b float64) float64{
		func(a, b float64) float64 {
			if b == 0 {
				return 0
			}
			return b * math.Pow(a, b-1)
		},
		func(a, b float64) float64 {
			if a == 0 && b >= 0 {
				return 0
			}
			return math.Pow(a, b) * math.Log(a)
		},
	}},
	Max: {"Max", math.Max, [2]func(a, b float64) float64{
		func(a, b float64) float64 { return maxSlope(a > b, a == b) }, func(a, b float64) float64 { return maxSlope(b > a, a == b) },
	}},
	Min: {"Min", math.Min, [2]func(a, b float64) float64{
		func(a, b float64) float64 { return maxSlope(a < b, a == b) }, func(a, b float64) float64 { return maxSlope(b < a, a == b) },
	}},
	Mod: {"Mod", func(a, b float64) float64 {
		m := math.Mod(a, b)
		if m != 0 && (m < 0) != (b < 0) {
			m += b
		}
		return m
	}, [2]func(a, b float64) float64{
		func(a, b float64) float64 { return 1 }, func(a, b float64) float64 { return -math.Floor(a / b) },
	}},
	Fmod: {"Fmod", math.Mod, [2]func(a, b float64) float64{
		func(a, b float64) float64 { return 1 }, func(a, b float64) float64 { return -math.Trunc(a / b) },
	}},
	Less:           {name: "Less", value: func(a, b float64) float64 { return one(a < b) }},
	LessOrEqual:    {name: "LessOrEqual", value: func(a, b float64) float64 { return one(a <= b) }},
	Greater:        {name: "Greater", value: func(a, b float64) float64 { return one(a > b) }},
	GreaterOrEqual: {name: "GreaterOrEqual", value: func(a, b float64) float64 { return one(a >= b) }},
	Equal:          {name: "Equal", value: func(a, b float64) float64 { return one(a == b) }},
	NotEqual:       {name: "NotEqual", value: func(a, b float64) float64 { return one(a != b) }},
}

// maxSlope is the derivative of the maximum (or minimum) of two numbers by one of them: 1/2 if they are
// equal, as in PyTorch.
func maxSlope(this, both bool) float64 {
	if both {
		return 0.5
	}
	return one(this)
}

// Binary computes a function of two tensors of one shape element by element, y = f(a, b).
// Add and Mul are operations of their own, which fuse with others.
type Binary struct{ Pairing Pairing }

func (o Binary) Name() string { return pairRules[o.Pairing].name }

func (o Binary) Shape(in []tensor.Shape) tensor.Shape {
	if o.Pairing >= pairings {
		panic(tensor.Misusef("Binary: function %d does not exist", o.Pairing))
	}
	return sameShapes(o, in, 2)
}

func (o Binary) Gradient(n, dy *Node) []*Node {
	grads := make([]*Node, 2)
	for i, slope := range pairRules[o.Pairing].slopes {
		if slope != nil {
			grads[i] = n.Graph.Apply(BinaryGrad{o, i}, dy, n.Inputs[0], n.Inputs[1])
		}
	}
	return grads
}

func (o Binary) Reference(n *Node, y []float64, in [][]float64) {
	for i, a := range in[0] {
		y[i] = o.At(a, in[1][i])
	}
}

// At returns f(a, b).
func (o Binary) At(a, b float64) float64 { return pairRules[o.Pairing].value(a, b) }

// BinaryGrad is the gradient of Binary for its input I, dy times the derivative.
// Inputs dy, a and b, of one shape.
type BinaryGrad struct {
	Binary
	I int
}

func (o BinaryGrad) Name() string                         { return o.Binary.Name() + "Grad" }
func (o BinaryGrad) Shape(in []tensor.Shape) tensor.Shape { return sameShapes(o, in, 3) }
func (o BinaryGrad) Gradient(n, dy *Node) []*Node         { return noSecond(o) }
func (o BinaryGrad) Reference(n *Node, dx []float64, in [][]float64) {
	for i, dy := range in[0] {
		dx[i] = dy * o.Slope(in[1][i], in[2][i])
	}
}

// Slope returns the derivative of f(a, b) by the input I.
func (o BinaryGrad) Slope(a, b float64) float64 { return pairRules[o.Pairing].slopes[o.I](a, b) }

// Where chooses element by element: a where the condition is not 0, b elsewhere.
// Inputs condition, a, b, of one shape. No gradient flows to the condition.
type Where struct{}

func (Where) Name() string                           { return "Where" }
func (o Where) Shape(in []tensor.Shape) tensor.Shape { return sameShapes(o, in, 3) }
func (Where) Gradient(n, dy *Node) []*Node {
	c, zero := n.Inputs[0], n.Graph.Constant(0, n.Shape...)
	return []*Node{nil, n.Graph.Apply(Where{}, c, dy, zero), n.Graph.Apply(Where{}, c, zero, dy)}
}
func (Where) Reference(n *Node, y []float64, in [][]float64) {
	for i, c := range in[0] {
		y[i] = in[2][i]
		if c != 0 {
			y[i] = in[1][i]
		}
	}
}

// Of returns f of n and m, whose shapes are broadcast to one.
func (f Pairing) Of(n, m *Node) *Node {
	n, m = broadcast(Binary{f}, n, m)
	return n.Graph.Apply(Binary{f}, n, m)
}

// Sub returns n - m; sizes of 1 are broadcast.
func (n *Node) Sub(m *Node) *Node { return Sub.Of(n, m) }

// Div returns n / m; sizes of 1 are broadcast.
func (n *Node) Div(m *Node) *Node { return Div.Of(n, m) }

// Maximum returns the larger element of n and m; sizes of 1 are broadcast.
func (n *Node) Maximum(m *Node) *Node { return Max.Of(n, m) }

// Minimum returns the smaller element of n and m; sizes of 1 are broadcast.
func (n *Node) Minimum(m *Node) *Node { return Min.Of(n, m) }

// Less returns 1 where n < m and 0 elsewhere; sizes of 1 are broadcast. No gradient flows.
func (n *Node) Less(m *Node) *Node { return Less.Of(n, m) }

// LessOrEqual returns 1 where n <= m and 0 elsewhere; sizes of 1 are broadcast. No gradient flows.
func (n *Node) LessOrEqual(m *Node) *Node { return LessOrEqual.Of(n, m) }

// Greater returns 1 where n > m and 0 elsewhere; sizes of 1 are broadcast. No gradient flows.
func (n *Node) Greater(m *Node) *Node { return Greater.Of(n, m) }

// GreaterOrEqual returns 1 where n >= m and 0 elsewhere; sizes of 1 are broadcast. No gradient flows.
func (n *Node) GreaterOrEqual(m *Node) *Node { return GreaterOrEqual.Of(n, m) }

// Equal returns 1 where n == m and 0 elsewhere; sizes of 1 are broadcast. No gradient flows.
func (n *Node) Equal(m *Node) *Node { return Equal.Of(n, m) }

// NotEqual returns 1 where n != m and 0 elsewhere; sizes of 1 are broadcast. No gradient flows.
func (n *Node) NotEqual(m *Node) *Node { return NotEqual.Of(n, m) }

// Where returns a where n is not 0 and b elsewhere; sizes of 1 are broadcast.
func (n *Node) Where(a, b *Node) *Node {
	a, b = broadcast(Where{}, a, b)
	n, a = broadcast(Where{}, n, a)
	a, b = broadcast(Where{}, a, b)
	return n.Graph.Apply(Where{}, n, a, b)
}

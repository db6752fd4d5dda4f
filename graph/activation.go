package graph

import (
	"math"

	"github.com/residual-ml/residual/tensor"
)

// ReLU is the rectifier, y = max(x, 0), elementwise over any shape; NaN stays NaN.
// https://pytorch.org/docs/stable/generated/torch.nn.ReLU.html
type ReLU struct{}

func (ReLU) Name() string                           { return "ReLU" }
func (o ReLU) Shape(in []tensor.Shape) tensor.Shape { return sameShapes(o, in, 1) }
func (ReLU) Gradient(n, dy *Node) []*Node           { return []*Node{n.Graph.Apply(ReLUGrad{}, dy, n)} }
func (ReLU) Reference(n *Node, y []float64, in [][]float64) {
	for i, x := range in[0] {
		if !(x <= 0) {
			y[i] = x
		}
	}
}

// ReLUGrad is the gradient of ReLU: 0 where y <= 0, and dy elsewhere, also where y is NaN, as
// in PyTorch.
// Inputs dy and the output y of ReLU, of one shape.
type ReLUGrad struct{}

func (ReLUGrad) Name() string                           { return "ReLUGrad" }
func (o ReLUGrad) Shape(in []tensor.Shape) tensor.Shape { return sameShapes(o, in, 2) }
func (o ReLUGrad) Gradient(n, dy *Node) []*Node         { return noSecond(o) }
func (ReLUGrad) Reference(n *Node, dx []float64, in [][]float64) {
	for i, y := range in[1] {
		if !(y <= 0) {
			dx[i] = in[0][i]
		}
	}
}

// Sigmoid is the logistic function, y = 1/(1 + e^-x), elementwise over any shape.
// https://pytorch.org/docs/stable/generated/torch.nn.Sigmoid.html
type Sigmoid struct{}

func (Sigmoid) Name() string                           { return "Sigmoid" }
func (o Sigmoid) Shape(in []tensor.Shape) tensor.Shape { return sameShapes(o, in, 1) }
func (Sigmoid) Gradient(n, dy *Node) []*Node           { return []*Node{n.Graph.Apply(SigmoidGrad{}, dy, n)} }
func (Sigmoid) Reference(n *Node, y []float64, in [][]float64) {
	for i, x := range in[0] {
		y[i] = 1 / (1 + math.Exp(-x))
	}
}

// SigmoidGrad is the gradient of Sigmoid, dx = dy·y·(1-y).
// Inputs dy and the output y of Sigmoid, of one shape.
type SigmoidGrad struct{}

func (SigmoidGrad) Name() string                           { return "SigmoidGrad" }
func (o SigmoidGrad) Shape(in []tensor.Shape) tensor.Shape { return sameShapes(o, in, 2) }
func (o SigmoidGrad) Gradient(n, dy *Node) []*Node         { return noSecond(o) }
func (SigmoidGrad) Reference(n *Node, dx []float64, in [][]float64) {
	for i, y := range in[1] {
		dx[i] = in[0][i] * y * (1 - y)
	}
}

// Tanh is the hyperbolic tangent, elementwise over any shape.
// https://pytorch.org/docs/stable/generated/torch.nn.Tanh.html
type Tanh struct{}

func (Tanh) Name() string                           { return "Tanh" }
func (o Tanh) Shape(in []tensor.Shape) tensor.Shape { return sameShapes(o, in, 1) }
func (Tanh) Gradient(n, dy *Node) []*Node           { return []*Node{n.Graph.Apply(TanhGrad{}, dy, n)} }
func (Tanh) Reference(n *Node, y []float64, in [][]float64) {
	for i, x := range in[0] {
		y[i] = math.Tanh(x)
	}
}

// TanhGrad is the gradient of Tanh, dx = dy·(1-y²).
// Inputs dy and the output y of Tanh, of one shape.
type TanhGrad struct{}

func (TanhGrad) Name() string                           { return "TanhGrad" }
func (o TanhGrad) Shape(in []tensor.Shape) tensor.Shape { return sameShapes(o, in, 2) }
func (o TanhGrad) Gradient(n, dy *Node) []*Node         { return noSecond(o) }
func (TanhGrad) Reference(n *Node, dx []float64, in [][]float64) {
	for i, y := range in[1] {
		dx[i] = in[0][i] * (1 - y*y)
	}
}

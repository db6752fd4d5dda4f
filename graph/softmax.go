package graph

import (
	"math"

	"github.com/residual-ml/residual/tensor"
)

// Softmax turns every row of logits into probabilities:
//
//	y[n,k] = exp(z[n,k]) / Σ j exp(z[n,j])
//
// Input z [N, K]; the output has its shape.
// https://pytorch.org/docs/stable/generated/torch.nn.Softmax.html
type Softmax struct{}

func (Softmax) Name() string { return "Softmax" }

func (o Softmax) Shape(in []tensor.Shape) tensor.Shape {
	wantInputs(o, in, 1, 1)
	wantRank(o, in, 0, 2, "logits [N, K]")
	return in[0]
}

func (Softmax) Gradient(n, dy *Node) []*Node {
	return []*Node{n.Graph.Apply(SoftmaxGrad{}, dy, n)}
}

func (Softmax) Reference(n *Node, y []float64, in [][]float64) {
	k := n.Shape[1]
	for b := range n.Shape[0] {
		row := in[0][b*k : (b+1)*k]
		total := logSumExp(row)
		for i, z := range row {
			y[b*k+i] = math.Exp(z - total)
		}
	}
}

// SoftmaxGrad is the gradient of Softmax:
//
//	dz[n,k] = y[n,k] · (dy[n,k] - Σ j dy[n,j]·y[n,j])
//
// Inputs dy and the output y of Softmax, both [N, K]; the output is [N, K].
type SoftmaxGrad struct{}

func (SoftmaxGrad) Name() string                   { return "SoftmaxGrad" }
func (o SoftmaxGrad) Gradient(n, dy *Node) []*Node { return noSecond(o) }

func (o SoftmaxGrad) Shape(in []tensor.Shape) tensor.Shape {
	s := sameShapes(o, in, 2)
	wantRank(o, in, 0, 2, "dy [N, K]")
	return s
}

func (SoftmaxGrad) Reference(n *Node, dz []float64, in [][]float64) {
	dy, y, k := in[0], in[1], n.Shape[1]
	for b := range n.Shape[0] {
		dot := 0.0
		for i := b * k; i < (b+1)*k; i++ {
			dot += dy[i] * y[i]
		}
		for i := b * k; i < (b+1)*k; i++ {
			dz[i] = y[i] * (dy[i] - dot)
		}
	}
}

// Softmax returns e^n divided by the sum of e^n along an axis.
func (n *Node) Softmax(axis int) *Node {
	d := n.axis("Softmax", axis)
	if len(n.Shape) == 2 && d == 1 {
		return n.Graph.Apply(Softmax{}, n)
	}
	e := n.Sub(n.Max(d).Detach()).Exp() // the result does not depend on what is subtracted
	return e.Div(e.Sum(d))
}

// LogSoftmax returns the logarithm of the softmax along an axis, z - log Σ e^z.
func (n *Node) LogSoftmax(axis int) *Node {
	z := n.Sub(n.Max(axis).Detach()) // the result does not depend on what is subtracted
	return z.Sub(z.Exp().Sum(axis).Log())
}

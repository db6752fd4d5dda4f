package graph

import (
	"slices"

	"github.com/residual-ml/residual/tensor"
)

// Transpose puts the dimensions of a tensor in another order: dimension d of the result
// is dimension Axes[d] of the input.
// https://pytorch.org/docs/stable/generated/torch.permute.html
type Transpose struct{ Axes []int }

func (Transpose) Name() string { return "Transpose" }

func (o Transpose) Shape(in []tensor.Shape) tensor.Shape {
	wantInputs(o, in, 1, 1)
	sorted := slices.Sorted(slices.Values(o.Axes))
	if len(sorted) != len(in[0]) || !inOrder(sorted) {
		badShapes(o, in, "%v is not a permutation of its dimensions", o.Axes)
	}
	out := make(tensor.Shape, len(o.Axes))
	for d, from := range o.Axes {
		out[d] = in[0][from]
	}
	return out
}

func (o Transpose) Gradient(n, dy *Node) []*Node {
	back := make([]int, len(o.Axes))
	for d, from := range o.Axes {
		back[from] = d
	}
	return []*Node{n.Graph.Apply(Transpose{back}, dy)}
}

func (o Transpose) Reference(n *Node, y []float64, in [][]float64) {
	strides := n.Inputs[0].Shape.Strides()
	for yi := range y {
		xi, remaining := 0, yi
		for d := len(n.Shape) - 1; d >= 0; d-- {
			xi += remaining % n.Shape[d] * strides[o.Axes[d]]
			remaining /= n.Shape[d]
		}
		y[yi] = in[0][xi]
	}
}

// Transpose puts the dimensions in another order: dimension d of the result is
// dimension axes[d] of n. Successive transpositions are combined; if they cancel, none is left.
func (n *Node) Transpose(axes ...int) *Node {
	axes = slices.Clone(axes)
	for d := range axes {
		axes[d] = n.axis("Transpose", axes[d])
	}
	if first, ok := n.Op.(Transpose); ok && len(axes) == len(n.Shape) {
		for d := range axes {
			axes[d] = first.Axes[axes[d]]
		}
		n = n.Inputs[0]
	}
	if len(axes) == len(n.Shape) && inOrder(axes) {
		return n
	}
	return n.Graph.Apply(Transpose{axes}, n)
}

package graph

import (
	"math"

	"github.com/residual-ml/residual/tensor"
)

// GatherElements takes one element for every index, along one axis: along dimension 1 of a
// matrix,
//
//	y[i][j] = x[i][index[i][j]]
//
// which takes the logarithm of the probability of every example's label, for instance. An
// index counts from 0; where it lies outside the axis, y is NaN and no gradient flows.
//
// Inputs x and index, of the same sizes except along Axis; the output has the shape of index.
// No gradient flows to the index.
// https://pytorch.org/docs/stable/generated/torch.gather.html
type GatherElements struct{ Axis int }

func (GatherElements) Name() string { return "GatherElements" }

func (o GatherElements) Shape(in []tensor.Shape) tensor.Shape {
	wantInputs(o, in, 2, 2)
	if o.Axis < 0 || o.Axis >= len(in[0]) {
		badShapes(o, in, "input 0 has no dimension %d", o.Axis)
	}
	if !sameBut(in[0], in[1], o.Axis) {
		badShapes(o, in, "x and index differ outside dimension %d", o.Axis)
	}
	return in[1]
}

// sameBut reports whether shapes are equal outside one dimension.
func sameBut(a, b tensor.Shape, axis int) bool {
	if len(a) != len(b) {
		return false
	}
	for d := range a {
		if d != axis && a[d] != b[d] {
			return false
		}
	}
	return true
}

func (o GatherElements) Gradient(n, dy *Node) []*Node {
	return []*Node{n.Graph.Apply(GatherElementsGrad{o.Axis, n.Inputs[0].Shape[o.Axis]}, n.Inputs[1], dy), nil}
}

func (o GatherElements) Reference(n *Node, y []float64, in [][]float64) {
	chosen(n.Inputs[0].Shape, n.Shape, o.Axis, in[1], func(xi, yi int) {
		if y[yi] = math.NaN(); xi >= 0 {
			y[yi] = in[0][xi]
		}
	})
}

// chosen visits every element of y with the element of x that its index names, or -1.
func chosen(x, y tensor.Shape, axis int, index []float64, visit func(xi, yi int)) {
	inner := y[axis+1:].Numel()
	for yi, at := range index {
		line, k := yi/inner/y[axis], yi%inner
		xi := -1
		if at >= 0 && at < float64(x[axis]) {
			xi = (line*x[axis]+int(at))*inner + k
		}
		visit(xi, yi)
	}
}

// GatherElementsGrad is the gradient of GatherElements for x, which has Size elements along
// the axis: each dy is added to the element that was taken. Inputs index and dy, of one shape.
type GatherElementsGrad struct{ Axis, Size int }

func (GatherElementsGrad) Name() string                   { return "GatherElementsGrad" }
func (o GatherElementsGrad) Gradient(n, dy *Node) []*Node { return noSecond(o) }

func (o GatherElementsGrad) Shape(in []tensor.Shape) tensor.Shape {
	out := sameShapes(o, in, 2).Clone()
	if o.Axis < 0 || o.Axis >= len(out) {
		badShapes(o, in, "input 0 has no dimension %d", o.Axis)
	}
	out[o.Axis] = o.Size
	return out
}

func (o GatherElementsGrad) Reference(n *Node, dx []float64, in [][]float64) {
	chosen(n.Shape, n.Inputs[0].Shape, o.Axis, in[0], func(xi, yi int) {
		if xi >= 0 {
			dx[xi] += in[1][yi]
		}
	})
}

// GatherElements takes the element of n that each index names, along an axis. index has the
// sizes of n except along the axis; see the operation of this name. Gather takes whole slices
// at indices that are known when the graph is built.
func (n *Node) GatherElements(axis int, index *Node) *Node {
	return n.Graph.Apply(GatherElements{n.axis("GatherElements", axis)}, n, index)
}

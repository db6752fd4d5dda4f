package graph

import "github.com/residual-ml/residual/tensor"

// Sum adds up all elements of a tensor of any shape; the output is a scalar.
type Sum struct{}

func (Sum) Name() string { return "Sum" }
func (o Sum) Shape(in []tensor.Shape) tensor.Shape {
	wantInputs(o, in, 1, 1)
	return tensor.Shape{}
}
func (Sum) Gradient(n, dy *Node) []*Node {
	return []*Node{n.Graph.Apply(Expand{n.Inputs[0].Shape.Clone()}, dy)}
}
func (Sum) Reference(n *Node, out []float64, in [][]float64) {
	for _, x := range in[0] {
		out[0] += x
	}
}

// Expand fills a tensor of shape To with a scalar, its only input.
type Expand struct{ To tensor.Shape }

func (Expand) Name() string { return "Expand" }
func (o Expand) Shape(in []tensor.Shape) tensor.Shape {
	wantInputs(o, in, 1, 1)
	wantRank(o, in, 0, 0, "a scalar")
	return o.To
}
func (Expand) Gradient(n, dy *Node) []*Node { return []*Node{n.Graph.Apply(Sum{}, dy)} }
func (Expand) Reference(n *Node, out []float64, in [][]float64) {
	for i := range out {
		out[i] = in[0][0]
	}
}

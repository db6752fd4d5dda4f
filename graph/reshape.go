package graph

import "github.com/residual-ml/residual/tensor"

// Reshape gives the elements of its input, in row-major order, another shape with the same
// number of elements.
// https://pytorch.org/docs/stable/generated/torch.reshape.html
type Reshape struct{ To tensor.Shape }

func (Reshape) Name() string { return "Reshape" }
func (o Reshape) Shape(in []tensor.Shape) tensor.Shape {
	wantInputs(o, in, 1, 1)
	if in[0].Numel() != o.To.Numel() {
		badShapes(o, in, "cannot become %v", o.To)
	}
	return o.To
}
func (Reshape) Gradient(n, dy *Node) []*Node {
	return []*Node{n.Graph.Apply(Reshape{n.Inputs[0].Shape.Clone()}, dy)}
}
func (Reshape) Reference(n *Node, out []float64, in [][]float64) { copy(out, in[0]) }

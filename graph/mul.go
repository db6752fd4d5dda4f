package graph

import "github.com/residual-ml/residual/tensor"

// Mul is the elementwise product of two tensors of one shape, y = a·b.
type Mul struct{}

func (Mul) Name() string                           { return "Mul" }
func (o Mul) Shape(in []tensor.Shape) tensor.Shape { return sameShapes(o, in, 2) }
func (Mul) Gradient(n, dy *Node) []*Node {
	a, b := n.Inputs[0], n.Inputs[1]
	return []*Node{n.Graph.Apply(Mul{}, dy, b), n.Graph.Apply(Mul{}, dy, a)}
}
func (Mul) Reference(n *Node, out []float64, in [][]float64) {
	for i := range out {
		out[i] = in[0][i] * in[1][i]
	}
}

// Mul returns n·m, elementwise; sizes of 1 are broadcast.
func (n *Node) Mul(m *Node) *Node {
	n, m = broadcast(Mul{}, n, m)
	return n.Graph.Apply(Mul{}, n, m)
}

package graph

import "github.com/residual-ml/residual/tensor"

// Add is the elementwise sum of two tensors of one shape, y = a + b: the
// residual connection, y = F(x) + x (He et al., "Deep Residual Learning for
// Image Recognition", 2015, eq. 1). Inputs a, b of any one shape.
type Add struct{}

func (Add) Name() string                           { return "Add" }
func (o Add) Shape(in []tensor.Shape) tensor.Shape { return sameShapes(o, in, 2) }
func (Add) Gradient(n, dy *Node) []*Node           { return []*Node{dy, dy} }
func (Add) Reference(n *Node, out []float64, in [][]float64) {
	for i := range out {
		out[i] = in[0][i] + in[1][i]
	}
}

// Add returns n + m, elementwise; sizes of 1 are broadcast.
func (n *Node) Add(m *Node) *Node {
	n, m = broadcast(Add{}, n, m)
	return n.Graph.Apply(Add{}, n, m)
}

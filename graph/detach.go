package graph

import "github.com/residual-ml/residual/tensor"

// Detach returns its input, of any shape, as a constant: no gradient flows through it.
// https://pytorch.org/docs/stable/generated/torch.Tensor.detach.html
type Detach struct{}

func (Detach) Name() string                                   { return "Detach" }
func (o Detach) Shape(in []tensor.Shape) tensor.Shape         { return sameShapes(o, in, 1) }
func (Detach) Gradient(n, dy *Node) []*Node                   { return []*Node{nil} }
func (Detach) Reference(n *Node, y []float64, in [][]float64) { copy(y, in[0]) }

// Detach returns n as a constant, through which no gradient flows.
func (n *Node) Detach() *Node { return n.Graph.Apply(Detach{}, n) }

package graph

import "github.com/residual-ml/residual/tensor"

// Scale multiplies every element by one number, y = Factor·x, over any shape.
type Scale struct{ Factor float64 }

func (Scale) Name() string                           { return "Scale" }
func (o Scale) Shape(in []tensor.Shape) tensor.Shape { return sameShapes(o, in, 1) }
func (o Scale) Gradient(n, dy *Node) []*Node         { return []*Node{n.Graph.Apply(o, dy)} }
func (o Scale) Reference(n *Node, out []float64, in [][]float64) {
	for i, x := range in[0] {
		out[i] = o.Factor * x
	}
}

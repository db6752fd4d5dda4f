package graph

import "github.com/residual-ml/residual/tensor"

// StochasticDepth zeroes whole examples at random with probability P and scales
// the others by 1/(1-P). It drops a residual branch for some images of a batch (Huang et al.,
// "Deep Networks with Stochastic Depth", 2016, equation 2, in the inverted form of torchvision's
// mode "row"). DropoutKeep chooses the examples, so they depend only on the key, Stream and the
// position in the batch.
//
// Inputs x [N, ...] and the graph's key, an Int64 scalar; the output has the shape
// of x. The gradient is the same op on dy. P = 1 gives zeros.
// https://pytorch.org/vision/stable/generated/torchvision.ops.stochastic_depth.html
type StochasticDepth struct {
	P      float64
	Stream int // from Graph.NextStream; different for each branch of a graph
}

func (StochasticDepth) Name() string { return "StochasticDepth" }

func (o StochasticDepth) Shape(in []tensor.Shape) tensor.Shape {
	wantInputs(o, in, 2, 2)
	wantRank(o, in, 1, 0, "a scalar key")
	if len(in[0]) < 1 {
		badShapes(o, in, "input 0 is not x [N, ...]")
	}
	if !(o.P >= 0 && o.P <= 1) {
		badShapes(o, in, "probability %v is not between 0 and 1", o.P)
	}
	return in[0]
}

func (o StochasticDepth) Gradient(n, dy *Node) []*Node {
	return []*Node{n.Graph.Apply(o, dy, n.Inputs[1]), nil}
}

func (o StochasticDepth) Reference(n *Node, y []float64, in [][]float64) {
	size := n.Shape[1:].Numel()
	for i := range n.Shape[0] {
		if !DropoutKeep(int64(in[1][0]), o.Stream, uint64(i), o.P) {
			continue
		}
		for j := i * size; j < (i+1)*size; j++ {
			y[j] = in[0][j] / (1 - o.P)
		}
	}
}

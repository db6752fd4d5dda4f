package nn

import (
	"fmt"

	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/tensor"
)

// StochasticDepth drops a residual branch for some images of a batch. In training it sets
// whole images to zero with probability P and multiplies the others by 1/(1-P). In evaluation
// it returns its input. Which images are dropped depends only on the graph's key (see
// graph.Key), not on the device. It is torchvision's layer of that name in mode "row".
// https://pytorch.org/vision/stable/generated/torchvision.ops.StochasticDepth.html
type StochasticDepth struct {
	P float64 // zero means that nothing is dropped
}

func (m StochasticDepth) Forward(x *graph.Node) *graph.Node {
	g, first := x.Graph, len(x.Graph.Nodes)
	if !(m.P >= 0 && m.P <= 1) {
		panic(tensor.Misusef("nn: %v: P must be from 0 to 1", m))
	}
	if g.Mode == graph.Eval || m.P == 0 {
		return g.Record(m, first, x)
	}
	key := g.Key()
	return g.Record(m, first, g.Apply(graph.StochasticDepth{P: m.P, Stream: g.NextStream()}, x, key))
}

// Branch is Forward for a block's branch. If P is 0, it adds no row to summaries.
func (m StochasticDepth) Branch(branch *graph.Node) *graph.Node {
	if m.P == 0 {
		return branch
	}
	return m.Forward(branch)
}

func (m StochasticDepth) String() string { return fmt.Sprintf("StochasticDepth(p=%g, mode=row)", m.P) }

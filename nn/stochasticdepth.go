package nn

import (
	"fmt"

	"github.com/residual-ml/residual/graph"
)

// StochasticDepth leaves a residual branch out for some images of a batch: in
// training it sets whole images to zero with probability P and scales the others
// by 1/(1-P); in evaluation it returns its input. Which ones depends on the graph's
// key alone (see graph.Key), not on the device. It is torchvision's layer of that
// name in mode "row".
// https://pytorch.org/vision/stable/generated/torchvision.ops.StochasticDepth.html
type StochasticDepth struct {
	P float64 // zero: none is left out
}

func (m StochasticDepth) Forward(x *graph.Node) *graph.Node {
	g, first := x.Graph, len(x.Graph.Nodes)
	if !(m.P >= 0 && m.P <= 1) {
		panic(fmt.Sprintf("nn: %v: P must be from 0 to 1", m))
	}
	if g.Mode == graph.Eval || m.P == 0 {
		return g.Record(m, first, x)
	}
	key := g.Key()
	return g.Record(m, first, g.Apply(graph.StochasticDepth{P: m.P, Stream: g.NextStream()}, x, key))
}

// Branch is Forward on a block's branch, without a row in summaries where P is 0.
func (m StochasticDepth) Branch(branch *graph.Node) *graph.Node {
	if m.P == 0 {
		return branch
	}
	return m.Forward(branch)
}

func (m StochasticDepth) String() string { return fmt.Sprintf("StochasticDepth(p=%g, mode=row)", m.P) }

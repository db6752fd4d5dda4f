package nn

import (
	"fmt"

	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/tensor"
)

// Dropout sets elements to zero with probability P in training and multiplies the others by
// 1/(1-P). In evaluation it returns its input. Which elements are dropped depends only on the
// graph's key (see graph.Key), not on the device.
// https://pytorch.org/docs/stable/generated/torch.nn.Dropout.html
type Dropout struct {
	P float64 // zero means 0.5; leave the layer out for no dropout
}

func (m Dropout) Forward(x *graph.Node) *graph.Node {
	g, first, p := x.Graph, len(x.Graph.Nodes), m.probability()
	if !(p > 0 && p <= 1) {
		panic(tensor.Misusef("nn: %v: P must be above 0 and at most 1", m))
	}
	if g.Mode == graph.Eval {
		return g.Record(m, first, x)
	}
	key := g.Key()
	return g.Record(m, first, g.Apply(graph.Dropout{P: p, Stream: g.NextStream()}, x, key))
}

func (m Dropout) probability() float64 {
	if m.P == 0 {
		return 0.5
	}
	return m.P
}

func (m Dropout) String() string { return fmt.Sprintf("Dropout(p=%g)", m.probability()) }

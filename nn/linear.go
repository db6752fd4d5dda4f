package nn

import (
	"fmt"

	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/tensor"
)

// Dense configures a linear layer. The zero value is PyTorch's default.
type Dense struct {
	NoBias bool
	Blank  bool // see Conv
}

// Linear is PyTorch's layer of that name: [N,in] -> [N,out], y = x W^T + b. Further dimensions
// before the last, [N,...,in], are kept.
// https://pytorch.org/docs/stable/generated/torch.nn.Linear.html
type Linear struct {
	Weight *Parameter // [out, in]
	Bias   *Parameter // [out], or nil
}

// NewLinear returns a linear layer from in to out features.
func NewLinear(in, out int, c ...Dense) *Linear {
	conf := one("NewLinear", c)
	if in < 1 || out < 1 {
		panic(tensor.Misusef("nn.NewLinear(%d, %d): sizes must be at least 1", in, out))
	}
	l := &Linear{Weight: parameter(out, in)}
	if !conf.NoBias {
		l.Bias = parameter(out)
	}
	if !conf.Blank {
		fresh(l)
	}
	return l
}

func (l *Linear) Forward(x *graph.Node) *graph.Node {
	g, first := x.Graph, len(x.Graph.Nodes)
	in := l.Weight.Value.Shape()[1]
	last := len(x.Shape) - 1
	if last < 1 || x.Shape[last] != in {
		misfit(l, l.Weight, x, "needs [N, %d]", in)
	}
	inputs := []*graph.Node{x.Reshape(x.Shape[:last].Numel(), in), g.Variable(l.Weight)}
	if l.Bias != nil {
		inputs = append(inputs, g.Variable(l.Bias))
	}
	to := x.Shape.Clone()
	to[last] = l.Weight.Value.Shape()[0]
	return g.Record(l, first, g.Apply(graph.Linear{}, inputs...).Reshape(to...))
}

// Init implements Initialiser.
func (l *Linear) Init(s Scheme, source func(name string) *Source) {
	if s == KaimingNormal {
		s = PyTorchDefault
	}
	initWeightAndBias(s, l.Weight, l.Bias, source)
}

func (l *Linear) String() string {
	w := l.Weight.Value.Shape()
	if l.Bias == nil {
		return fmt.Sprintf("Linear(in_features=%d, out_features=%d, bias=False)", w[1], w[0])
	}
	return fmt.Sprintf("Linear(in_features=%d, out_features=%d)", w[1], w[0])
}

package nn

import "github.com/residual-ml/residual/graph"

// ReLU is max(x, 0), elementwise: https://pytorch.org/docs/stable/generated/torch.nn.ReLU.html
type ReLU struct{}

// Sigmoid is 1/(1+exp(-x)), elementwise: https://pytorch.org/docs/stable/generated/torch.nn.Sigmoid.html
type Sigmoid struct{}

// Tanh is the hyperbolic tangent, elementwise: https://pytorch.org/docs/stable/generated/torch.nn.Tanh.html
type Tanh struct{}

// Softmax is exp(x)/sum(exp(x)) along the last dimension of [N,K]: https://pytorch.org/docs/stable/generated/torch.nn.Softmax.html
type Softmax struct{}

func (m ReLU) Forward(x *graph.Node) *graph.Node    { return apply(m, graph.ReLU{}, x) }
func (m Sigmoid) Forward(x *graph.Node) *graph.Node { return apply(m, graph.Sigmoid{}, x) }
func (m Tanh) Forward(x *graph.Node) *graph.Node    { return apply(m, graph.Tanh{}, x) }
func (m Softmax) Forward(x *graph.Node) *graph.Node { return apply(m, graph.Softmax{}, x) }

func (ReLU) String() string    { return "ReLU()" }
func (Sigmoid) String() string { return "Sigmoid()" }
func (Tanh) String() string    { return "Tanh()" }
func (Softmax) String() string { return "Softmax(dim=-1)" }

// apply records m as one operation on x.
func apply(m Module, op graph.Op, x *graph.Node) *graph.Node {
	first := len(x.Graph.Nodes)
	return x.Graph.Record(m, first, x.Graph.Apply(op, x))
}

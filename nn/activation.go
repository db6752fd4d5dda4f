package nn

import (
	"fmt"

	"github.com/residual-ml/residual/graph"
)

// ReLU is max(x, 0), elementwise: https://pytorch.org/docs/stable/generated/torch.nn.ReLU.html
type ReLU struct{}

// Sigmoid is 1/(1+exp(-x)), elementwise: https://pytorch.org/docs/stable/generated/torch.nn.Sigmoid.html
type Sigmoid struct{}

// Tanh is the hyperbolic tangent, elementwise: https://pytorch.org/docs/stable/generated/torch.nn.Tanh.html
type Tanh struct{}

// ReLU6 is min(max(x, 0), 6), elementwise: https://pytorch.org/docs/stable/generated/torch.nn.ReLU6.html
type ReLU6 struct{}

// LeakyReLU is x where it is above 0 and Slope·x elsewhere: https://pytorch.org/docs/stable/generated/torch.nn.LeakyReLU.html
type LeakyReLU struct {
	Slope float64 // zero means 0.01
}

// GELU is x·Φ(x), elementwise, with the normal distribution's Φ; with Tanh it is the approximation
// that PyTorch calls approximate="tanh": https://pytorch.org/docs/stable/generated/torch.nn.GELU.html
type GELU struct{ Tanh bool }

// SiLU is x·sigmoid(x), elementwise: https://pytorch.org/docs/stable/generated/torch.nn.SiLU.html
type SiLU struct{}

// Hardswish is x·ReLU6(x+3)/6, elementwise: https://pytorch.org/docs/stable/generated/torch.nn.Hardswish.html
type Hardswish struct{}

// Hardsigmoid is ReLU6(x+3)/6, elementwise: https://pytorch.org/docs/stable/generated/torch.nn.Hardsigmoid.html
type Hardsigmoid struct{}

// Softplus is log(1+exp(x)), elementwise: https://pytorch.org/docs/stable/generated/torch.nn.Softplus.html
type Softplus struct{}

// Softmax is exp(x)/sum(exp(x)) along the last dimension: https://pytorch.org/docs/stable/generated/torch.nn.Softmax.html
type Softmax struct{}

// LogSoftmax is the logarithm of Softmax: https://pytorch.org/docs/stable/generated/torch.nn.LogSoftmax.html
type LogSoftmax struct{}

func (m ReLU) Forward(x *graph.Node) *graph.Node        { return call(m, (*graph.Node).ReLU, x) }
func (m Sigmoid) Forward(x *graph.Node) *graph.Node     { return call(m, (*graph.Node).Sigmoid, x) }
func (m Tanh) Forward(x *graph.Node) *graph.Node        { return call(m, (*graph.Node).Tanh, x) }
func (m ReLU6) Forward(x *graph.Node) *graph.Node       { return call(m, (*graph.Node).ReLU6, x) }
func (m SiLU) Forward(x *graph.Node) *graph.Node        { return call(m, (*graph.Node).SiLU, x) }
func (m Hardswish) Forward(x *graph.Node) *graph.Node   { return call(m, (*graph.Node).Hardswish, x) }
func (m Hardsigmoid) Forward(x *graph.Node) *graph.Node { return call(m, (*graph.Node).Hardsigmoid, x) }
func (m Softplus) Forward(x *graph.Node) *graph.Node    { return call(m, (*graph.Node).Softplus, x) }

func (m GELU) Forward(x *graph.Node) *graph.Node {
	if m.Tanh {
		return call(m, (*graph.Node).GELUTanh, x)
	}
	return call(m, (*graph.Node).GELU, x)
}

func (m LeakyReLU) Forward(x *graph.Node) *graph.Node {
	return call(m, func(x *graph.Node) *graph.Node { return x.LeakyReLU(m.slope()) }, x)
}

func (m LeakyReLU) slope() float64 {
	if m.Slope == 0 {
		return 0.01
	}
	return m.Slope
}

func (m Softmax) Forward(x *graph.Node) *graph.Node {
	return call(m, func(x *graph.Node) *graph.Node { return x.Softmax(-1) }, x)
}

func (m LogSoftmax) Forward(x *graph.Node) *graph.Node {
	return call(m, func(x *graph.Node) *graph.Node { return x.LogSoftmax(-1) }, x)
}

func (ReLU) String() string        { return "ReLU()" }
func (Sigmoid) String() string     { return "Sigmoid()" }
func (Tanh) String() string        { return "Tanh()" }
func (ReLU6) String() string       { return "ReLU6()" }
func (SiLU) String() string        { return "SiLU()" }
func (Hardswish) String() string   { return "Hardswish()" }
func (Hardsigmoid) String() string { return "Hardsigmoid()" }
func (Softplus) String() string    { return "Softplus()" }
func (Softmax) String() string     { return "Softmax(dim=-1)" }
func (LogSoftmax) String() string  { return "LogSoftmax(dim=-1)" }
func (m LeakyReLU) String() string { return fmt.Sprintf("LeakyReLU(negative_slope=%g)", m.slope()) }

func (m GELU) String() string {
	if m.Tanh {
		return "GELU(approximate='tanh')"
	}
	return "GELU(approximate='none')"
}

// call records m as what f adds for x.
func call(m Module, f func(x *graph.Node) *graph.Node, x *graph.Node) *graph.Node {
	first := len(x.Graph.Nodes)
	return x.Graph.Record(m, first, f(x))
}

// apply records m as one operation on x.
func apply(m Module, op graph.Op, x *graph.Node) *graph.Node {
	return call(m, func(x *graph.Node) *graph.Node { return x.Graph.Apply(op, x) }, x)
}

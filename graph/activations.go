package graph

// The methods below are the activation functions of torch.nn.functional, element by element:
// https://pytorch.org/docs/stable/nn.functional.html#non-linear-activation-functions

// ReLU returns max(n, 0).
func (n *Node) ReLU() *Node { return n.Graph.Apply(ReLU{}, n) }

// ReLU6 returns min(max(n, 0), 6).
func (n *Node) ReLU6() *Node { return n.Clamp(0, 6) }

// LeakyReLU returns n where it is above 0, and slope·n elsewhere.
func (n *Node) LeakyReLU(slope float64) *Node { return n.unary(LeakyReLU, slope, 0) }

// Sigmoid returns 1/(1 + e^-n).
func (n *Node) Sigmoid() *Node { return n.Graph.Apply(Sigmoid{}, n) }

// Tanh returns the hyperbolic tangent of n.
func (n *Node) Tanh() *Node { return n.Graph.Apply(Tanh{}, n) }

// GELU returns n·Φ(n), with the normal distribution's Φ.
func (n *Node) GELU() *Node { return n.unary(GELU, 0, 0) }

// GELUTanh returns PyTorch's GELU(approximate="tanh"), which is close to GELU.
func (n *Node) GELUTanh() *Node { return n.unary(GELUTanh, 0, 0) }

// SiLU returns n·sigmoid(n), which is also called Swish.
func (n *Node) SiLU() *Node { return n.unary(SiLU, 1, 0) }

// Hardswish returns n·ReLU6(n + 3)/6.
func (n *Node) Hardswish() *Node { return n.unary(Hardswish, 0, 0) }

// Hardsigmoid returns ReLU6(n + 3)/6.
func (n *Node) Hardsigmoid() *Node { return n.unary(Hardsigmoid, 1.0/6, 0.5) }

// Softplus returns log(1 + e^n).
func (n *Node) Softplus() *Node { return n.unary(Softplus, 0, 0) }

// Softmax returns e^n divided by the sum of e^n along an axis.
func (n *Node) Softmax(axis int) *Node {
	d := n.axis("Softmax", axis)
	if len(n.Shape) == 2 && d == 1 {
		return n.Graph.Apply(Softmax{}, n)
	}
	e := n.Sub(n.Max(d)).Exp()
	return e.Div(e.Sum(d))
}

// LogSoftmax returns the logarithm of the softmax along an axis, z - log Σ e^z.
func (n *Node) LogSoftmax(axis int) *Node {
	z := n.Sub(n.Max(axis))
	return z.Sub(z.Exp().Sum(axis).Log())
}

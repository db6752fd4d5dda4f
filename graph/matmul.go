package graph

import (
	"slices"

	"github.com/residual-ml/residual/tensor"
)

// MatMul multiplies matrices, y[..., m, n] = Σ k a[..., m, k] · b[..., k, n]. Inputs
// a [..., M, K] and b [..., K, N] with the same leading sizes.
// https://pytorch.org/docs/stable/generated/torch.matmul.html
type MatMul struct{}

func (MatMul) Name() string { return "MatMul" }

func (o MatMul) Shape(in []tensor.Shape) tensor.Shape {
	wantInputs(o, in, 2, 2)
	a, b := in[0], in[1]
	r := len(a)
	if r < 2 || len(b) != r || !a[:r-2].Equal(b[:r-2]) || a[r-1] != b[r-2] {
		badShapes(o, in, "the matrices do not fit")
	}
	out := a.Clone()
	out[r-1] = b[r-1]
	return out
}

func (MatMul) Gradient(n, dy *Node) []*Node {
	a, b := n.Inputs[0], n.Inputs[1]
	return []*Node{
		n.Graph.Apply(MatMul{}, dy, b.turned()),
		n.Graph.Apply(MatMul{}, a.turned(), dy),
	}
}

func (MatMul) Reference(n *Node, y []float64, in [][]float64) {
	r := len(n.Shape)
	rows, columns, inner := n.Shape[r-2], n.Shape[r-1], n.Inputs[0].Shape[r-1]
	for at := range y {
		j, i, batch := at%columns, at/columns%rows, at/columns/rows
		for k := range inner {
			y[at] += in[0][(batch*rows+i)*inner+k] * in[1][(batch*inner+k)*columns+j]
		}
	}
}

// turned swaps the last two dimensions.
func (n *Node) turned() *Node {
	axes := upTo(0, len(n.Shape))
	last := len(axes) - 1
	axes[last-1], axes[last] = last, last-1
	return n.Transpose(axes...)
}

// MatMul multiplies the matrices in the last two dimensions of n and m. The leading sizes are
// broadcast.
func (n *Node) MatMul(m *Node) *Node {
	if len(n.Shape) < 2 || len(m.Shape) < 2 {
		badShapes(MatMul{}, []tensor.Shape{n.Shape, m.Shape}, "the matrices do not fit")
	}
	front := func(x *Node) tensor.Shape { return x.Shape[:len(x.Shape)-2] }
	to := slices.Clone(front(n))
	if other := front(m); len(other) > len(to) {
		to = append(slices.Repeat(tensor.Shape{1}, len(other)-len(to)), to...)
	}
	for i, size := range front(m) {
		if d := i + len(to) - len(front(m)); to[d] == 1 {
			to[d] = size
		}
	}
	wide := func(x *Node) *Node { return x.Broadcast(append(slices.Clone(to), x.Shape[len(x.Shape)-2:]...)...) }
	return n.Graph.Apply(MatMul{}, wide(n), wide(m))
}

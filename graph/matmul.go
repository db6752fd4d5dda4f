package graph

import (
	"slices"

	"github.com/residual-ml/residual/tensor"
)

// MatMul multiplies matrices, y[..., m, n] = Σ k a[..., m, k] · b[..., k, n]. Inputs
// a [..., M, K] and b [..., K, N]; their leading sizes are broadcast, without a copy.
// https://pytorch.org/docs/stable/generated/torch.matmul.html
type MatMul struct{}

func (MatMul) Name() string { return "MatMul" }

func (o MatMul) Shape(in []tensor.Shape) tensor.Shape {
	wantInputs(o, in, 2, 2)
	a, b := in[0], in[1]
	if len(a) < 2 || len(b) < 2 {
		badShapes(o, in, "an input has no rows and columns")
	}
	rows, inner, columns := a[len(a)-2], a[len(a)-1], b[len(b)-1]
	if inner != b[len(b)-2] {
		badShapes(o, in, "%d columns of input 0 meet %d rows of input 1", inner, b[len(b)-2])
	}
	return append(together(o, in, a[:len(a)-2], b[:len(b)-2]), rows, columns)
}

func (MatMul) Gradient(n, dy *Node) []*Node {
	a, b := n.Inputs[0], n.Inputs[1]
	return []*Node{
		n.Graph.Apply(MatMul{}, dy, b.turned()).sumTo(a.Shape),
		n.Graph.Apply(MatMul{}, a.turned(), dy).sumTo(b.Shape),
	}
}

// Matrices returns, for every matrix of a product of shape y, which matrix of an input of
// shape x it is made of, counted in row-major order.
func (MatMul) Matrices(x, y tensor.Shape) []int {
	front, from := y[:len(y)-2], x[:len(x)-2]
	strides, list := from.Strides(), make([]int, front.Numel())
	for i := range list {
		remaining := i
		for d := len(front) - 1; d >= 0; d-- {
			if e := d - len(front) + len(from); e >= 0 && from[e] != 1 {
				list[i] += remaining % front[d] * strides[e]
			}
			remaining /= front[d]
		}
	}
	return list
}

func (o MatMul) Reference(n *Node, y []float64, in [][]float64) {
	r, a, b := len(n.Shape), n.Inputs[0].Shape, n.Inputs[1].Shape
	rows, columns, inner := n.Shape[r-2], n.Shape[r-1], a[len(a)-1]
	ofA, ofB := o.Matrices(a, n.Shape), o.Matrices(b, n.Shape)
	for at := range y {
		j, i, matrix := at%columns, at/columns%rows, at/columns/rows
		for k := range inner {
			y[at] += in[0][(ofA[matrix]*rows+i)*inner+k] * in[1][(ofB[matrix]*inner+k)*columns+j]
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

// MatMul multiplies the matrices in the last two dimensions of n and m, whose leading sizes are
// broadcast. A vector is one row on the left, and one column on the right, as in PyTorch; the
// result does not have this dimension.
func (n *Node) MatMul(m *Node) *Node {
	needNode(MatMul{}, m, 1)
	row, column := len(n.Shape) == 1, len(m.Shape) == 1
	if len(n.Shape) == 0 || len(m.Shape) == 0 {
		panic(tensor.Misusef("MatMul: a number is no matrix (inputs %v %v)", n.Shape, m.Shape))
	}
	a, b := n, m
	if row {
		a = n.Reshape(1, n.Shape[0])
	}
	if column {
		b = m.Reshape(m.Shape[0], 1)
	}
	y := n.Graph.Apply(MatMul{}, a, b)
	to, last := slices.Clone(y.Shape), len(y.Shape)-1
	if column {
		to = to[:last]
	}
	if row {
		to = slices.Delete(to, last-1, last)
	}
	return y.Reshape(to...)
}

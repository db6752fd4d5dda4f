package graph

import "github.com/residual-ml/residual/tensor"

// Concat joins tensors along an axis. Their other sizes must be equal.
// https://pytorch.org/docs/stable/generated/torch.cat.html
type Concat struct{ Axis int }

func (Concat) Name() string { return "Concat" }

func (o Concat) Shape(in []tensor.Shape) tensor.Shape {
	if len(in) == 0 || o.Axis < 0 || o.Axis >= len(in[0]) {
		badShapes(o, in, "has no dimension %d", o.Axis)
	}
	out := in[0].Clone()
	for _, s := range in[1:] {
		if len(s) != len(out) {
			badShapes(o, in, "shapes differ outside dimension %d", o.Axis)
		}
		for d := range s {
			if d != o.Axis && s[d] != out[d] {
				badShapes(o, in, "shapes differ outside dimension %d", o.Axis)
			}
		}
		out[o.Axis] += s[o.Axis]
	}
	return out
}

func (o Concat) Gradient(n, dy *Node) []*Node {
	grads, from := make([]*Node, len(n.Inputs)), 0
	for i, in := range n.Inputs {
		to := from + in.Shape[o.Axis]
		grads[i] = dy.Slice(o.Axis, from, to)
		from = to
	}
	return grads
}

func (o Concat) Reference(n *Node, y []float64, in [][]float64) {
	outer, row := n.Shape[:o.Axis].Numel(), n.Shape[o.Axis:].Numel()
	at := 0
	for i, x := range in {
		part := n.Inputs[i].Shape[o.Axis:].Numel()
		for k := range outer {
			copy(y[k*row+at:], x[k*part:(k+1)*part])
		}
		at += part
	}
}

// Join joins nodes along an axis; a negative one counts from the end.
func Join(axis int, nodes ...*Node) *Node {
	if len(nodes) == 0 {
		panic(tensor.Misusef("Concat: there are no inputs"))
	}
	needNode(Concat{}, nodes[0], 0)
	return nodes[0].Graph.Apply(Concat{nodes[0].axis("Concat", axis)}, nodes...)
}

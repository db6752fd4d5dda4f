package graph

import "github.com/residual-ml/residual/tensor"

// Linear is the fully connected layer, y = x·wᵀ + b:
//
//	y[n,o] = b[o] + Σ i  x[n,i] · w[o,i]
//
// Inputs x [N, in], w [out, in] and, optionally, b [out]; the output is [N, out].
// https://pytorch.org/docs/stable/generated/torch.nn.Linear.html
type Linear struct{}

func (Linear) Name() string { return "Linear" }

func (o Linear) Shape(in []tensor.Shape) tensor.Shape {
	wantInputs(o, in, 2, 3)
	wantRank(o, in, 0, 2, "x [N, in]")
	wantRank(o, in, 1, 2, "w [out, in]")
	x, w := in[0], in[1]
	if x[1] != w[1] {
		badShapes(o, in, "x has %d features, w needs %d", x[1], w[1])
	}
	if len(in) == 3 {
		wantShape(o, in, 2, "bias", w[0])
	}
	return tensor.Shape{x[0], w[0]}
}

func (Linear) Gradient(n, dy *Node) []*Node {
	x, w, g := n.Inputs[0], n.Inputs[1], n.Graph
	grads := []*Node{g.Apply(LinearGradInput{}, w, dy), g.Apply(LinearGradWeight{}, x, dy)}
	if len(n.Inputs) == 3 {
		grads = append(grads, g.Apply(SumChannels{}, dy))
	}
	return grads
}

func (Linear) Reference(n *Node, y []float64, in [][]float64) {
	x, w := in[0], in[1]
	outs, ins := n.Shape[1], n.Inputs[0].Shape[1]
	for b := range n.Shape[0] {
		for o := range outs {
			sum := 0.0
			if len(in) == 3 {
				sum = in[2][o]
			}
			for i := range ins {
				sum += x[b*ins+i] * w[o*ins+i]
			}
			y[b*outs+o] = sum
		}
	}
}

// LinearGradInput is the gradient of Linear for x, dx = dy·w.
// Inputs w [out, in] and dy [N, out]; the output is [N, in].
type LinearGradInput struct{}

func (LinearGradInput) Name() string                   { return "LinearGradInput" }
func (o LinearGradInput) Gradient(n, dy *Node) []*Node { return noSecond(o) }

func (o LinearGradInput) Shape(in []tensor.Shape) tensor.Shape {
	wantInputs(o, in, 2, 2)
	wantRank(o, in, 0, 2, "w [out, in]")
	wantRank(o, in, 1, 2, "dy [N, out]")
	w, dy := in[0], in[1]
	wantShape(o, in, 1, "dy", dy[0], w[0])
	return tensor.Shape{dy[0], w[1]}
}

func (LinearGradInput) Reference(n *Node, dx []float64, in [][]float64) {
	w, dy := in[0], in[1]
	ins, outs := n.Shape[1], n.Inputs[1].Shape[1]
	for b := range n.Shape[0] {
		for o := range outs {
			for i := range ins {
				dx[b*ins+i] += dy[b*outs+o] * w[o*ins+i]
			}
		}
	}
}

// LinearGradWeight is the gradient of Linear for w, dw = dyᵀ·x.
// Inputs x [N, in] and dy [N, out]; the output is [out, in].
type LinearGradWeight struct{}

func (LinearGradWeight) Name() string                   { return "LinearGradWeight" }
func (o LinearGradWeight) Gradient(n, dy *Node) []*Node { return noSecond(o) }

func (o LinearGradWeight) Shape(in []tensor.Shape) tensor.Shape {
	wantInputs(o, in, 2, 2)
	wantRank(o, in, 0, 2, "x [N, in]")
	wantRank(o, in, 1, 2, "dy [N, out]")
	x, dy := in[0], in[1]
	wantShape(o, in, 1, "dy", x[0], dy[1])
	return tensor.Shape{dy[1], x[1]}
}

func (LinearGradWeight) Reference(n *Node, dw []float64, in [][]float64) {
	x, dy := in[0], in[1]
	outs, ins := n.Shape[0], n.Shape[1]
	for b := range n.Inputs[0].Shape[0] {
		for o := range outs {
			for i := range ins {
				dw[o*ins+i] += dy[b*outs+o] * x[b*ins+i]
			}
		}
	}
}

package graph

import "github.com/residual-ml/residual/tensor"

// CountCorrect counts the rows whose first largest logit is that of the label. NaN counts as
// larger than any number, as in PyTorch's argmax.
//
// Inputs logits [N, K] and labels [N], Int64; the output is a scalar. A label
// outside [0, K) is never correct. There is no gradient, since the count is a step function.
// https://pytorch.org/docs/stable/generated/torch.argmax.html
type CountCorrect struct{}

func (CountCorrect) Name() string                 { return "CountCorrect" }
func (CountCorrect) Gradient(n, dy *Node) []*Node { return []*Node{nil, nil} }

func (o CountCorrect) Shape(in []tensor.Shape) tensor.Shape {
	wantInputs(o, in, 2, 2)
	wantLabelled(o, in)
	return tensor.Shape{}
}

func (CountCorrect) Reference(n *Node, out []float64, in [][]float64) {
	k := n.Inputs[0].Shape[1]
	for b, label := range in[1] {
		row, best := in[0][b*k:(b+1)*k], 0
		for i, z := range row {
			if exceeds(z, row[best]) {
				best = i
			}
		}
		if float64(best) == label {
			out[0]++
		}
	}
}

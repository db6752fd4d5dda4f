package graph

import "github.com/residual-ml/residual/tensor"

// PadChannels appends channels of zeros:
//
//	y[n,c] = x[n,c] for c < C, 0 for C <= c < To
//
// It is the shortcut without parameters of residual blocks that add channels, option A of He et al., "Deep Residual Learning for Image Recognition", 2015, section 3.3.
//
// Input x [N, C, ...] of two to four dimensions, C <= To; the output is [N, To, ...].
// https://pytorch.org/docs/stable/generated/torch.nn.functional.pad.html
type PadChannels struct{ To int }

func (PadChannels) Name() string { return "PadChannels" }

func (o PadChannels) Shape(in []tensor.Shape) tensor.Shape {
	s := withChannels(o, in, o.To)
	if o.To < in[0][1] {
		badShapes(o, in, "cannot become %d channels", o.To)
	}
	return s
}

func (PadChannels) Gradient(n, dy *Node) []*Node {
	return []*Node{n.Graph.Apply(TakeChannels{n.Inputs[0].Shape[1]}, dy)}
}

func (PadChannels) Reference(n *Node, y []float64, in [][]float64) { copyChannels(n, y, in[0]) }

// TakeChannels keeps the first channels, y[n,c] = x[n,c] for c < First: the
// gradient of PadChannels.
//
// Input x [N, C, ...] of two to four dimensions, 1 <= First <= C; the output is
// [N, First, ...].
type TakeChannels struct{ First int }

func (TakeChannels) Name() string { return "TakeChannels" }

func (o TakeChannels) Shape(in []tensor.Shape) tensor.Shape {
	s := withChannels(o, in, o.First)
	if o.First < 1 || o.First > in[0][1] {
		badShapes(o, in, "has no first %d channels", o.First)
	}
	return s
}

func (TakeChannels) Gradient(n, dy *Node) []*Node {
	return []*Node{n.Graph.Apply(PadChannels{n.Inputs[0].Shape[1]}, dy)}
}

func (TakeChannels) Reference(n *Node, y []float64, in [][]float64) { copyChannels(n, y, in[0]) }

// withChannels returns the shape of op's only input with another number of channels.
func withChannels(op Op, in []tensor.Shape, channels int) tensor.Shape {
	wantInputs(op, in, 1, 1)
	if r := len(in[0]); r < 2 || r > 4 {
		badShapes(op, in, "input 0 is not x [N, C, ...] of two to four dimensions")
	}
	s := in[0].Clone()
	s[1] = channels
	return s
}

// copyChannels copies the channels that both n and its input have.
func copyChannels(n *Node, y, x []float64) {
	area := n.Shape[2:].Numel()
	to, from := n.Shape[1]*area, n.Inputs[0].Shape[1]*area
	for i := range n.Shape[0] {
		copy(y[i*to:(i+1)*to], x[i*from:(i+1)*from])
	}
}

package graph

import "github.com/residual-ml/residual/tensor"

// RunningStats moves a running mean or variance of batch normalisation towards
// those of a batch:
//
//	y[c] = (1-Momentum)·running[c] + Momentum·stats[Row][c]
//
// Row 0 of stats is the mean, row 1 the biased variance, which is made unbiased
// by Count/(Count-1), Count being the values of one channel (N·H·W).
//
// Inputs running [C], stats [2, C]; the output is [C]. There is no gradient, since buffers are
// not trained.
// https://pytorch.org/docs/stable/generated/torch.nn.BatchNorm2d.html
type RunningStats struct {
	Momentum   float64
	Row, Count int
}

func (RunningStats) Name() string                 { return "RunningStats" }
func (RunningStats) Gradient(n, dy *Node) []*Node { return []*Node{nil, nil} }

func (o RunningStats) Shape(in []tensor.Shape) tensor.Shape {
	wantInputs(o, in, 2, 2)
	wantRank(o, in, 0, 1, "running [C]")
	wantShape(o, in, 1, "stats", 2, in[0][0])
	if o.Row < 0 || o.Row > 1 {
		badShapes(o, in, "no row %d", o.Row)
	}
	if o.Row == 1 && o.Count < 2 {
		badShapes(o, in, "training batch normalisation needs more than %d value per channel", o.Count)
	}
	return in[0]
}

func (o RunningStats) Reference(n *Node, out []float64, in [][]float64) {
	unbiased := 1.0
	if o.Row == 1 {
		unbiased = float64(o.Count) / float64(o.Count-1)
	}
	row := in[1][o.Row*len(out):]
	for c, old := range in[0] {
		out[c] = (1-o.Momentum)*old + o.Momentum*row[c]*unbiased
	}
}

// Row takes one row of two: y[c] = x[I][c]. Input [2, C], output [C].
type Row struct{ I int }

func (Row) Name() string { return "Row" }

func (o Row) Shape(in []tensor.Shape) tensor.Shape {
	wantInputs(o, in, 1, 1)
	if len(in[0]) != 2 || in[0][0] != 2 {
		badShapes(o, in, "input 0 is not [2, C]")
	}
	if o.I < 0 || o.I > 1 {
		badShapes(o, in, "no row %d", o.I)
	}
	return tensor.Shape{in[0][1]}
}

func (o Row) Gradient(n, dy *Node) []*Node {
	rows := [2]*Node{}
	rows[o.I], rows[1-o.I] = dy, n.Graph.Constant(0, dy.Shape...)
	return []*Node{n.Graph.Apply(Stack{}, rows[0], rows[1])}
}

func (o Row) Reference(n *Node, out []float64, in [][]float64) {
	copy(out, in[0][o.I*len(out):])
}

// Stack puts two vectors in the rows of one tensor, as a running mean and variance
// become the stats of BatchNorm. Inputs [C] and [C], output [2, C].
type Stack struct{}

func (Stack) Name() string { return "Stack" }

func (o Stack) Shape(in []tensor.Shape) tensor.Shape {
	s := sameShapes(o, in, 2)
	wantRank(o, in, 0, 1, "[C]")
	return tensor.Shape{2, s[0]}
}

func (Stack) Gradient(n, dy *Node) []*Node {
	return []*Node{n.Graph.Apply(Row{0}, dy), n.Graph.Apply(Row{1}, dy)}
}

func (Stack) Reference(n *Node, out []float64, in [][]float64) {
	copy(out, in[0])
	copy(out[len(in[0]):], in[1])
}

package graph

import (
	"fmt"
	"math"

	"github.com/residual-ml/residual/tensor"
)

// CrossEntropy is the mean over the batch of the negative log likelihood of the
// labels under the softmax of the logits:
//
//	loss = 1/N Σ n  ( log Σ k exp(z[n,k])  -  z[n, label[n]] )
//
// Inputs logits z [N, K] and labels [N], Int64 in [0, K); the output is a scalar.
// Other labels are an error of the caller: the reference panics.
// https://pytorch.org/docs/stable/generated/torch.nn.CrossEntropyLoss.html
type CrossEntropy struct{}

func (CrossEntropy) Name() string { return "CrossEntropy" }

func (o CrossEntropy) Shape(in []tensor.Shape) tensor.Shape {
	wantInputs(o, in, 2, 2)
	wantLabelled(o, in)
	return tensor.Shape{}
}

func (CrossEntropy) Gradient(n, dy *Node) []*Node {
	return []*Node{n.Graph.Apply(CrossEntropyGrad{}, n.Inputs[0], n.Inputs[1], dy), nil}
}

func (o CrossEntropy) Reference(n *Node, out []float64, in [][]float64) {
	k := n.Inputs[0].Shape[1]
	for b, label := range in[1] {
		row := in[0][b*k : (b+1)*k]
		out[0] += (logSumExp(row) - row[checkLabel(o, b, label, k)]) / float64(len(in[1]))
	}
}

// CrossEntropyGrad is the gradient of CrossEntropy for the logits:
//
//	dz[n,k] = dloss/N · (softmax(z[n])[k] - [k = label[n]])
//
// Inputs logits [N, K], labels [N] and dloss, a scalar; the output is [N, K].
type CrossEntropyGrad struct{}

func (CrossEntropyGrad) Name() string                   { return "CrossEntropyGrad" }
func (o CrossEntropyGrad) Gradient(n, dy *Node) []*Node { return noSecond(o) }

func (o CrossEntropyGrad) Shape(in []tensor.Shape) tensor.Shape {
	wantInputs(o, in, 3, 3)
	wantLabelled(o, in)
	wantRank(o, in, 2, 0, "a scalar dloss")
	return in[0]
}

func (o CrossEntropyGrad) Reference(n *Node, dz []float64, in [][]float64) {
	k, dloss := n.Shape[1], in[2][0]/float64(n.Shape[0])
	for b, label := range in[1] {
		row, out := in[0][b*k:(b+1)*k], dz[b*k:(b+1)*k]
		total := logSumExp(row)
		for i, z := range row {
			out[i] = dloss * math.Exp(z-total)
		}
		out[checkLabel(o, b, label, k)] -= dloss
	}
}

// logSumExp is log Σ exp(z), shifted by the largest so that nothing overflows.
func logSumExp(row []float64) float64 {
	largest, sum := math.Inf(-1), 0.0
	for _, z := range row {
		largest = math.Max(largest, z)
	}
	for _, z := range row {
		sum += math.Exp(z - largest)
	}
	return largest + math.Log(sum)
}

// checkLabel returns the label of row b as an index into k classes, or panics.
func checkLabel(op Op, b int, label float64, k int) int {
	if i := int(label); float64(i) == label && i >= 0 && i < k {
		return i
	}
	panic(fmt.Sprintf("%s: label %v of row %d is not one of %d classes", op.Name(), label, b, k))
}

// wantLabelled panics unless the first inputs are logits [N, K] and labels [N].
func wantLabelled(op Op, in []tensor.Shape) {
	wantRank(op, in, 0, 2, "logits [N, K]")
	wantShape(op, in, 1, "labels", in[0][0])
	if in[0].Numel() == 0 {
		badShapes(op, in, "no rows or no classes")
	}
}

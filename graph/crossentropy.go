package graph

import (
	"math"

	"github.com/residual-ml/residual/tensor"
)

// CrossEntropy is the mean over the batch of the negative log likelihood of the
// labels under the softmax of the logits:
//
//	loss = 1/N Σ n  ( log Σ k exp(z[n,k])  -  z[n, label[n]] )
//
// Inputs logits z [N, K] and labels [N], Int64 in [0, K); the output is a scalar.
// The reference panics for other labels.
//
// Instead of labels the second input may be soft labels y [N, K] (one probability per class),
// as for a batch of mixed images. A third input may hold class weights w [K]. With label
// smoothing ε, the probability ε is spread evenly over all classes:
//
//	loss = Σ n,k  t[n,k] (log Σ j exp(z[n,j]) - z[n,k])  /  Σ n d[n]
//	t[n,k] = w[k] ((1-ε) y[n,k] + ε/K)
//
// where a label corresponds to y = 1 for its class, and d[n] is w[label[n]] for labels and 1
// for soft labels.
// https://pytorch.org/docs/stable/generated/torch.nn.CrossEntropyLoss.html
type CrossEntropy struct{ LabelSmoothing float64 }

func (CrossEntropy) Name() string { return "CrossEntropy" }

func (o CrossEntropy) Shape(in []tensor.Shape) tensor.Shape {
	wantInputs(o, in, 2, 3)
	o.wantTargets(o, in, 2)
	return tensor.Shape{}
}

func (o CrossEntropy) Gradient(n, dy *Node) []*Node {
	inputs := append([]*Node{n.Inputs[0], n.Inputs[1], dy}, n.Inputs[2:]...)
	return []*Node{n.Graph.Apply(CrossEntropyGrad(o), inputs...), nil, nil}[:len(n.Inputs)]
}

func (o CrossEntropy) Reference(n *Node, out []float64, in [][]float64) {
	k := n.Inputs[0].Shape[1]
	t, weight := make([]float64, k), weightOf(in, 2)
	sum := 0.0
	for b := range n.Inputs[0].Shape[0] {
		row := in[0][b*k : (b+1)*k]
		sum += o.target(o, t, in[1], len(n.Inputs[1].Shape) == 2, weight, b)
		total := logSumExp(row)
		for i, z := range row {
			if t[i] != 0 { // avoids 0·∞ for infinite logits
				out[0] += t[i] * (total - z)
			}
		}
	}
	out[0] /= sum
}

// CrossEntropyGrad is the gradient of CrossEntropy for the logits:
//
//	dz[n,k] = dloss/N · (softmax(z[n])[k] - [k = label[n]])
//
// and with soft labels, weights or smoothing
//
//	dz[n,k] = dloss / Σ d · (softmax(z[n])[k] Σ j t[n,j]  -  t[n,k])
//
// Inputs logits [N, K], labels [N] or soft labels [N, K], dloss, a scalar, and optionally
// weights [K]; the output is [N, K].
type CrossEntropyGrad struct{ LabelSmoothing float64 }

func (CrossEntropyGrad) Name() string                   { return "CrossEntropyGrad" }
func (o CrossEntropyGrad) Gradient(n, dy *Node) []*Node { return noSecond(o) }

func (o CrossEntropyGrad) Shape(in []tensor.Shape) tensor.Shape {
	wantInputs(o, in, 3, 4)
	CrossEntropy(o).wantTargets(o, in, 3)
	wantRank(o, in, 2, 0, "a scalar dloss")
	return in[0]
}

func (o CrossEntropyGrad) Reference(n *Node, dz []float64, in [][]float64) {
	k := n.Shape[1]
	t, weight := make([]float64, k), weightOf(in, 3)
	sum := 0.0
	for b := range n.Shape[0] {
		row, out := in[0][b*k:(b+1)*k], dz[b*k:(b+1)*k]
		sum += CrossEntropy(o).target(o, t, in[1], len(n.Inputs[1].Shape) == 2, weight, b)
		total, share := logSumExp(row), 0.0
		for _, v := range t {
			share += v
		}
		for i, z := range row {
			out[i] = math.Exp(z-total)*share - t[i]
		}
	}
	for i := range dz {
		dz[i] *= in[2][0] / sum
	}
}

// target writes the target distribution t[b] of the formula to t, and returns d[b].
func (o CrossEntropy) target(op Op, t, labels []float64, soft bool, weight []float64, b int) float64 {
	k, d := len(t), 1.0
	for i := range t {
		t[i] = o.LabelSmoothing / float64(k)
	}
	if soft {
		for i := range t {
			t[i] += (1 - o.LabelSmoothing) * labels[b*k+i]
		}
	} else {
		at := checkLabel(op, b, labels[b], k)
		t[at] += 1 - o.LabelSmoothing
		if weight != nil {
			d = weight[at]
		}
	}
	for i, w := range weight {
		t[i] *= w
	}
	return d
}

// weightOf returns input i, or nil if there is none.
func weightOf(in [][]float64, i int) []float64 {
	if i < len(in) {
		return in[i]
	}
	return nil
}

// wantTargets panics unless the inputs are logits, labels or soft labels and, from first on,
// weights.
func (o CrossEntropy) wantTargets(op Op, in []tensor.Shape, first int) {
	if !(o.LabelSmoothing >= 0 && o.LabelSmoothing <= 1) {
		badShapes(op, in, "label smoothing %v is not from 0 to 1", o.LabelSmoothing)
	}
	if len(in[0]) == 2 && len(in[1]) == 2 {
		wantShape(op, in, 1, "soft labels", in[0]...)
		wantLabelled(op, []tensor.Shape{in[0], in[0][:1]})
	} else {
		wantLabelled(op, in)
	}
	if len(in) > first {
		wantShape(op, in, first, "weights", in[0][1])
	}
}

// logSumExp returns log Σ exp(z), shifted by the largest element to avoid overflow.
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
	panic(tensor.Misusef("%s: label %v of row %d is not one of %d classes", op.Name(), label, b, k))
}

// wantLabelled panics unless the first inputs are logits [N, K] and labels [N].
func wantLabelled(op Op, in []tensor.Shape) {
	wantRank(op, in, 0, 2, "logits [N, K]")
	wantShape(op, in, 1, "labels", in[0][0])
	if in[0].Numel() == 0 {
		badShapes(op, in, "no rows or no classes")
	}
}

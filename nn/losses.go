package nn

import (
	"cmp"
	"fmt"

	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/tensor"
)

// Loss computes the number that a training minimises from a network's outputs for a batch and the
// targets of the batch. The method Forward of every loss of this package is a Loss, and so is any
// function of your own that applies operations of the graph:
//
//	var loss nn.Loss = nn.HuberLoss{}.Forward
//
// The losses here are means over all elements, as PyTorch's are.
type Loss func(outputs, targets *graph.Node) *graph.Node

// BCEWithLogitsLoss is the binary cross-entropy of every output by itself, for images that
// have several labels at once: the mean of -(y·log(σ(z)) + (1-y)·log(1-σ(z))), where z is the
// output, a logit, and y the target, from 0 to 1.
// https://pytorch.org/docs/stable/generated/torch.nn.BCEWithLogitsLoss.html
type BCEWithLogitsLoss struct {
	// PosWeight multiplies the first term: above 1 it makes a label that is rarely present
	// count more where it is present. There is one for each label, or one for all; nil means 1.
	PosWeight []float32
}

// Forward takes logits and targets of one shape, [N, labels] or any other, and returns the loss
// as a scalar.
func (m BCEWithLogitsLoss) Forward(logits, targets *graph.Node) *graph.Node {
	g, first := logits.Graph, len(logits.Graph.Nodes)
	checkSameShape(m, logits, targets)
	// log(1 + e^z) - y·z, and with weights w of the first term (1 + (w-1)·y)·log(1 + e^-z) + (1-y)·z.
	loss := logits.Softplus().Sub(targets.Mul(logits))
	if len(m.PosWeight) > 0 {
		s := logits.Shape
		if n := len(m.PosWeight); n != 1 && (len(s) < 2 || n != s[1]) {
			misfit(m, nil, logits, "has weights of %d labels", n)
		}
		more := make([]float32, len(m.PosWeight))
		for i, w := range m.PosWeight {
			more[i] = w - 1
		}
		scale := targets.Mul(channelConstant(g, len(s), more))
		loss = loss.Add(scale.Mul(logits.Neg().Softplus()))
	}
	return g.Record(m, first, meanOf(loss))
}

func (m BCEWithLogitsLoss) String() string {
	if len(m.PosWeight) > 0 {
		return "BCEWithLogitsLoss(weighted)"
	}
	return "BCEWithLogitsLoss()"
}

// MSELoss is the mean of the squared differences.
// https://pytorch.org/docs/stable/generated/torch.nn.MSELoss.html
type MSELoss struct{}

// Forward takes outputs and targets of one shape and returns the loss as a scalar.
func (m MSELoss) Forward(outputs, targets *graph.Node) *graph.Node {
	g, first := outputs.Graph, len(outputs.Graph.Nodes)
	d := checkedDifference(m, outputs, targets)
	return g.Record(m, first, meanOf(d.Mul(d)))
}

func (MSELoss) String() string { return "MSELoss()" }

// L1Loss is the mean of the absolute differences.
// https://pytorch.org/docs/stable/generated/torch.nn.L1Loss.html
type L1Loss struct{}

// Forward takes outputs and targets of one shape and returns the loss as a scalar.
func (m L1Loss) Forward(outputs, targets *graph.Node) *graph.Node {
	g, first := outputs.Graph, len(outputs.Graph.Nodes)
	return g.Record(m, first, meanOf(checkedDifference(m, outputs, targets).Abs()))
}

func (L1Loss) String() string { return "L1Loss()" }

// HuberLoss is half the squared difference where the difference is at most Delta, and grows
// linearly beyond, so that outliers count less than in MSELoss.
// https://pytorch.org/docs/stable/generated/torch.nn.HuberLoss.html
type HuberLoss struct{ Delta float64 } // 0 means 1

// Forward takes outputs and targets of one shape and returns the loss as a scalar.
func (m HuberLoss) Forward(outputs, targets *graph.Node) *graph.Node {
	g, first := outputs.Graph, len(outputs.Graph.Nodes)
	delta := m.delta()
	if !(delta > 0) {
		misfit(m, nil, outputs, "delta %v is not above 0", delta)
	}
	return g.Record(m, first, huber(checkedDifference(m, outputs, targets).Abs(), delta))
}

func (m HuberLoss) delta() float64 { return cmp.Or(m.Delta, 1) }

func (m HuberLoss) String() string { return fmt.Sprintf("HuberLoss(delta=%v)", m.delta()) }

// SmoothL1Loss is HuberLoss divided by its Delta, here called Beta.
// https://pytorch.org/docs/stable/generated/torch.nn.SmoothL1Loss.html
type SmoothL1Loss struct{ Beta float64 } // 0 means 1

// Forward takes outputs and targets of one shape and returns the loss as a scalar.
func (m SmoothL1Loss) Forward(outputs, targets *graph.Node) *graph.Node {
	g, first := outputs.Graph, len(outputs.Graph.Nodes)
	beta := m.beta()
	if !(beta > 0) {
		misfit(m, nil, outputs, "beta %v is not above 0", beta)
	}
	loss := huber(checkedDifference(m, outputs, targets).Abs(), beta)
	return g.Record(m, first, g.Apply(graph.Scale{Factor: 1 / beta}, loss))
}

func (m SmoothL1Loss) beta() float64 { return cmp.Or(m.Beta, 1) }

func (m SmoothL1Loss) String() string { return fmt.Sprintf("SmoothL1Loss(beta=%v)", m.beta()) }

// huber returns the mean of c·(d - c/2), where d is the absolute difference and c = min(d, delta).
func huber(d *graph.Node, delta float64) *graph.Node {
	c := d.Clamp(0, delta)
	return meanOf(c.Mul(d.Sub(d.Graph.Apply(graph.Scale{Factor: 0.5}, c))))
}

// FocalLoss is a cross-entropy in which images that are already classified well count less
// (Lin et al. 2017, https://arxiv.org/abs/1708.02002, equation 4): the mean over the batch of
// Σ k  y[k]·(1-p[k])^Gamma·(-log p[k]), where p is the softmax of the logits.
type FocalLoss struct{ Gamma float64 } // 0 means 2, as in the paper

// Forward takes logits [N, K] and soft labels [N, K], one probability per class, and returns
// the loss as a scalar.
func (m FocalLoss) Forward(logits, softLabels *graph.Node) *graph.Node {
	g, first := logits.Graph, len(logits.Graph.Nodes)
	checkSameShape(m, logits, softLabels)
	if len(logits.Shape) != 2 {
		misfit(m, nil, logits, "needs logits [N, K]")
	}
	logs := logits.LogSoftmax(1)
	loss := softLabels.Mul(logs).Mul(complement(logs.Exp()).Pow(m.gamma()))
	return g.Record(m, first, g.Apply(graph.Scale{Factor: -1 / float64(logits.Shape[0])}, g.Apply(graph.Sum{}, loss)))
}

func (m FocalLoss) gamma() float64 { return cmp.Or(m.Gamma, 2) }

func (m FocalLoss) String() string { return fmt.Sprintf("FocalLoss(gamma=%v)", m.gamma()) }

// SigmoidFocalLoss is FocalLoss for images that have several labels at once: every output is
// judged by itself, as in BCEWithLogitsLoss, and the loss is the mean over all of them.
// https://pytorch.org/vision/stable/generated/torchvision.ops.sigmoid_focal_loss.html
type SigmoidFocalLoss struct {
	Gamma float64 // 0 means 2
	Alpha float64 // weight of labels that are present, from 0 to 1; that of the others is 1-Alpha. 0 weighs neither
}

// Forward takes logits and targets of one shape and returns the loss as a scalar.
func (m SigmoidFocalLoss) Forward(logits, targets *graph.Node) *graph.Node {
	g, first := logits.Graph, len(logits.Graph.Nodes)
	checkSameShape(m, logits, targets)
	if !(m.Alpha >= 0 && m.Alpha <= 1) {
		misfit(m, nil, logits, "alpha %v is not from 0 to 1", m.Alpha)
	}
	one := func() *graph.Node { return g.Constant(1, logits.Shape...) }
	absent := logits.Softplus() // -log(1-p)
	bce := absent.Sub(targets.Mul(logits))
	p := absent.Neg().Exp() // 1-p
	// The probability of what is not the target: y·(1-p) + (1-y)·p.
	wrong := targets.Mul(p).Add(one().Sub(targets).Mul(complement(p)))
	loss := bce.Mul(wrong.Pow(m.gamma()))
	if m.Alpha > 0 {
		weight := g.Apply(graph.Scale{Factor: 2*m.Alpha - 1}, targets).Add(g.Constant(1-m.Alpha, logits.Shape...))
		loss = weight.Mul(loss)
	}
	return g.Record(m, first, meanOf(loss))
}

func (m SigmoidFocalLoss) gamma() float64 { return cmp.Or(m.Gamma, 2) }

func (m SigmoidFocalLoss) String() string {
	return fmt.Sprintf("SigmoidFocalLoss(gamma=%v, alpha=%v)", m.gamma(), m.Alpha)
}

// DistillationLoss compares the outputs of a network for classes with those of a teacher, both
// divided by a temperature (Hinton et al. 2015, https://arxiv.org/abs/1503.02531):
// Temperature²·KL(softmax(teacher/Temperature) ‖ softmax(outputs/Temperature)), the mean over the
// batch. The square keeps the gradient's size about the same at every temperature.
type DistillationLoss struct{ Temperature float64 } // 0 means 4

// Forward takes logits [N, K] and the teacher's logits [N, K] and returns the loss as a scalar.
func (m DistillationLoss) Forward(logits, teacher *graph.Node) *graph.Node {
	g, first := logits.Graph, len(logits.Graph.Nodes)
	checkSameShape(m, logits, teacher)
	t := m.temperature()
	if !(t > 0) || len(logits.Shape) != 2 {
		misfit(m, nil, logits, "needs logits [N, K] and a temperature above 0")
	}
	cooled := func(x *graph.Node) *graph.Node { return g.Apply(graph.Scale{Factor: 1 / t}, x).LogSoftmax(1) }
	from, to := cooled(teacher), cooled(logits)
	sum := g.Apply(graph.Sum{}, from.Exp().Mul(from.Sub(to)))
	return g.Record(m, first, g.Apply(graph.Scale{Factor: t * t / float64(logits.Shape[0])}, sum))
}

func (m DistillationLoss) temperature() float64 { return cmp.Or(m.Temperature, 4) }

func (m DistillationLoss) String() string {
	return fmt.Sprintf("DistillationLoss(temperature=%v)", m.temperature())
}

// complement returns 1 - p, at least 0.
func complement(p *graph.Node) *graph.Node {
	return p.Graph.Constant(1, p.Shape...).Sub(p).Clamp(0, 1)
}

// meanOf returns the mean of all elements, as a scalar.
func meanOf(x *graph.Node) *graph.Node {
	return x.Graph.Apply(graph.Scale{Factor: 1 / float64(x.Shape.Numel())}, x.Graph.Apply(graph.Sum{}, x))
}

// checkedDifference returns outputs - targets, which must have the same shape.
func checkedDifference(m fmt.Stringer, outputs, targets *graph.Node) *graph.Node {
	checkSameShape(m, outputs, targets)
	return outputs.Add(targets.Neg()) // with operations that every device has
}

// checkSameShape panics unless outputs and targets have the same shape: broadcasting would
// compare outputs with the targets of other images.
func checkSameShape(m fmt.Stringer, outputs, targets *graph.Node) {
	if !outputs.Shape.Equal(targets.Shape) || outputs.Shape.Numel() == 0 {
		misfit(m, nil, outputs, "needs targets of the same shape, got %v", targets.Shape)
	}
}

// channelConstant returns a constant that varies along the second axis, for a value of the given rank.
func channelConstant(g *graph.Graph, rank int, values []float32) *graph.Node {
	shape := make([]int, rank)
	for i := range shape {
		shape[i] = 1
	}
	if rank > 1 {
		shape[1] = len(values)
	}
	return g.Variable(&graph.Variable{Value: tensor.FromSlice(values, shape...), Name: "constants of the loss"})
}

package nn

import (
	"fmt"

	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/tensor"
)

// CrossEntropyLoss is the mean over the batch of -log(softmax(logits)[label]).
// https://pytorch.org/docs/stable/generated/torch.nn.CrossEntropyLoss.html
type CrossEntropyLoss struct {
	// LabelSmoothing, from 0 to 1, is the probability that is spread evenly over all
	// classes.
	LabelSmoothing float64
	// Weight [K] holds the weights of the classes; nil gives all the same weight. The mean
	// is then weighted by the labels' classes. Weight is not a parameter and not part of a
	// state dict.
	Weight *graph.Variable
}

// Forward takes logits [N,K] with labels [N] in [0,K), or with soft labels [N,K] (one
// probability per class), and returns the loss as a scalar. To classify every pixel, it takes
// logits [N,K,H,W] and targets [N,H,W], which are class numbers as Float32, and returns the mean
// over all pixels; LabelSmoothing and Weight are not supported then.
func (m CrossEntropyLoss) Forward(logits, labels *graph.Node) *graph.Node {
	g, first := logits.Graph, len(logits.Graph.Nodes)
	if len(logits.Shape) > 2 {
		return g.Record(m, first, m.pixels(logits, labels))
	}
	if len(logits.Shape) != 2 || len(labels.Shape) < 1 || len(labels.Shape) > 2 || labels.Shape[0] != logits.Shape[0] ||
		len(labels.Shape) == 2 && labels.Shape[1] != logits.Shape[1] {
		misfit(m, nil, logits, "needs logits [N, K] and labels [N] or soft labels [N, K], got labels %v", labels.Shape)
	}
	inputs := []*graph.Node{logits, labels}
	if m.Weight != nil {
		if s := m.Weight.Value.Shape(); len(s) != 1 || s[0] != logits.Shape[1] {
			misfit(m, nil, logits, "has weights %v, and needs one for each of %d classes", s, logits.Shape[1])
		}
		inputs = append(inputs, g.Variable(m.Weight))
	}
	return g.Record(m, first, g.Apply(graph.CrossEntropy{LabelSmoothing: m.LabelSmoothing}, inputs...))
}

// pixels returns the mean over all pixels of the cross-entropy of logits [N, K, ...] and classes
// [N, ...].
func (m CrossEntropyLoss) pixels(logits, classes *graph.Node) *graph.Node {
	g, s := logits.Graph, logits.Shape
	if m.LabelSmoothing != 0 || m.Weight != nil {
		misfit(m, nil, logits, "has label smoothing or weights, which are supported only for logits [N, K]")
	}
	if len(classes.Shape) != len(s)-1 || classes.Shape[0] != s[0] || !classes.Shape[1:].Equal(s[2:]) {
		misfit(m, nil, logits, "needs a class of every pixel, %v, got targets %v", append(tensor.Shape{s[0]}, s[2:]...), classes.Shape)
	}
	classNumbers := make([]float32, s[1])
	for i := range classNumbers {
		classNumbers[i] = float32(i)
	}
	one := append(tensor.Shape{s[0], 1}, s[2:]...)
	is := graph.Equal.Of(classes.Reshape(one...), channelConstant(g, len(s), classNumbers))
	sum := g.Apply(graph.Sum{}, is.Mul(logits.LogSoftmax(1)))
	return g.Apply(graph.Scale{Factor: -1 / float64(classes.Shape.Numel())}, sum)
}

func (m CrossEntropyLoss) String() string {
	switch {
	case m.LabelSmoothing != 0 && m.Weight != nil:
		return fmt.Sprintf("CrossEntropyLoss(weighted, label_smoothing=%v)", m.LabelSmoothing)
	case m.LabelSmoothing != 0:
		return fmt.Sprintf("CrossEntropyLoss(label_smoothing=%v)", m.LabelSmoothing)
	case m.Weight != nil:
		return "CrossEntropyLoss(weighted)"
	}
	return "CrossEntropyLoss()"
}

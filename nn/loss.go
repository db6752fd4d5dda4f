package nn

import (
	"fmt"

	"github.com/residual-ml/residual/graph"
)

// CrossEntropyLoss is the mean over the batch of -log(softmax(logits)[label]).
// https://pytorch.org/docs/stable/generated/torch.nn.CrossEntropyLoss.html
type CrossEntropyLoss struct {
	// LabelSmoothing, 0 to 1, is shared out evenly among all classes.
	LabelSmoothing float64
	// Weight [K] holds the weights of the classes; nil: all count the same. The mean
	// is over the weights of the labels. It is no parameter and no part of a state dict.
	Weight *graph.Variable
}

// Forward takes logits [N,K] and labels [N] in [0,K), or shares of the classes [N,K],
// and returns a scalar.
func (m CrossEntropyLoss) Forward(logits, labels *graph.Node) *graph.Node {
	g, first := logits.Graph, len(logits.Graph.Nodes)
	if len(logits.Shape) != 2 || len(labels.Shape) < 1 || len(labels.Shape) > 2 || labels.Shape[0] != logits.Shape[0] ||
		len(labels.Shape) == 2 && labels.Shape[1] != logits.Shape[1] {
		misfit(m, nil, logits, "wants logits [N, K] and labels [N] or shares [N, K], got labels %v", labels.Shape)
	}
	inputs := []*graph.Node{logits, labels}
	if m.Weight != nil {
		if s := m.Weight.Value.Shape(); len(s) != 1 || s[0] != logits.Shape[1] {
			misfit(m, nil, logits, "has weights %v, and wants one for each of %d classes", s, logits.Shape[1])
		}
		inputs = append(inputs, g.Variable(m.Weight))
	}
	return g.Record(m, first, g.Apply(graph.CrossEntropy{LabelSmoothing: m.LabelSmoothing}, inputs...))
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

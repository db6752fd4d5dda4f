package nn

import "github.com/residual-ml/residual/graph"

// CrossEntropyLoss is the mean over the batch of -log(softmax(logits)[label]).
// https://pytorch.org/docs/stable/generated/torch.nn.CrossEntropyLoss.html
type CrossEntropyLoss struct{}

// Forward takes logits [N,K] and labels [N] in [0,K), and returns a scalar.
func (m CrossEntropyLoss) Forward(logits, labels *graph.Node) *graph.Node {
	g, first := logits.Graph, len(logits.Graph.Nodes)
	if len(logits.Shape) != 2 || len(labels.Shape) != 1 || labels.Shape[0] != logits.Shape[0] {
		misfit(m, nil, logits, "wants logits [N, K] and labels [N], got labels %v", labels.Shape)
	}
	return g.Record(m, first, g.Apply(graph.CrossEntropy{}, logits, labels))
}

func (CrossEntropyLoss) String() string { return "CrossEntropyLoss()" }

package nn

import (
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/tensor"
)

// Flatten joins all dimensions except the first: [N,C,H,W] -> [N,C*H*W].
// https://pytorch.org/docs/stable/generated/torch.nn.Flatten.html
type Flatten struct{}

func (m Flatten) Forward(x *graph.Node) *graph.Node {
	if len(x.Shape) < 2 {
		misfit(m, nil, x, "needs at least two dimensions")
	}
	return apply(m, graph.Reshape{To: tensor.Shape{x.Shape[0], x.Shape[1:].Numel()}}, x)
}

func (Flatten) String() string { return "Flatten()" }

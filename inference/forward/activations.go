package forward

import (
	"fmt"
	"slices"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/tensor"
)

// probe is a program of Activations, compiled for one batch shape and some paths.
type probe struct {
	*engine.Program
	input   *graph.Node
	paths   []string
	outputs map[string]*graph.Node
}

// Activations returns the outputs of the modules at the given paths for a batch, in evaluation
// mode, like PyTorch's register_forward_hook or torchvision's create_feature_extractor. Without
// paths it returns those of all modules. nn.Activations describes the paths; "" stands for the
// output of the network. What lies behind the last of the modules is not computed.
//
// The batch is what the module takes, usually [N, C, H, W]. The tensors belong to the caller.
func (r *Runner) Activations(batch *tensor.Tensor, paths ...string) (map[string]*tensor.Tensor, error) {
	p := r.probe
	if p == nil || !p.input.Shape.Equal(batch.Shape()) || !slices.Equal(p.paths, paths) {
		g := graph.New(graph.Eval)
		p = &probe{input: g.Input("images", batch.DType(), batch.Shape()...), paths: slices.Clone(paths)}
		var err error
		if p.outputs, err = nn.Activations(r.module, p.input, paths...); err != nil {
			return nil, err
		}
		var nodes []*graph.Node
		for _, n := range p.outputs {
			nodes = append(nodes, n)
		}
		slices.SortFunc(nodes, func(a, b *graph.Node) int { return a.ID - b.ID })
		if p.Program, err = engine.Compile(g, r.store, engine.Spec{Outputs: slices.Compact(nodes), Precision: r.precision}); err != nil {
			return nil, err
		}
		r.probe = p
	}
	if err := p.Feed(p.input, batch); err != nil {
		return nil, err
	}
	if err := p.Run(0); err != nil {
		return nil, fmt.Errorf("forward: Activations: %w", err)
	}
	out := map[string]*tensor.Tensor{}
	for path, n := range p.outputs {
		out[path] = tensor.New(n.Shape...)
		p.Read(n, out[path])
	}
	return out, r.store.Device().Err()
}

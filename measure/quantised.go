package measure

import (
	"slices"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/internal/rng"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/quant"
	"github.com/residual-ml/residual/tensor"
)

// forward adds the model's operations to the graph of the images. In INT8 all layers but the
// first and the last are quantised, by the ranges of their values on two random images.
func (w *Workload) forward(m nn.Module, dev engine.Device) (*graph.Node, error) {
	if w.config.Precision != engine.INT8 {
		return engine.Trace(m.Forward, w.images)
	}
	s, err := randomScheme(m, dev, w.images.Shape)
	if err != nil {
		return nil, err
	}
	stop, err := s.Apply(m, w.images.Graph)
	if err != nil {
		return nil, err
	}
	defer stop()
	return engine.Trace(m.Forward, w.images)
}

// randomScheme quantises a model with random weights, for images of a shape.
func randomScheme(m nn.Module, dev engine.Device, shape tensor.Shape) (*quant.Scheme, error) {
	g := graph.New(graph.Eval)
	x := g.Input("images", tensor.Float32, append([]int{2}, shape[1:]...)...)
	out, err := engine.Trace(m.Forward, x)
	if err != nil {
		return nil, err
	}
	candidates := quant.Layers(m, out)
	if n := len(candidates); n > 0 && len(candidates[n-1].Node.Shape) == 2 {
		candidates = candidates[:n-1]
	}
	s, values := &quant.Scheme{Layers: map[string]quant.Layer{}}, quant.Values(candidates, out)
	for _, c := range candidates {
		s.Layers[c.Name] = quant.Layer{Weight: quant.WeightScales(c.Weight.Value)}
	}
	var outputs []*graph.Node
	for _, v := range values {
		outputs = append(outputs, v.Node)
	}
	p, err := engine.Compile(g, engine.NewStore(dev), engine.Spec{Outputs: outputs})
	if err != nil || len(outputs) == 0 {
		return s, err
	}
	images, r := tensor.New(x.Shape...), rng.PCG(3, 4)
	for i := range images.Data() {
		images.Data()[i] = r.Float32()
	}
	if err := p.Feed(x, images); err != nil {
		return nil, err
	}
	if err := p.Run(0); err != nil {
		return nil, err
	}
	for _, v := range values {
		y := tensor.New(v.Node.Shape...)
		p.Read(v.Node, y)
		s.Set(v, quant.GridOf(slices.Min(y.Data()), slices.Max(y.Data())))
	}
	return s, dev.Err()
}

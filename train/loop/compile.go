package loop

import (
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/inference/forward"
	"github.com/residual-ml/residual/internal/field"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/tensor"
)

// program returns the training step for n images.
func (t *Trainer) program(n int, softLabels bool) (*stepProgram, error) {
	softLabels = softLabels || t.takesFloats()
	if p := t.programs[batchKind{n, softLabels}]; p != nil {
		return p, nil
	}
	p, g, err := t.forward(n, softLabels)
	if err != nil {
		return nil, err
	}
	_, stepper := t.store.Device().(engine.Stepper) // its step includes the assignments
	if err := t.compile(p, g, !stepper); err != nil {
		return nil, err
	}
	if s := t.loader.Stored(); s != nil && (!softLabels || t.takesFloats()) {
		p.feedUint8 = p.Images(p.images, forward.StoredImages(s))
		if err := t.store.Device().Err(); err != nil {
			return nil, err
		}
	}
	t.programs[batchKind{n, softLabels}] = p
	return p, nil
}

// forward builds the graph of the loss of n images.
func (t *Trainer) forward(n int, softLabels bool) (*stepProgram, *graph.Graph, error) {
	g := graph.New(graph.Train)
	g.Freeze(t.frozen...)
	p := &stepProgram{images: g.Input("images", tensor.Float32, n, t.input[0], t.input[1], t.input[2])}
	if t.ofClasses() {
		p.labels = g.Input("labels", tensor.Int64, n)
	}
	logits, err := engine.Trace(t.module.Forward, p.images)
	if err != nil {
		return nil, nil, err
	}
	if err := forward.CheckOutputs(t.targets(), t.module, logits.Shape, n); err != nil {
		return nil, nil, err
	}
	p.logits = logits
	if !t.ofClasses() {
		p.softLabels = g.Input("targets", tensor.Float32, append([]int{n}, t.targets().Sized(t.input[1], t.input[2])...)...)
		err := t.traceLoss(p, p.softLabels)
		p.read = []*graph.Node{p.loss}
		return p, g, err
	}
	p.classes = logits.Shape[1]
	if k := len(t.options.ClassWeights); k > 0 && k != p.classes {
		return nil, nil, field.Errorf("{ClassWeights} has %d weights, and %s tells %d classes apart; give one for each", k, nn.Class(t.module), p.classes)
	}
	target := p.labels
	if softLabels {
		p.softLabels, p.likeliest = g.Input("soft labels", tensor.Float32, n, p.classes), tensor.FromInts(make([]int64, n), n)
		target = p.softLabels
	}
	if err := t.traceLoss(p, target); err != nil {
		return nil, nil, err
	}
	p.hits = g.Apply(graph.CountCorrect{}, logits, p.labels)
	p.read = []*graph.Node{p.loss, p.hits}
	return p, g, nil
}

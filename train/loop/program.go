package loop

import (
	"fmt"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/tensor"
)

// batchKind describes the batches that a training step is compiled for.
type batchKind struct {
	images     int
	softLabels bool // the targets are soft labels (one probability per class) instead of labels
}

// stepProgram is the compiled training step for batches of one kind.
type stepProgram struct {
	*engine.Program
	images, labels     *graph.Node
	logits, loss, hits *graph.Node
	read               []*graph.Node  // outputs that are read after a step: loss and hits
	softLabels         *graph.Node    // soft labels or other targets in float32; nil if the targets are labels
	teacher            *graph.Node    // the outputs of Options.Teacher; nil without one
	oneHot             *tensor.Tensor // labels as soft labels; nil before the first of them
	likeliest          *tensor.Tensor // the class with the largest soft label of each image
	classes            int
	finite             func() bool    // reports whether all gradients are finite
	norm               func() float64 // norm of all gradients together; nil until it is needed
	gradients          []int          // the updates with a gradient
	feedUint8          engine.Feed    // nil if batches are float32
}

// Updates adds the gradients of loss to g and pairs each parameter with its own, as
// engine.Spec takes them. It returns an error that names a parameter on which the loss does
// not depend.
func Updates(g *graph.Graph, loss *graph.Node, parameters []nn.NamedParameter) ([]engine.Update, error) {
	updates, without := pair(g, loss, parameters)
	if len(without) > 0 {
		return nil, fmt.Errorf("the loss does not depend on parameter %s; leave it out of the module or use it in Forward", without[0].Name)
	}
	return updates, nil
}

// pair adds the gradients of loss to g and pairs each parameter with its own. without has the
// parameters on which the loss does not depend.
func pair(g *graph.Graph, loss *graph.Node, parameters []nn.NamedParameter) (updates []engine.Update, without []nn.NamedParameter) {
	var leaves []*graph.Node
	for _, p := range parameters {
		leaves = append(leaves, g.Variable(p.Variable))
	}
	for i, gradient := range graph.ReachedGradients(loss, leaves) {
		if gradient == nil {
			without = append(without, parameters[i])
			continue
		}
		updates = append(updates, engine.Update{Variable: parameters[i].Variable, Gradient: gradient})
	}
	return updates, without
}

// feed sets the program's inputs to a batch with labels [N], or soft labels [N, classes].
func (p *stepProgram) feed(images, labels *tensor.Tensor) error {
	if err := p.Feed(p.images, images); err != nil {
		return err
	}
	return p.feedLabels(labels)
}

// feedLabels sets the program's labels, or its soft labels.
func (p *stepProgram) feedLabels(labels *tensor.Tensor) error {
	if p.softLabels != nil && labels.DType() == tensor.Int64 && p.labels != nil {
		if err := p.spread(labels.Ints()); err != nil {
			return err
		}
		labels = p.oneHot
	}
	if p.softLabels != nil {
		if err := p.Feed(p.softLabels, labels); err != nil || p.labels == nil {
			return err
		}
		p.pick(labels.Data())
		return p.Feed(p.labels, p.likeliest)
	}
	for i, label := range labels.Ints() {
		if label < 0 || label >= int64(p.classes) {
			return fmt.Errorf("label %d of image %d in the batch is outside 0..%d, the model's classes", label, i, p.classes-1)
		}
	}
	return p.Feed(p.labels, labels)
}

// spread sets oneHot to labels.
func (p *stepProgram) spread(labels []int64) error {
	if p.oneHot == nil {
		p.oneHot = tensor.New(len(labels), p.classes)
	}
	clear(p.oneHot.Data())
	for i, label := range labels {
		if label < 0 || label >= int64(p.classes) {
			return fmt.Errorf("label %d of image %d in the batch is outside 0..%d, the model's classes", label, i, p.classes-1)
		}
		p.oneHot.Data()[i*p.classes+int(label)] = 1
	}
	return nil
}

// pick sets likeliest to the class with the largest soft label of every image, or the first of
// several.
func (p *stepProgram) pick(softLabels []float32) {
	for i := range p.likeliest.Ints() {
		row, best := softLabels[i*p.classes:(i+1)*p.classes], 0
		for k, v := range row {
			if v > row[best] {
				best = k
			}
		}
		p.likeliest.Ints()[i] = int64(best)
	}
}

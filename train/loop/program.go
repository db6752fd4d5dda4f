package loop

import (
	"fmt"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/inference"
	"github.com/residual-ml/residual/internal/field"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/tensor"
)

// kind is what a training step is compiled for.
type kind struct {
	pictures int
	shares   bool // of the classes, in place of labels
}

// program is one training step for batches of one kind.
type program struct {
	*engine.Program
	images, labels     *graph.Node
	logits, loss, hits *graph.Node
	read               []*graph.Node  // with a step: loss and hits
	shares             *graph.Node    // nil where the labels are what is trained on
	largest            *tensor.Tensor // the classes with the largest shares
	classes            int
	finite             func() bool    // all gradients are
	norm               func() float64 // of all gradients; nil unless it is needed
	pictures           engine.Feed    // nil where they come as images
}

// program returns the training step for n images.
func (t *Trainer) program(n int, shares bool) (*program, error) {
	if p := t.programs[kind{n, shares}]; p != nil {
		return p, nil
	}
	p, g, err := t.forward(n, shares)
	if err != nil {
		return nil, err
	}
	updates, err := t.updates(g, p.loss)
	if err != nil {
		return nil, err
	}
	_, whole := t.store.Device().(engine.Stepper) // one piece of work, with its assignments
	p.Program, err = engine.Compile(g, t.store, engine.Spec{
		Outputs: p.read, Updates: updates, Precision: t.options.Precision, Recompute: t.options.Recompute,
		Hold: !whole,
	})
	if err != nil {
		return nil, err
	}
	p.finite = p.Finite()
	if t.options.ClipNorm > 0 {
		p.norm = p.Norm(withGradients(updates))
	}
	if s := t.loader.Stored(); s != nil && !shares {
		p.pictures = p.Pictures(p.images, inference.Pictures(s))
		if err := t.store.Device().Err(); err != nil {
			return nil, err
		}
	}
	t.programs[kind{n, shares}] = p
	return p, nil
}

// forward traces the loss of n images.
func (t *Trainer) forward(n int, shares bool) (*program, *graph.Graph, error) {
	g := graph.New(graph.Train)
	g.Freeze(t.frozen...)
	p := &program{
		images: g.Input("images", tensor.Float32, n, t.input[0], t.input[1], t.input[2]),
		labels: g.Input("labels", tensor.Int64, n),
	}
	logits, err := engine.Trace(t.module.Forward, p.images)
	if err != nil {
		return nil, nil, err
	}
	if len(logits.Shape) != 2 || logits.Shape[0] != n {
		return nil, nil, fmt.Errorf("%s gives %v, where a classifier gives [N, classes]", nn.Class(t.module), logits.Shape)
	}
	p.logits, p.classes = logits, logits.Shape[1]
	if k := len(t.options.ClassWeights); k > 0 && k != p.classes {
		return nil, nil, field.Errorf("{ClassWeights} has %d weights, and %s tells %d classes apart; give one for each", k, nn.Class(t.module), p.classes)
	}
	target := p.labels
	if shares {
		p.shares, p.largest = g.Input("shares", tensor.Float32, n, p.classes), tensor.FromInts(make([]int64, n), n)
		target = p.shares
	}
	p.loss = nn.CrossEntropyLoss{LabelSmoothing: t.options.LabelSmoothing, Weight: t.weights}.Forward(logits, target)
	p.hits = g.Apply(graph.CountCorrect{}, logits, p.labels)
	p.read = []*graph.Node{p.loss, p.hits}
	return p, g, nil
}

// updates pairs what is trained with its gradients, and adds the buffers that are to be
// averaged.
func (t *Trainer) updates(g *graph.Graph, loss *graph.Node) ([]engine.Update, error) {
	updates, err := Updates(g, loss, t.trained)
	if err != nil {
		return nil, err
	}
	for i, u := range updates {
		updates[i].Rate = t.rates[u.Variable]
	}
	if t.options.EMA > 0 {
		for _, b := range t.average.buffers(g) {
			updates = append(updates, engine.Update{Variable: b})
		}
	}
	return updates, nil
}

// Updates adds the gradients of loss to g and pairs each parameter with its own, as
// engine.Spec takes them. It returns an error that names a parameter on which the loss does
// not depend.
func Updates(g *graph.Graph, loss *graph.Node, parameters []nn.NamedParameter) ([]engine.Update, error) {
	var leaves []*graph.Node
	for _, p := range parameters {
		leaves = append(leaves, g.Variable(p.Variable))
	}
	var updates []engine.Update
	for i, gradient := range graph.Gradients(loss, leaves) {
		p := parameters[i]
		if gradient == nil {
			return nil, fmt.Errorf("the loss does not depend on parameter %s; leave it out of the module or use it in Forward", p.Name)
		}
		updates = append(updates, engine.Update{Variable: p.Variable, Gradient: gradient})
	}
	return updates, nil
}

// withGradients lists the updates that have a gradient.
func withGradients(updates []engine.Update) (list []int) {
	for i, u := range updates {
		if u.Gradient != nil {
			list = append(list, i)
		}
	}
	return list
}

// feed gives the program a batch: labels [N], or shares [N, classes].
func (p *program) feed(images, labels *tensor.Tensor) error {
	if err := p.Feed(p.images, images); err != nil {
		return err
	}
	return p.answers(labels)
}

// answers gives the program what a batch shows.
func (p *program) answers(labels *tensor.Tensor) error {
	if p.shares != nil {
		if err := p.Feed(p.shares, labels); err != nil {
			return err
		}
		p.pick(labels.Data())
		return p.Feed(p.labels, p.largest)
	}
	for i, label := range labels.Ints() {
		if label < 0 || label >= int64(p.classes) {
			return fmt.Errorf("label %d of picture %d in the batch is outside 0..%d, the model's classes", label, i, p.classes-1)
		}
	}
	return p.Feed(p.labels, labels)
}

// pick notes the class with the largest probability in each soft label, the first of several.
func (p *program) pick(shares []float32) {
	for i := range p.largest.Ints() {
		row, best := shares[i*p.classes:(i+1)*p.classes], 0
		for k, v := range row {
			if v > row[best] {
				best = k
			}
		}
		p.largest.Ints()[i] = int64(best)
	}
}

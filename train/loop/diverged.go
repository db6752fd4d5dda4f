package loop

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/internal/field"
	"github.com/residual-ml/residual/internal/number"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/tensor"
)

// diverged is the error of a loss or a gradient that is not finite. errors.Is reports it as
// ErrNotFinite.
type diverged struct {
	at     Place
	loss   float64
	lr     float32
	first  string // the first value found that is not finite
	images string // the images of the batch
}

func (d diverged) Error() string { return d.worded().Error() }

// Named makes it a field.Error.
func (d diverged) Named(name func(field string) string) string { return field.Render(d.worded(), name) }

func (d diverged) worded() error {
	return field.Errorf("epoch %d, batch %d: the loss is %v: %s%s; the training diverged at the learning rate %v, and this step was not made; use a smaller one ({LR}), or {ClipNorm}",
		d.at.Epoch, d.at.Batch, d.loss, d.first, d.images, d.lr)
}

func (d diverged) Is(target error) bool { return target == ErrNotFinite }

// diverged finds out what went wrong in the step on b. b is nil after the last batch of an
// epoch, when the gradients of the single batches were finite but not their mean.
func (f *fit) diverged(at Place, b *data.Batch, loss float64, lr float32) error {
	d := diverged{at: at, loss: loss, lr: lr, first: "the mean of the gradients of several batches is not finite"}
	if b == nil {
		return d
	}
	d.first, d.images = f.firstBad(b.Decoded(), targetsOf(b), number.Finite(loss)), "; the batch's images are "+f.imageNames(b.Indices)
	return d
}

// imageNames names the first images of a batch.
func (t *Trainer) imageNames(indices []int) string {
	const told = 5
	var names []string
	for _, i := range indices[:min(told, len(indices))] {
		name := data.Describe(t.dataset, i)
		if name == "" {
			name = strconv.Itoa(i)
		}
		names = append(names, name)
	}
	text := strings.Join(names, ", ")
	if remaining := len(indices) - told; remaining > 0 {
		text += fmt.Sprintf(" and %d more", remaining)
	}
	return text
}

// firstBad describes the first value of the last step that was not finite: an image, a
// parameter or the output of a layer or, if the loss was finite, a gradient in the backward
// pass.
func (t *Trainer) firstBad(images, labels *tensor.Tensor, backward bool) string {
	k := batchKind{images.Shape()[0], labels.DType() == tensor.Float32 || t.takesFloats()}
	size := images.Shape()[1:].Numel()
	for i := range k.images {
		if !allFinite(images.Data()[i*size : (i+1)*size]) {
			return fmt.Sprintf("image %d of the batch has values that are not finite", i+1)
		}
	}
	if backward {
		for i := len(t.trained) - 1; i >= 0; i-- {
			grad := tensor.New(t.trained[i].Value.Shape()...)
			t.programs[k].Gradient(i, grad)
			if !allFinite(grad.Data()) {
				return fmt.Sprintf("the gradient of %s is the first in the backward pass that is not finite", t.trained[i].Name)
			}
		}
		return "a gradient is not finite"
	}
	text, err := t.firstBadLayer(k, images, labels)
	if err != nil {
		return fmt.Sprintf("the layer where it began cannot be found (%v)", err)
	}
	return text
}

// firstBadLayer repeats the step's forward pass with the output of every layer, and finds the
// first that is not finite. It changes no state.
func (t *Trainer) firstBadLayer(k batchKind, images, labels *tensor.Tensor) (string, error) {
	p, g, err := t.forward(k.images, k.softLabels)
	if err != nil {
		return "", err
	}
	g.Assignments = nil
	required := []*graph.Node{p.logits}
	layers := nn.Outputs(t.module, g)
	for _, l := range layers {
		if l.Node.ID <= p.logits.ID {
			required = append(required, l.Node)
		}
	}
	var parameters []*graph.Node
	for _, n := range g.Nodes { // running statistics do not influence the loss in training
		if l, ok := n.Op.(*graph.Leaf); ok && (l.Variable.Trainable || g.Frozen(l.Variable)) {
			parameters = append(parameters, n)
		}
	}
	p.Program, err = engine.Compile(g, t.store, engine.Spec{Outputs: append(append(required, parameters...), p.read...), Precision: t.options.Precision})
	if err != nil {
		return "", err
	}
	if err := p.feed(images, labels); err != nil {
		return "", err
	}
	if err := t.teach(p, images); err != nil {
		return "", err
	}
	if err := p.Run(int64(t.steps)); err != nil {
		return "", err
	}
	bad := func(n *graph.Node) bool {
		v := tensor.New(n.Shape...)
		p.Read(n, v)
		return !allFinite(v.Data())
	}
	for _, n := range parameters {
		if bad(n) {
			return fmt.Sprintf("the values of %s are not finite", n.Op.(*graph.Leaf).Variable.Name), nil
		}
	}
	for _, l := range layers {
		if l.Node.ID <= p.logits.ID && bad(l.Node) {
			return fmt.Sprintf("%s (%s) is the first layer whose output is not finite", l.Path, l.Class), nil
		}
	}
	if bad(p.logits) {
		return "the network's output is not finite", nil
	}
	return "every layer's output is finite, and the loss is not", nil
}

func allFinite(values []float32) bool {
	for _, v := range values {
		if v-v != 0 {
			return false
		}
	}
	return true
}

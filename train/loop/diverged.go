package loop

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/internal/field"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/tensor"
)

// diverged says where a loss or a gradient was no number. It is ErrNotFinite.
type diverged struct {
	at       Place
	loss     float64
	lr       float32
	first    string // what was found first
	pictures string // of the batch
}

func (d diverged) Error() string { return d.worded().Error() }

// Named makes it a field.Error.
func (d diverged) Named(name func(field string) string) string { return field.Render(d.worded(), name) }

func (d diverged) worded() error {
	return field.Errorf("epoch %d, batch %d: the loss is %v: %s%s; the training diverged at the learning rate %v, and this step was not made; use a smaller one ({LR}), or {ClipNorm}",
		d.at.Epoch, d.at.Batch, d.loss, d.first, d.pictures, d.lr)
}

func (d diverged) Is(target error) bool { return target == ErrNotFinite }

// diverged finds out what went wrong in the step on b; b is nil after the last batch of an
// epoch, whose gradients were finite by themselves.
func (f *fit) diverged(at Place, b *data.Batch, loss float64, lr float32) error {
	d := diverged{at: at, loss: loss, lr: lr, first: "the mean of the gradients of several batches is not finite"}
	if b == nil {
		return d
	}
	d.first, d.pictures = f.firstBad(b.Decoded(), answersOf(b), finite(loss)), "; the batch's pictures are "+f.pictures(b.Indices)
	return d
}

// pictures names the first of a batch.
func (t *Trainer) pictures(indices []int) string {
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
	if rest := len(indices) - told; rest > 0 {
		text += fmt.Sprintf(" and %d more", rest)
	}
	return text
}

// firstBad says what was the first to be no number in the last step: an image, a parameter,
// the output of a layer or, when the loss was finite, a gradient on the way back.
func (t *Trainer) firstBad(images, labels *tensor.Tensor, wayBack bool) string {
	k := kind{images.Shape()[0], labels.DType() == tensor.Float32}
	size := images.Shape()[1:].Numel()
	for i := range k.pictures {
		if !allFinite(images.Data()[i*size : (i+1)*size]) {
			return fmt.Sprintf("picture %d of the batch has values that are not finite", i+1)
		}
	}
	if wayBack {
		for i := len(t.trained) - 1; i >= 0; i-- {
			grad := tensor.New(t.trained[i].Value.Shape()...)
			t.programs[k].Gradient(i, grad)
			if !allFinite(grad.Data()) {
				return fmt.Sprintf("the gradient of %s is the first on the way back that is not finite", t.trained[i].Name)
			}
		}
		return "a gradient is not finite"
	}
	text, err := t.firstBadLayer(k, images, labels)
	if err != nil {
		return fmt.Sprintf("the layer where that began cannot be found (%v)", err)
	}
	return text
}

// firstBadLayer runs the step's way forward once more, and keeps what every layer gives.
// Nothing is changed by it.
func (t *Trainer) firstBadLayer(k kind, images, labels *tensor.Tensor) (string, error) {
	p, g, err := t.forward(k.pictures, k.shares)
	if err != nil {
		return "", err
	}
	g.Assignments = nil
	wanted := []*graph.Node{p.logits}
	layers := nn.Outputs(t.module, g)
	for _, l := range layers {
		if l.Node.ID <= p.logits.ID {
			wanted = append(wanted, l.Node)
		}
	}
	var parameters []*graph.Node
	for _, n := range g.Nodes { // statistics that move have no part in the loss
		if l, ok := n.Op.(*graph.Leaf); ok && (l.Variable.Trainable || g.Frozen(l.Variable)) {
			parameters = append(parameters, n)
		}
	}
	p.Program, err = engine.Compile(g, t.store, engine.Spec{Outputs: append(append(wanted, parameters...), p.loss, p.hits), Precision: t.options.Precision})
	if err != nil {
		return "", err
	}
	if err := p.feed(images, labels); err != nil {
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
	return "every layer's output is finite, and the loss of it is not", nil
}

func allFinite(values []float32) bool {
	for _, v := range values {
		if v-v != 0 {
			return false
		}
	}
	return true
}

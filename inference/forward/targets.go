package forward

import (
	"fmt"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/metrics"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/task"
	"github.com/residual-ml/residual/tensor"
)

// Config says what the outputs of a model mean. The zero value stands for the logits of classes.
type Config struct {
	Targets task.Targets
	// Loss is what an evaluation measures as Result.Loss; nil means that of LossFor. Of classes
	// it takes soft labels [N, classes] as targets.
	Loss nn.Loss
}

// New is NewRunner for a model that answers with anything: [N, labels], [N, values] or masks.
func New(m nn.Module, store *engine.Store, p engine.Precision, c Config) *Runner {
	r := NewRunner(m, store, p)
	r.config = c
	return r
}

// Targets describes what the model answers.
func (r *Runner) Targets() task.Targets { return r.config.Targets }

// LossFor returns the loss of a task: cross-entropy of classes and of the classes of pixels, binary
// cross-entropy of labels and of masks with one class, and the mean squared error of values.
func LossFor(t task.Targets) nn.Loss {
	switch {
	case t.Task == task.Values:
		return nn.MSELoss{}.Forward
	case t.Task == task.Labels, t.Task == task.Masks && len(t.Names) < 2:
		return nn.BCEWithLogitsLoss{}.Forward
	}
	return nn.CrossEntropyLoss{}.Forward
}

// CheckOutputs returns an error unless a model that gives outputs of a shape for n images
// answers a task.
func CheckOutputs(t task.Targets, m nn.Module, outputs tensor.Shape, n int) error {
	whole := len(outputs) > 0 && outputs[0] == n
	switch kind := t.Task.Named(); {
	case kind == task.Classes && (!whole || len(outputs) != 2):
		return fmt.Errorf("%s gives %v, where a classifier gives [N, classes]", nn.Class(m), outputs)
	case kind == task.Labels && (!whole || len(outputs) != 2 || outputs[1] != len(t.Names)),
		kind == task.Values && t.Shape == nil && (!whole || len(outputs) != 2 || outputs[1] != len(t.Names)):
		return fmt.Errorf("%s gives %v, and %d %s need [N, %d]", nn.Class(m), outputs, len(t.Names), kind, len(t.Names))
	case kind == task.Masks && (!whole || len(outputs) != 4 || outputs[1] != t.Outputs()):
		return fmt.Errorf("%s gives %v, and masks of %d classes need [N, %d, H, W]", nn.Class(m), outputs, t.Outputs(), t.Outputs())
	case !whole:
		return fmt.Errorf("%s gives %v for %d images; the first size must be that number", nn.Class(m), outputs, n)
	}
	return nil
}

// OneHot returns labels as soft labels [N, classes].
func OneHot(labels []int64, classes int) (*tensor.Tensor, error) {
	soft := tensor.New(len(labels), classes)
	for i, label := range labels {
		if label < 0 || label >= int64(classes) {
			return nil, fmt.Errorf("label %d of image %d in the batch is outside 0..%d, the model's classes", label, i, classes-1)
		}
		soft.Data()[i*classes+int(label)] = 1
	}
	return soft, nil
}

// lossProgram computes the loss of a batch of outputs on the device.
type lossProgram struct {
	*engine.Program
	outputs, targets, loss *graph.Node
}

// lossOf returns the loss of a batch.
func (r *Runner) lossOf(outputs, targets *tensor.Tensor) (float64, error) {
	n := outputs.Shape()[0]
	p := r.losses[n]
	if p == nil {
		g := graph.New(graph.Eval)
		p = &lossProgram{outputs: g.Input("outputs", tensor.Float32, outputs.Shape()...), targets: g.Input("targets", tensor.Float32, targets.Shape()...)}
		loss := r.config.Loss
		if loss == nil {
			loss = LossFor(r.config.Targets)
		}
		var err error
		if p.loss, err = TraceLoss(loss, p.outputs, p.targets); err != nil {
			return 0, err
		}
		if p.Program, err = engine.Compile(g, r.store, engine.Spec{Outputs: []*graph.Node{p.loss}}); err != nil {
			return 0, err
		}
		if r.losses == nil || len(r.losses) >= cacheSize {
			r.losses = map[int]*lossProgram{}
		}
		r.losses[n] = p
	}
	for node, value := range map[*graph.Node]*tensor.Tensor{p.outputs: outputs, p.targets: targets} {
		if err := p.Feed(node, value); err != nil {
			return 0, err
		}
	}
	if err := p.Run(0); err != nil {
		return 0, err
	}
	out := tensor.New()
	p.Read(p.loss, out)
	return float64(out.Data()[0]), r.store.Device().Err()
}

// TraceLoss adds a loss to the graph of outputs and targets, as a scalar. Shapes that do not
// fit are an error.
func TraceLoss(loss nn.Loss, outputs, targets *graph.Node) (*graph.Node, error) {
	value, err := engine.Trace(func(x *graph.Node) *graph.Node { return loss(x, targets) }, outputs)
	switch {
	case err != nil:
		return nil, fmt.Errorf("the loss, of targets %v: %w", targets.Shape, err)
	case value == nil || value.Graph != outputs.Graph:
		return nil, fmt.Errorf("the loss is no node of the graph of the outputs")
	case value.Shape.Numel() != 1:
		return nil, fmt.Errorf("the loss gives %v for outputs %v, where one number is wanted; take its Mean()", value.Shape, outputs.Shape)
	case len(value.Shape) > 0:
		value = value.Reshape()
	}
	return value, nil
}

// tally measures the answers to a task over batches, in their order.
type tally struct {
	score
	runner *Runner
	of     task.Targets
	total  float64 // of the losses of the batches, each times its images
	labels *metrics.Labels
	values *metrics.Values
	masks  *metrics.Masks
}

func newTally(r *Runner) *tally {
	t := &tally{runner: r, of: r.config.Targets}
	switch t.of.Task.Named() {
	case task.Labels:
		t.labels = metrics.NewLabels(len(t.of.Names), 0)
	case task.Values:
		t.values = metrics.NewValues(t.of.Outputs())
	case task.Masks:
		t.masks = metrics.NewMasks(max(2, len(t.of.Names)))
	}
	return t
}

// add measures a batch.
func (t *tally) add(b *data.Batch, outputs *tensor.Tensor, each func(Answer)) error {
	n := len(b.Indices)
	targets := b.Targets
	if t.of.Task.Named() == task.Classes {
		if err := t.score.add(outputs, b.Labels.Ints(), b.Indices, each); err != nil || t.runner.config.Loss == nil {
			return err
		}
		var err error
		if targets, err = OneHot(b.Labels.Ints(), outputs.Shape()[1]); err != nil {
			return err
		}
	}
	loss, err := t.runner.lossOf(outputs, targets)
	if err != nil {
		return err
	}
	t.total += loss * float64(n)
	out, want := outputs.Data(), targets.Data()
	switch t.of.Task.Named() {
	case task.Labels:
		t.labels.Add(out, want)
	case task.Values:
		t.values.Add(t.units(out), t.units(want))
	case task.Masks:
		t.pixels(outputs, want)
	}
	if t.of.Task.Named() != task.Classes {
		t.count += n
	}
	return nil
}

// units converts outputs or targets to the units of the values.
func (t *tally) units(values []float32) []float64 {
	out := make([]float64, len(values))
	for i, v := range values {
		out[i] = t.of.Unit(i, v)
	}
	return out
}

// pixels counts the classes of pixels: the likeliest, or, where there is only one, whether a
// pixel rather belongs to it than not.
func (t *tally) pixels(outputs *tensor.Tensor, want []float32) {
	s := outputs.Shape()
	k, area := s[1], s[2]*s[3]
	for i := range s[0] {
		image := outputs.Data()[i*k*area : (i+1)*k*area]
		for p := range area {
			best := 0
			if k == 1 && image[p] > 0 {
				best = 1
			}
			for c := 1; c < k; c++ {
				if image[c*area+p] > image[best*area+p] {
					best = c
				}
			}
			t.masks.Add(best, int(want[i*area+p]))
		}
	}
}

package forward

import (
	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/metrics"
	"github.com/residual-ml/residual/task"
	"github.com/residual-ml/residual/tensor"
)

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

// tally measures the answers to a task over batches, in their order.
type tally struct {
	score
	runner *Runner
	of     task.Targets
	total  float64 // of the losses of the batches, each times its images
	labels *metrics.Labels
	values *metrics.Values
	masks  *metrics.Masks

	scale []float64 // the temperatures of labels; nil if they are 1
}

func newTally(r *Runner, temperature []float64) *tally {
	t := &tally{runner: r, of: r.config.Targets}
	t.score.temperature = 1
	switch t.of.Task.Named() {
	case task.Classes:
		if len(temperature) > 0 {
			t.score.temperature = temperature[0]
		}
	case task.Labels:
		t.labels, t.scale = metrics.NewLabels(len(t.of.Names), 0), temperature
	case task.Values:
		t.values = metrics.NewValues(t.of.Outputs())
	case task.Masks:
		t.masks = metrics.NewMasks(max(2, len(t.of.Names)))
	}
	return t
}

// add measures a batch.
func (t *tally) add(b *data.Batch, outputs *tensor.Tensor, each func(a Answer, outputs []float32)) error {
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
	loss, err := t.runner.lossOf(t.scaled(outputs), targets)
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

// scaled returns outputs divided by the temperatures of labels.
func (t *tally) scaled(outputs *tensor.Tensor) *tensor.Tensor {
	if t.scale == nil {
		return outputs
	}
	outputs = outputs.Clone()
	for i := range outputs.Data() {
		outputs.Data()[i] = float32(float64(outputs.Data()[i]) / t.scale[i%len(t.scale)])
	}
	return outputs
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

package train

import (
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/optim"
	"github.com/residual-ml/residual/tensor"
)

// sum adds gradients up, each weighted by its pictures.
type sum struct {
	optim.Sum
	batches int     // so far
	total   float64 // of the weights
	program *program
}

// prepare lays out the slots.
func (t *Trainer) prepare() {
	t.update = optim.Averaged{Scaled: optim.Scaled{Optimizer: t.options.Optimizer, Factor: 1}}
	n := t.options.Optimizer.Slots()
	if t.options.Accumulate > 1 {
		t.sum.At = n
		n++
	}
	if t.options.EMA > 0 {
		t.update.At, t.average.at = n, n
		n++
	}
	t.update.Kept, t.sum.Kept = n, n
	if w := t.options.ClassWeights; len(w) > 0 {
		t.weights = &graph.Variable{Value: tensor.FromSlice(append([]float32(nil), w...), len(w)), Name: "class weights"}
	}
}

// plain says that a step is the optimiser's and nothing more.
func (t *Trainer) plain() bool {
	return t.options.Accumulate == 1 && t.options.EMA == 0 && t.options.ClipNorm == 0
}

// add takes in the gradient of the batch that p has run. Its weight is what the loss was
// divided by, so that the mean is that of one large batch.
func (t *Trainer) add(p *program, labels *tensor.Tensor) {
	s := &t.sum
	weight := 0.0
	switch {
	case p.shares == nil && t.weights != nil:
		for _, label := range labels.Ints() {
			weight += float64(t.weights.Value.Data()[label])
		}
	default:
		weight = float64(labels.Shape()[0])
	}
	s.Phase, s.Weight = optim.SumGrows, float32(weight)
	if s.batches == 0 {
		s.Phase = optim.SumBegins
	}
	p.Apply(&s.Sum, 0)
	s.batches++
	s.total += weight
	s.program = p
}

// Flush makes a step of the batches that Step has added up since the last one, at the
// rate lr; without any it does nothing. Its error is that of Step.
func (t *Trainer) Flush(lr float32) error {
	s := &t.sum
	if s.batches == 0 {
		return nil
	}
	s.Phase, s.Weight = optim.SumReplace, float32(1/s.total)
	s.program.Apply(&s.Sum, 0)
	s.batches, s.total = 0, 0
	if !s.program.finite() {
		return errGradient
	}
	t.apply(s.program, lr)
	return nil
}

// apply makes a step of the optimiser with the gradients that p has, which are finite.
func (t *Trainer) apply(p *program, lr float32) {
	if t.plain() {
		p.Step(t.options.Optimizer, lr)
		return
	}
	t.update.Factor = 1
	if limit := t.options.ClipNorm; limit > 0 {
		t.update.Factor = optim.ClipFactor(p.norm(), limit)
	}
	t.update.Rest = t.average.rest(t)
	p.Step(&t.update, lr)
}

var _, _ engine.Updater = (*optim.Averaged)(nil), (*optim.Sum)(nil)

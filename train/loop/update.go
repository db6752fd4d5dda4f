package loop

import (
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/optim"
	"github.com/residual-ml/residual/tensor"
)

// sum adds gradients up, each weighted by its images.
type sum struct {
	optim.Sum
	mean    optim.Sum // puts their mean in the gradient's place
	batches int       // so far
	total   float64   // of the weights
	program *program
}

// prepare lays out the slots.
func (t *Trainer) prepare() {
	t.update = optim.Averaged{Scaled: optim.Scaled{Optimizer: t.options.Optimizer, Factor: 1}}
	n := t.options.Optimizer.Slots()
	if t.options.Accumulate > 1 {
		t.sum.At, t.sum.mean.At, t.sum.mean.Phase = n, n, optim.SumReplace
		n++
	}
	if t.options.EMA > 0 {
		t.update.At, t.average.at = n, n
		n++
	}
	t.update.Kept, t.sum.Kept, t.sum.mean.Kept = n, n, n
	if w := t.options.ClassWeights; len(w) > 0 {
		t.weights = &graph.Variable{Value: tensor.FromSlice(append([]float32(nil), w...), len(w)), Name: "class weights"}
	}
}

// plain says that a step is the optimiser's and nothing more.
func (t *Trainer) plain() bool {
	return t.options.Accumulate == 1 && t.options.EMA == 0 && t.options.ClipNorm == 0
}

// weigh prepares to take in the gradient of a batch. Its weight is what the loss was
// divided by, so that the mean is that of one large batch.
func (t *Trainer) weigh(p *program, labels *tensor.Tensor) (weight float64) {
	s := &t.sum
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
	return weight
}

// add notes that the gradient of the batch that p has run is in the sum.
func (s *sum) add(p *program, weight float64) {
	s.batches++
	s.total += weight
	s.program = p
}

// clear makes the sum that of no batch.
func (s *sum) clear() { s.batches, s.total = 0, 0 }

// Flush makes a step of the batches that Step has added up since the last one, at the
// rate lr; without any it does nothing. Its error is that of Step.
func (t *Trainer) Flush(lr float32) error {
	s := &t.sum
	if s.batches == 0 {
		return nil
	}
	s.mean.Weight = float32(1 / s.total)
	s.program.Apply(&s.mean, 0)
	s.clear()
	if !s.program.finite() {
		return errGradient
	}
	t.apply(s.program, lr)
	return nil
}

// apply makes a step of the optimiser with the gradients that p has, which are finite.
func (t *Trainer) apply(p *program, lr float32) {
	u := t.updater()
	if limit := t.options.ClipNorm; limit > 0 {
		t.update.Factor = optim.ClipFactor(p.norm(), limit)
	}
	p.Step(u, lr)
}

// updater returns the optimiser, with what the options add to its next step.
func (t *Trainer) updater() engine.Updater {
	if t.plain() {
		return t.options.Optimizer
	}
	t.update.Factor, t.update.Rest = 1, t.average.rest(t)
	return &t.update
}

// whole runs p and makes all the passes of its batch as one piece of work, which leaves the
// loss and the hits in t.values, where the device can and nothing is to be read in between.
// of is how many passes there are.
func (t *Trainer) whole(p *program, labels *tensor.Tensor, lr float32) (made, of int, ok bool) {
	if _, able := p.Device().(engine.Stepper); !able || t.first != nil {
		return 0, 0, false
	}
	s, passes, weight := &t.sum, t.passes[:0], 0.0
	due := s.batches+1 == t.options.Accumulate
	if t.options.Accumulate > 1 {
		weight = t.weigh(p, labels)
		passes = append(passes, engine.Pass{Updater: &s.Sum})
		if due {
			s.mean.Weight = float32(1 / (s.total + weight))
			passes = append(passes, engine.Pass{Updater: &s.mean})
		}
	}
	if due {
		passes = append(passes, engine.Pass{Updater: t.updater(), LR: lr, Clip: t.options.ClipNorm, Counts: true})
	}
	t.passes = passes
	if made, ok = p.Train(int64(t.steps), passes, p.read, t.values[:], t.takeMeanwhile()); !ok {
		return 0, 0, false
	}
	switch {
	case made > 1:
		s.clear()
	case made == 1 && t.options.Accumulate > 1:
		s.add(p, weight)
	}
	return made, len(passes), true
}

var _, _ engine.Updater = (*optim.Averaged)(nil), (*optim.Sum)(nil)

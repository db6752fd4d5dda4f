package train

import (
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/optim"
	"github.com/residual-ml/residual/tensor"
)

// update is a step of the optimiser with what the options add to it. Its slots are the
// optimiser's, then a sum of gradients, then an average of the weights, where they are
// kept.
type update struct {
	optim.Scaled
	slots int
	at    int     // the slot of the average
	rest  float32 // the share of the weights that it takes in; 0: none is kept
}

// Slots returns the optimiser's and those beside them.
func (u *update) Slots() int { return u.slots }

// Update implements engine.Updater. A buffer has no gradient, and is only averaged.
func (u *update) Update(param, grad []float32, slots [][]float32, lr float32, step int) {
	if len(grad) > 0 {
		u.Scaled.Update(param, grad, slots[:u.Scaled.Slots()], lr, step)
	}
	if u.rest > 0 {
		mean, keep := slots[u.at][:len(param)], 1-u.rest
		for i, v := range param {
			mean[i] = float32(keep*mean[i]) + float32(u.rest*v)
		}
	}
}

// sum adds gradients up in a slot, each weighted by its pictures, and then puts their
// mean in the gradient's place.
type sum struct {
	slots, at int
	batches   int     // so far
	total     float64 // of the weights
	program   *program

	weight  float32
	release bool
	first   bool
}

// Slots implements engine.Updater.
func (s *sum) Slots() int { return s.slots }

// Update implements engine.Updater.
func (s *sum) Update(_, grad []float32, slots [][]float32, _ float32, _ int) {
	if len(grad) == 0 {
		return
	}
	all := slots[s.at][:len(grad)]
	switch {
	case s.release:
		for i, v := range all {
			grad[i] = v * s.weight
		}
	case s.first:
		for i, g := range grad {
			all[i] = g * s.weight
		}
	default:
		for i, g := range grad {
			all[i] += float32(g * s.weight)
		}
	}
}

// prepare lays out the slots.
func (t *Trainer) prepare() {
	t.update = update{Scaled: optim.Scaled{Optimizer: t.options.Optimizer, Factor: 1}}
	n := t.options.Optimizer.Slots()
	if t.options.Accumulate > 1 {
		t.sum.at = n
		n++
	}
	if t.options.EMA > 0 {
		t.update.at, t.average.at = n, n
		n++
	}
	t.update.slots, t.sum.slots = n, n
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
	s.first, s.release, s.weight = s.batches == 0, false, float32(weight)
	p.Apply(s, 0)
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
	s.release, s.weight = true, float32(1/s.total)
	s.program.Apply(s, 0)
	s.batches, s.total = 0, 0
	return t.apply(s.program, lr)
}

// apply makes a step of the optimiser with the gradients that p has.
func (t *Trainer) apply(p *program, lr float32) error {
	if !p.finite() {
		return errGradient
	}
	if t.plain() {
		p.Step(t.options.Optimizer, lr)
		return nil
	}
	t.update.Factor = 1
	if limit := t.options.ClipNorm; limit > 0 {
		t.update.Factor = optim.ClipFactor(p.norm(), limit)
	}
	t.update.rest = t.average.rest(t)
	p.Step(&t.update, lr)
	return nil
}

var _, _ engine.Updater = (*update)(nil), (*sum)(nil)

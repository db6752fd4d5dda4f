package loop

import (
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/optim"
	"github.com/residual-ml/residual/tensor"
)

// prepare assigns the slots of the optimiser, the sum and the average.
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
	t.update.TotalSlots, t.sum.TotalSlots, t.sum.mean.TotalSlots = n, n, n
	if w := t.options.ClassWeights; len(w) > 0 {
		t.weights = &graph.Variable{Value: tensor.FromSlice(append([]float32(nil), w...), len(w)), Name: "class weights"}
	}
}

// plain reports whether a step consists of the optimiser's update alone.
func (t *Trainer) plain() bool {
	return t.options.Accumulate == 1 && t.options.EMA == 0 && t.options.ClipNorm == 0
}

// weigh prepares the sum for the gradient of a batch and returns the batch's weight. The
// weight is the divisor of the batch's mean loss, so that the mean of the gradients equals
// the gradient of one large batch.
func (t *Trainer) weigh(p *stepProgram, labels *tensor.Tensor) (weight float64) {
	s := &t.sum
	switch {
	case p.softLabels == nil && t.weights != nil:
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

// add records that the sum contains the gradient of the batch that p has computed.
func (s *gradientSum) add(p *stepProgram, weight float64) {
	s.batches++
	s.total += weight
	s.program = p
}

// clear empties the sum.
func (s *gradientSum) clear() { s.batches, s.total = 0, 0 }

// Flush makes an optimiser step at the learning rate lr with the batches that Step has
// accumulated since the last one. If there are none it does nothing. Its errors are those of
// Step.
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

// apply makes an optimiser step with p's gradients, which must be finite.
func (t *Trainer) apply(p *stepProgram, lr float32) {
	u := t.updater()
	if limit := t.options.ClipNorm; limit > 0 {
		t.update.Factor = optim.ClipFactor(p.norm(), limit)
	}
	p.Step(u, lr)
}

// updater returns the optimiser, with the averaging and clipping that the options add to its
// next step.
func (t *Trainer) updater() engine.Updater {
	if t.plain() {
		return t.options.Optimizer
	}
	t.update.Factor, t.update.AverageWeight = 1, t.average.weightFactor(t)
	return &t.update
}

// wholeStep runs p and all passes of its batch without returning to the host in between, and
// stores the loss and the hits in t.values. ok is false if the device cannot do this or the
// gradient must be read in between. made is the number of passes that were made, of of.
func (t *Trainer) wholeStep(p *stepProgram, labels *tensor.Tensor, lr float32) (made, of int, ok bool) {
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

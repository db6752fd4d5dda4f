package loop

import (
	"math"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/optim"
	"github.com/residual-ml/residual/tensor"
)

// prepare assigns the slots of the optimiser, the sum and the average.
func (t *trainee) prepare() {
	t.update = optim.Averaged{Scaled: optim.Scaled{Optimizer: t.options.Optimizer, Factor: 1}}
	n := t.options.Optimizer.Slots()
	if t.options.EMA > 0 {
		t.update.At, t.average.at = n, n
		n++
	}
	if t.options.Lookahead > 0 {
		t.ahead.At = n
		n++
	}
	if t.options.Accumulate > 1 {
		t.sum.At, t.sum.mean.At, t.sum.mean.Phase = n, n, optim.SumReplace
		n++
	}
	t.update.TotalSlots, t.sum.TotalSlots, t.sum.mean.TotalSlots, t.ahead.TotalSlots = n, n, n, n
}

// plain reports whether a step consists of the optimiser's update alone.
func (t *trainee) plain() bool {
	return t.options.Accumulate == 1 && t.options.EMA == 0 && t.options.Lookahead == 0 && t.options.ClipNorm == 0
}

// weigh prepares the sum for the gradient of a batch and returns the batch's weight. The
// weight is the divisor of the batch's mean loss, so that the mean of the gradients equals
// the gradient of one large batch.
func (t *Trainer) weigh(p *stepProgram, labels *tensor.Tensor) (weight float64) {
	switch {
	case p.softLabels == nil && t.weights != nil:
		for _, label := range labels.Ints() {
			weight += float64(t.weights.Value.Data()[label])
		}
	default:
		weight = float64(labels.Shape()[0])
	}
	t.sum.aim(weight)
	return weight
}

// aim prepares the sum for a gradient with this weight.
func (s *gradientSum) aim(weight float64) {
	s.Phase, s.Weight = optim.SumGrows, float32(weight)
	if s.batches == 0 {
		s.Phase = optim.SumBegins
	}
}

// add records that the sum contains the gradient of the batch that p has computed.
func (s *gradientSum) add(p *stepProgram, weight float64) {
	s.batches++
	s.total += weight
	s.program = p
}

// replace replaces the gradients of the last program by factor times the sum, and empties the
// sum.
func (s *gradientSum) replace(factor float64) *stepProgram {
	s.mean.Weight = float32(factor)
	s.program.Apply(&s.mean, 0)
	s.clear()
	return s.program
}

// clear empties the sum.
func (s *gradientSum) clear() { s.batches, s.total = 0, 0 }

// Flush makes an optimiser step at the learning rate lr with the batches that Step has
// accumulated since the last one. If there are none it does nothing. Its errors are those of
// Step.
func (t *Trainer) Flush(lr float32) error {
	if t.sum.batches == 0 {
		return nil
	}
	p := t.sum.replace(1 / t.sum.total)
	if !p.finite() {
		return errGradient
	}
	t.apply(p, lr, 1)
	t.lookAhead(p)
	return nil
}

// apply makes an optimiser step with factor times p's gradients, which must be finite.
func (t *trainee) apply(p *stepProgram, lr, factor float32) {
	u := t.updater(factor)
	if limit := t.options.ClipNorm; limit > 0 {
		t.update.Factor = factor * optim.ClipFactor(p.norm()*math.Abs(float64(factor)), limit)
	}
	p.Step(u, lr)
}

// updater returns the optimiser of factor times the gradients, with the averaging and clipping
// that the options add to its next step.
func (t *trainee) updater(factor float32) engine.Updater {
	if t.plain() && factor == 1 {
		return t.options.Optimizer
	}
	t.update.Factor, t.update.AverageWeight = factor, t.average.weightFactor(t)
	return &t.update
}

// stepInOneCall runs p and all passes of its batch without returning to the host in between, and
// stores the loss and the hits in t.values. ok is false if the device cannot do this or the
// gradient must be read in between. made is the number of passes that were made, of of.
func (t *Trainer) stepInOneCall(p *stepProgram, labels *tensor.Tensor, lr float32) (made, of int, ok bool) {
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
		passes = append(passes, engine.Pass{Updater: t.updater(1), LR: lr, Clip: t.options.ClipNorm, Counts: true})
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

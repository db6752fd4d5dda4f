package loop

// length is the length of a training that is decided while it goes on.
type length struct {
	of    func(batches int) int // nil: Options.Epochs decides
	now   int                   // batches of the whole training, as of asked; 0 before the first question
	asked int                   // batches made at the last question
}

// SetLength makes Fit train for the number of batches that of returns, in place of Options.Epochs.
// Fit asks before every batch, with the number of batches made so far, and the schedule follows
// the latest answer. The last epoch is shorter if the number is not a multiple of Batches. Once an
// answer makes a batch the last, no more follow. An answer that would leave no further batch counts
// as one more. The same answers give the same bits. Call SetLength before Fit.
func (t *Trainer) SetLength(of func(batches int) int) { t.length = length{of: of} }

// all returns the number of batches of the whole training, as far as it is decided.
func (t *Trainer) all() int {
	l := &t.length
	if l.of == nil {
		return t.options.Epochs * t.Batches()
	}
	if l.now == 0 || t.steps != l.asked && t.steps < l.now {
		l.now = max(l.of(t.steps), t.steps+1)
	}
	l.asked = t.steps
	return l.now
}

// batchesOf returns the number of batches of an epoch; 0 or less if the training has no such epoch.
func (t *Trainer) batchesOf(epoch int) int {
	return min(t.Batches(), t.all()-(epoch-1)*t.Batches())
}

// rate returns the learning rate of the optimiser's next step.
func (t *Trainer) rate() float32 {
	each, all := t.options.Accumulate, t.all()
	steps := all / t.Batches() * up(t.Batches(), each)
	return t.options.Schedule.LR(t.store.Step()+1, steps+up(all%t.Batches(), each))
}

// up divides and rounds up.
func up(n, by int) int { return (n + by - 1) / by }

package loop

import (
	"math"
	"slices"

	"github.com/residual-ml/residual/nn"
)

// lookaheadEvery is the number of steps between two of Options.Lookahead, and lookaheadStart the share of
// the training before the first.
const (
	lookaheadEvery = 5
	lookaheadStart = 0.3
)

// lookAhead does what Options.Lookahead says after a step of the optimiser by p.
func (t *Trainer) lookAhead(p *stepProgram) {
	step, l := t.store.Step(), &t.ahead
	if t.options.Lookahead == 0 || step == l.looked {
		return
	}
	l.looked = step
	epoch := (t.Batches() + t.options.Accumulate - 1) / t.options.Accumulate
	total := t.options.Epochs * epoch
	if float64(step) <= float64(lookaheadStart*float64(total)) {
		return
	}
	if step%lookaheadEvery == 0 {
		l.Weight = 1
		if l.begun {
			done := min(float64(step)/float64(total), 1)
			l.Weight = float32(1 - float64(math.Pow(t.options.Lookahead, lookaheadEvery)*math.Pow(done, 3)))
		}
		l.begun = true
		p.Apply(&l.Lookahead, 0)
	}
	if l.begun && step%epoch == 0 {
		l.Weight = 0
		p.Apply(&l.Lookahead, 0)
	}
}

// restoreLookahead continues after a step in the middle of the training. States are saved at the end
// of an epoch, when the slow weights are the trained values.
func (t *Trainer) restoreLookahead() error {
	l, step := &t.ahead, t.store.Step()
	epoch := (t.Batches() + t.options.Accumulate - 1) / t.options.Accumulate
	l.looked = step
	first := int(lookaheadStart*float64(t.options.Epochs*epoch)) + 1 // the first step that may be due
	l.begun = t.options.Lookahead > 0 && step >= (first+lookaheadEvery-1)/lookaheadEvery*lookaheadEvery
	if !l.begun {
		return nil
	}
	for _, p := range nn.Named(t.module) {
		if slices.Contains(t.average.seen, p.Variable) || slices.ContainsFunc(t.trained, func(q nn.NamedParameter) bool { return q.Variable == p.Variable }) {
			if err := t.store.SetSlot(p.Variable, l.At, p.Value); err != nil {
				return err
			}
		}
	}
	return nil
}

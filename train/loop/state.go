package loop

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/tensor"
)

// State is the complete state of a training after an epoch. A Trainer with the same module,
// data and options that restores it continues with the same bits. The random generators have
// no state to save: they depend only on the seed, the epoch and the step.
type State struct {
	Totals         // of the epochs so far
	OptimizerSteps int

	Values   []tensor.Named // trained values of parameters and buffers, under their names
	Slots    []tensor.Named // the optimiser's state buffers of every parameter, under SlotName
	Averages []tensor.Named // moving averages of Values, with Options.EMA
}

// SlotName returns the name of the optimiser's state buffer i of a parameter.
func SlotName(parameter string, i int) string { return parameter + "." + strconv.Itoa(i) }

// State returns the state of the training. Its tensors may be the module's own and are valid
// until the next step. State returns an error if batches have been accumulated that have not
// made a step yet (see Options.Accumulate), or if the device failed.
func (t *Trainer) State() (State, error) {
	s, err := t.state()
	s.Totals = t.totals
	s.Steps = t.steps
	return s, err
}

// Restore continues from state s. It also sets the module's values. The error names what is
// missing in s; after an error the Trainer must not be used.
func (t *Trainer) Restore(s State) error {
	if err := t.restore(s); err != nil {
		return err
	}
	t.past, t.totals = s.Totals, s.Totals
	return t.restoreLookahead()
}

// state returns the trained values, the optimiser's state and the averages, without Totals.
func (t *trainee) state() (State, error) {
	if t.sum.batches > 0 {
		return State{}, errors.New("the training is in the middle of a step of several batches; call Flush before State")
	}
	if !t.average.stand { // while the module holds the averages, the trained values have been read already
		t.store.Pull()
	}
	s := State{OptimizerSteps: t.store.Step(), Values: t.trainedValues(), Slots: t.slots(), Averages: t.averages()}
	s.Steps = t.steps
	return s, t.store.Device().Err()
}

// restore continues from state s. After an error the trainee must not be used.
func (t *trainee) restore(s State) error {
	if err := nn.LoadStateDict(t.module, byName(s.Values)); err != nil {
		return err
	}
	t.store.Push()
	used, slots := 0, byName(s.Slots)
	for _, p := range t.trained {
		for i := range t.options.Optimizer.Slots() {
			v := slots[SlotName(p.Name, i)]
			if v == nil || v.DType() != tensor.Float32 {
				return fmt.Errorf("no state of the optimiser %s for parameter %s", t.options.Optimizer.Name(), p.Name)
			}
			if err := t.store.SetSlot(p.Variable, i, v); err != nil {
				return err
			}
			used++
		}
	}
	if used != len(slots) {
		return fmt.Errorf("%d buffers of an optimiser, where %s has %d", len(slots), t.options.Optimizer.Name(), used)
	}
	if err := t.average.restore(t, byName(s.Averages)); err != nil {
		return err
	}
	t.steps = s.Steps
	t.store.SetStep(s.OptimizerSteps)
	return nil
}

// slots returns copies of the optimiser's state buffers.
func (t *trainee) slots() []tensor.Named {
	var all []tensor.Named
	for _, p := range t.trained {
		for i := range t.options.Optimizer.Slots() {
			if v := t.store.Slot(p.Variable, i); v != nil {
				all = append(all, tensor.Named{Name: SlotName(p.Name, i), Tensor: v})
			}
		}
	}
	return all
}

func byName(all []tensor.Named) map[string]*tensor.Tensor {
	m := make(map[string]*tensor.Tensor, len(all))
	for _, n := range all {
		m[n.Name] = n.Tensor
	}
	return m
}

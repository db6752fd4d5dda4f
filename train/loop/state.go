package loop

import (
	"strconv"

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

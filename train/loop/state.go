package loop

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/tensor"
)

// State is all that a training has become by the end of an epoch. A Trainer of the same
// module, data and options that is given it goes on to the same bits. The random streams
// have no state of their own: they follow from the seed, the epoch and the step.
type State struct {
	Totals         // of the epochs so far
	OptimizerSteps int

	Values   []tensor.Named // parameters and buffers as trained, under their names
	Slots    []tensor.Named // what the optimiser keeps of every parameter, under SlotName
	Averages []tensor.Named // moving averages of Values, with Options.EMA
}

// SlotName is the name of buffer i that an optimiser keeps of a parameter.
func SlotName(parameter string, i int) string { return parameter + "." + strconv.Itoa(i) }

// State reads the state. Values and averages are the module's own tensors or copies, and
// valid until the next step. It is an error in the middle of an epoch, when batches are
// still to make a step (see Options.Accumulate), or when the device failed.
func (t *Trainer) State() (State, error) {
	if t.sum.batches > 0 {
		return State{}, errors.New("the state of a training in the middle of a step of several batches; call Flush first")
	}
	if !t.average.stand { // while averages stand in the module, the device has been read already
		t.store.Pull()
	}
	s := State{
		Totals: t.totals, OptimizerSteps: t.store.Step(),
		Values: t.trainedValues(), Slots: t.slots(), Averages: t.averages(),
	}
	s.Steps = t.steps
	return s, t.store.Device().Err()
}

// Restore makes the training what it was when s was read, the module's values included. An
// error names what s lacks, and leaves a Trainer that must not be used.
func (t *Trainer) Restore(s State) error {
	if err := nn.LoadStateDict(t.module, byName(s.Values)); err != nil {
		return err
	}
	t.store.Push()
	used, slots := 0, byName(s.Slots)
	for _, p := range t.trained {
		for i := range t.options.Optimizer.Slots() {
			v := slots[SlotName(p.Name, i)]
			if v == nil || v.DType() != tensor.Float32 {
				return fmt.Errorf("nothing of the optimiser %s for parameter %s", t.options.Optimizer.Name(), p.Name)
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
	t.past, t.totals = s.Totals, s.Totals
	return nil
}

// slots lists copies of what the optimiser keeps.
func (t *Trainer) slots() []tensor.Named {
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

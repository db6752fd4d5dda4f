package loop

import (
	"errors"
	"fmt"
	"math"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/optim"
	"github.com/residual-ml/residual/tensor"
)

// trainee is a module in training on a device: its parameters, the state of the optimiser, and
// the update that a step makes. Trainer and Stepper are built on it.
type trainee struct {
	module  nn.Module
	options Options
	store   *engine.Store
	steps   int // batches that the module was trained on
	scalar  *tensor.Tensor

	trained   []nn.NamedParameter // the parameters that are not frozen and that the loss reaches
	unreached []nn.NamedParameter // those that it does not reach
	compiled  bool                // a step was compiled, so both are known
	frozen    []*graph.Variable   // frozen parameters and buffers
	rates     map[*graph.Variable]float32
	update    optim.Averaged // the optimiser with clipping and averaging
	sum       gradientSum
	average   average
}

// enrol begins the training of m on dev with options that are checked and resolved.
func enrol(dev engine.Device, m nn.Module, o Options) (trainee, error) {
	nn.Named(m) // gives parameters the names that errors use
	t := trainee{module: m, options: o, store: engine.NewStore(dev), scalar: tensor.New()}
	err := t.choose()
	t.prepare()
	return t, err
}

// compile compiles the training step of the loss p.loss in g. With hold, the running statistics
// change in Program.Assign.
func (t *trainee) compile(p *stepProgram, g *graph.Graph, hold bool) error {
	updates, err := t.updates(g, p.loss)
	if err != nil {
		return err
	}
	p.Program, err = engine.Compile(g, t.store, engine.Spec{
		Outputs: p.read, Updates: updates, Precision: t.options.Precision, Recompute: t.options.Recompute, Hold: hold,
	})
	if err != nil {
		return err
	}
	p.finite, p.gradients = p.Finite(), withGradients(updates)
	if t.options.ClipNorm > 0 {
		p.norm = p.Norm(p.gradients)
	}
	return nil
}

// updates pairs the trained parameters with their gradients, and adds the buffers that are
// averaged. With the first step it finds the parameters that the loss does not reach: they are
// not trained.
func (t *trainee) updates(g *graph.Graph, loss *graph.Node) ([]engine.Update, error) {
	updates, without := pair(g, loss, t.trained)
	switch {
	case len(updates) == 0:
		return nil, fmt.Errorf("the loss depends on no parameter of %s; use them in Forward, and the outputs in the loss", nn.Class(t.module))
	case len(without) > 0 && t.compiled:
		return nil, fmt.Errorf("the loss does not depend on parameter %s for batches of this size, and for others it does; use it in Forward for all", without[0].Name)
	case len(without) > 0:
		t.leave(without)
	}
	t.compiled = true
	for i, u := range updates {
		updates[i].Rate = t.rates[u.Variable]
	}
	if t.options.EMA > 0 {
		for _, b := range t.average.buffers(g) {
			updates = append(updates, engine.Update{Variable: b})
		}
	}
	return updates, nil
}

// leave takes parameters that the loss does not reach out of the training.
func (t *trainee) leave(without []nn.NamedParameter) {
	t.unreached = without
	left := map[*graph.Variable]bool{}
	for _, p := range without {
		left[p.Variable] = true
	}
	var trained []nn.NamedParameter
	for _, p := range t.trained {
		if !left[p.Variable] {
			trained = append(trained, p)
		}
	}
	t.trained = trained
}

// Unreached lists the parameters on which the loss does not depend, by their names. They are
// left alone: no step, no weight decay and no momentum changes them.
func (t *trainee) Unreached() (names []string) {
	for _, p := range t.unreached {
		names = append(names, p.Name)
	}
	return names
}

// Store returns the store that holds the parameters on the device.
func (t *trainee) Store() *engine.Store { return t.store }

// loss runs p and returns its loss, or ErrNotFinite with a loss that is NaN or infinite.
func (t *trainee) lossOf(p *stepProgram) (float64, error) {
	p.Read(p.loss, t.scalar)
	if err := t.store.Device().Err(); err != nil {
		return math.NaN(), err
	}
	loss := float64(t.scalar.Data()[0])
	if !finite(loss) {
		return loss, ErrNotFinite
	}
	return loss, nil
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
			switch {
			case v != nil:
				used++
			case s.OptimizerSteps == 0: // the state is from before the first step
				v = tensor.New(p.Value.Shape()...)
			}
			if v == nil || v.DType() != tensor.Float32 {
				return fmt.Errorf("no state of the optimiser %s for parameter %s", t.options.Optimizer.Name(), p.Name)
			}
			if err := t.store.SetSlot(p.Variable, i, v); err != nil {
				return err
			}
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

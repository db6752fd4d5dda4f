package loop

import (
	"fmt"
	"slices"

	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/tensor"
)

// buffers lists the buffers that g assigns, in the order of their first assignment.
func (a *average) buffers(g *graph.Graph) (list []*graph.Variable) {
	for _, s := range g.Assignments {
		if !slices.Contains(list, s.Variable) {
			list = append(list, s.Variable)
		}
	}
	a.seen = list
	return list
}

// begin chooses the averaged variables and starts every average from the initial weights.
func (a *average) begin(t *trainee) error {
	if t.options.EMA == 0 {
		return nil
	}
	a.other = map[*graph.Variable]*tensor.Tensor{}
	for _, p := range nn.Named(t.module) {
		averaged := slices.Contains(a.seen, p.Variable) || slices.ContainsFunc(t.trained, func(q nn.NamedParameter) bool { return q.Variable == p.Variable })
		if !averaged {
			continue
		}
		a.of = append(a.of, p)
	}
	return a.start(t)
}

// start sets every average to the host's value of its variable.
func (a *average) start(t *trainee) error {
	for _, p := range a.of {
		if err := t.store.SetSlot(p.Variable, a.at, p.Value); err != nil {
			return err
		}
	}
	return nil
}

// weightFactor is the factor 1-d of the weights in the average after the next step: see
// Options.EMA.
func (a *average) weightFactor(t *trainee) float32 {
	if t.options.EMA == 0 {
		return 0
	}
	n := float64(t.store.Step() + 1)
	return float32(1 - min(t.options.EMA, (1+n)/(10+n)))
}

// use replaces the trained values by the averages, in the module and on the device. The
// module must hold the trained values. back restores the trained values on the device; the
// module keeps the averages until the next Pull.
func (a *average) use(t *trainee) (back func()) {
	if len(a.of) == 0 {
		return func() {}
	}
	for _, p := range a.of {
		a.other[p.Variable] = t.store.Slot(p.Variable, a.at)
	}
	a.exchange()
	t.store.Push()
	a.stand = true
	return func() {
		a.exchange()
		t.store.Push()
		a.exchange()
		clear(a.other)
		a.stand = false
	}
}

// exchange swaps the module's values with those in other.
func (a *average) exchange() {
	for _, p := range a.of {
		mine, other := p.Value.Data(), a.other[p.Variable].Data()
		for i, v := range mine {
			mine[i], other[i] = other[i], v
		}
	}
}

// trainedValues returns the module's state dict with the trained values, even while the
// module holds the averages.
func (t *trainee) trainedValues() []tensor.Named {
	var all []tensor.Named
	for _, p := range nn.Named(t.module) {
		v := p.Value
		if raw := t.average.other[p.Variable]; raw != nil {
			v = raw
		}
		all = append(all, tensor.Named{Name: p.Name, Tensor: v})
	}
	return all
}

// averages lists the averages under the names of their variables. The tensors are copies,
// or the module's own while the module holds the averages.
func (t *trainee) averages() (all []tensor.Named) {
	for _, p := range t.average.of {
		v := p.Value
		if !t.average.stand {
			v = t.store.Slot(p.Variable, t.average.at)
		}
		all = append(all, tensor.Named{Name: p.Name, Tensor: v})
	}
	return all
}

// restore sets the averages to those of a saved state.
func (a *average) restore(t *trainee, saved map[string]*tensor.Tensor) error {
	if len(saved) != len(a.of) {
		return fmt.Errorf("%d averages of weights, where there are %d", len(saved), len(a.of))
	}
	for _, p := range a.of {
		v := saved[p.Name]
		if v == nil || v.DType() != tensor.Float32 {
			return fmt.Errorf("no average of %s", p.Name)
		}
		if err := t.store.SetSlot(p.Variable, a.at, v); err != nil {
			return err
		}
	}
	return nil
}

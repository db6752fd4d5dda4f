package loop

import (
	"fmt"
	"slices"

	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/tensor"
)

// average keeps the moving averages of what is trained and of the buffers that move with
// it, in a slot beside each.
type average struct {
	at    int                                // the slot
	of    []nn.NamedParameter                // nil: none are kept
	other map[*graph.Variable]*tensor.Tensor // the values as trained, while averages stand in for them
	stand bool                               // they do
	seen  []*graph.Variable
}

// buffers lists the buffers that g writes, in the order of their first assignment.
func (a *average) buffers(g *graph.Graph) (list []*graph.Variable) {
	for _, s := range g.Assignments {
		if !slices.Contains(list, s.Variable) {
			list = append(list, s.Variable)
		}
	}
	a.seen = list
	return list
}

// begin chooses what is averaged, and starts every average from the first weights.
func (a *average) begin(t *Trainer) error {
	if t.options.EMA == 0 {
		return nil
	}
	a.other = map[*graph.Variable]*tensor.Tensor{}
	for _, p := range nn.Named(t.module) {
		kept := slices.Contains(a.seen, p.Variable) || slices.ContainsFunc(t.trained, func(q nn.NamedParameter) bool { return q.Variable == p.Variable })
		if !kept {
			continue
		}
		a.of = append(a.of, p)
	}
	return a.start(t)
}

// start makes every average the host's value of what it is of.
func (a *average) start(t *Trainer) error {
	for _, p := range a.of {
		if err := t.store.SetSlot(p.Variable, a.at, p.Value); err != nil {
			return err
		}
	}
	return nil
}

// rest is the share of the weights that the next step's average takes in: see
// Options.EMA.
func (a *average) rest(t *Trainer) float32 {
	if t.options.EMA == 0 {
		return 0
	}
	n := float64(t.store.Step() + 1)
	return float32(1 - min(t.options.EMA, (1+n)/(10+n)))
}

// use puts the averages in the place of the values as trained, in the module, which has
// those, and on the device. back puts these back on the device; the module keeps the averages
// until it is pulled next.
func (a *average) use(t *Trainer) (back func()) {
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

// exchange exchanges the module's values with the others.
func (a *average) exchange() {
	for _, p := range a.of {
		mine, other := p.Value.Data(), a.other[p.Variable].Data()
		for i, v := range mine {
			mine[i], other[i] = other[i], v
		}
	}
}

// trainedValues is the module's state dict with the values as trained, whatever stands in
// for them.
func (t *Trainer) trainedValues() []tensor.Named {
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

// averages lists the averages, by the names of what they are of: copies, or the module's
// own values while these are they.
func (t *Trainer) averages() (all []tensor.Named) {
	for _, p := range t.average.of {
		v := p.Value
		if !t.average.stand {
			v = t.store.Slot(p.Variable, t.average.at)
		}
		all = append(all, tensor.Named{Name: p.Name, Tensor: v})
	}
	return all
}

// restore takes the averages of a saved state.
func (a *average) restore(t *Trainer, saved map[string]*tensor.Tensor) error {
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

package loop

import (
	"fmt"
	"math"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/internal/number"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/tensor"
)

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
		if factor := t.options.NormBiasRate; factor != 0 && t.normBias[u.Variable] {
			updates[i].Gradient = u.Gradient.Scale(factor)
		}
	}
	if t.options.EMA > 0 || t.options.Lookahead > 0 {
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

// withGradients lists the updates that have a gradient.
func withGradients(updates []engine.Update) (list []int) {
	for i, u := range updates {
		if u.Gradient != nil {
			list = append(list, i)
		}
	}
	return list
}

// lossOf returns the loss of p's last run, with ErrNotFinite if it is NaN or infinite.
func (t *trainee) lossOf(p *stepProgram) (float64, error) {
	p.Read(p.loss, t.scalar)
	if err := t.store.Device().Err(); err != nil {
		return math.NaN(), err
	}
	loss := float64(t.scalar.Data()[0])
	if !number.Finite(loss) {
		return loss, ErrNotFinite
	}
	return loss, nil
}

package loop

import (
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
	normBias  map[*graph.Variable]bool // the biases of batch norms
	update    optim.Averaged           // the optimiser with clipping and averaging
	sum       gradientSum
	average   average
	ahead     lookahead
}

// average maintains the moving averages of Options.EMA, of trained parameters and of the
// buffers that change with them, in a slot of each variable.
type average struct {
	at    int                                // index of the slot
	of    []nn.NamedParameter                // the averaged variables; nil without Options.EMA
	other map[*graph.Variable]*tensor.Tensor // the trained values, while stand is true
	stand bool                               // the module and the device hold the averages instead of the trained values
	seen  []*graph.Variable                  // the last result of buffers
}

// lookahead is the state of Options.Lookahead. The slow weights are in a slot of each variable.
type lookahead struct {
	optim.Lookahead
	begun  bool // the slots hold the slow weights
	looked int  // the last step of the optimiser after which it was due, or was not
}

// gradientSum accumulates the gradients of several batches, each with a weight that depends
// on its images.
type gradientSum struct {
	optim.Sum
	mean    optim.Sum // replaces the gradient by the mean
	batches int       // number of batches so far
	total   float64   // sum of the weights
	program *stepProgram
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

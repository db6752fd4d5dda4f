// Package optim holds optimisers and learning-rate schedules. They are plain
// values without state: an optimiser's buffers belong to the caller, who can
// save them, and a schedule is a function of the step.
package optim

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// Optimizer updates parameters from their gradients.
type Optimizer interface {
	// Name is the word of the command line, such as sgd.
	Name() string

	// Slots returns how many state buffers, each of the parameter's size and
	// zero at first, the optimiser keeps for a parameter.
	Slots() int

	// Update changes param in place, element by element: it may be called on any
	// piece of a parameter, and on several pieces at once, always with the same
	// piece of grad and of each slot. The step counts from 1, lr is the rate of
	// this step. It panics when the lengths differ or the step is below 1.
	Update(param, grad []float32, slots [][]float32, lr float32, step int)
}

// Config holds the settings of every optimiser New knows; each takes what it has
// a use for. The zero value is plain gradient descent.
type Config struct {
	Momentum    float32 // share of the last step that is kept, 0 for none
	Dampening   float32 // share of the gradient kept out of the momentum
	WeightDecay float32 // L2 penalty, added to the gradient
	Nesterov    bool    // look ahead along the momentum
}

// Names lists the optimisers that New knows.
func Names() []string { return []string{"sgd"} }

// New returns the named optimiser, or an error that names the setting at fault.
func New(name string, c Config) (Optimizer, error) {
	if !slices.Contains(Names(), name) {
		return nil, fmt.Errorf("optimizer %q is not known; choose one of: %s", name, strings.Join(Names(), ", "))
	}
	for _, s := range []struct {
		name  string
		value float32
	}{{"momentum", c.Momentum}, {"weight decay", c.WeightDecay}} {
		if !(s.value >= 0) || math.IsInf(float64(s.value), 1) {
			return nil, fmt.Errorf("%s %v: must be a number of at least 0", s.name, s.value)
		}
	}
	if math.IsNaN(float64(c.Dampening)) || math.IsInf(float64(c.Dampening), 0) {
		return nil, fmt.Errorf("dampening %v: must be a finite number", c.Dampening)
	}
	if c.Nesterov && (c.Momentum == 0 || c.Dampening != 0) {
		return nil, fmt.Errorf("nesterov momentum with momentum %v and dampening %v: needs a momentum above 0 (0.9 is usual) and no dampening",
			c.Momentum, c.Dampening)
	}
	return SGD(c), nil
}

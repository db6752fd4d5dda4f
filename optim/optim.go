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
	// this step. It panics when the lengths differ or the step is below 1. An
	// optimiser with a method Whole that returns true, such as LARS, looks at norms:
	// it is called once a step for each whole parameter.
	Update(param, grad []float32, slots [][]float32, lr float32, step int)
}

// Config holds the settings of every optimiser New knows. The zero value is plain
// gradient descent for sgd, and for the others PyTorch's settings without decay.
type Config struct {
	Momentum     float32 // of sgd and lars: share of the last step that is kept, 0 for none
	Dampening    float32 // of sgd and lars: share of the gradient kept out of the momentum
	WeightDecay  float32 // of sgd and lars an L2 penalty, added to the gradient; of adamw decoupled from it
	Nesterov     bool    // of sgd and lars: look ahead along the momentum
	Beta1, Beta2 float64 // of adamw: shares of the averages that are kept; 0 means 0.9 and 0.999
	Eps          float64 // of adamw and lars: added to what divides; 0 means 1e-8
	Trust        float64 // of lars: the trust coefficient; 0 means 0.001
}

// Names lists the optimisers that New knows.
func Names() []string { return []string{"sgd", "adamw", "lars"} }

// New returns the named optimiser, or an error that names the setting at fault: one
// that cannot be, or one that this optimiser has no use for.
func New(name string, c Config) (Optimizer, error) {
	if !slices.Contains(Names(), name) {
		return nil, fmt.Errorf("optimizer %q is not known; choose one of: %s", name, strings.Join(Names(), ", "))
	}
	if err := c.check(); err != nil {
		return nil, err
	}
	adamw := name == "adamw"
	for _, s := range []struct {
		unused bool
		what   string
	}{
		{adamw && c.Momentum != 0, "momentum"}, {adamw && c.Dampening != 0, "dampening"}, {adamw && c.Nesterov, "nesterov"},
		{!adamw && c.Beta1 != 0, "beta1"}, {!adamw && c.Beta2 != 0, "beta2"},
		{name == "sgd" && c.Eps != 0, "eps"}, {name != "lars" && c.Trust != 0, "trust"},
	} {
		if s.unused {
			return nil, fmt.Errorf("optimizer %s has no setting %s; leave it out", name, s.what)
		}
	}
	switch name {
	case "adamw":
		return AdamW{c.Beta1, c.Beta2, c.Eps, c.WeightDecay}, nil
	case "lars":
		return LARS{c.Momentum, c.Dampening, c.WeightDecay, c.Nesterov, c.Trust, c.Eps}, nil
	}
	return SGD{c.Momentum, c.Dampening, c.WeightDecay, c.Nesterov}, nil
}

func (c Config) check() error {
	for _, s := range []struct {
		name  string
		value float64
		below float64
		words string
	}{
		{"momentum", float64(c.Momentum), math.Inf(1), "a number of at least 0"},
		{"weight decay", float64(c.WeightDecay), math.Inf(1), "a number of at least 0"},
		{"beta1", c.Beta1, 1, "a share from 0 to below 1"},
		{"beta2", c.Beta2, 1, "a share from 0 to below 1"},
		{"eps", c.Eps, math.Inf(1), "a number of at least 0"},
		{"trust", c.Trust, math.Inf(1), "a number of at least 0"},
	} {
		if !(s.value >= 0 && s.value < s.below) {
			return fmt.Errorf("%s %v: must be %s", s.name, float32(s.value), s.words)
		}
	}
	if math.IsNaN(float64(c.Dampening)) || math.IsInf(float64(c.Dampening), 0) {
		return fmt.Errorf("dampening %v: must be a finite number", c.Dampening)
	}
	if c.Nesterov && (c.Momentum == 0 || c.Dampening != 0) {
		return fmt.Errorf("nesterov momentum with momentum %v and dampening %v: needs a momentum above 0 (0.9 is usual) and no dampening",
			c.Momentum, c.Dampening)
	}
	return nil
}

// checkUpdate panics on arguments that no caller of Update may pass.
func checkUpdate(name string, want int, param, grad []float32, slots [][]float32, step int) {
	if len(param) != len(grad) {
		panic(fmt.Sprintf("optim.%s: parameter of %d elements, gradient of %d", name, len(param), len(grad)))
	}
	if len(slots) != want {
		panic(fmt.Sprintf("optim.%s: %d slots, needs %d", name, len(slots), want))
	}
	for _, s := range slots {
		if len(s) != len(grad) {
			panic(fmt.Sprintf("optim.%s: gradient of %d elements, slot of %d", name, len(grad), len(s)))
		}
	}
	if step < 1 {
		panic(fmt.Sprintf("optim.%s: step %d, the first is 1", name, step))
	}
}

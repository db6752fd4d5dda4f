// Package optim provides optimisers and learning rate schedules.
//
//	sgd := optim.SGD{Momentum: 0.9, WeightDecay: 5e-4}
//	schedule := optim.Cosine{Base: 0.1, Warmup: 0.05}
//	...
//	program.Step(sgd, schedule.LR(step, total)) // an engine.Program
//
// Both are values without state: the state buffers of an optimiser (its slots) belong to the
// caller, who can save them, and a schedule is a function of the step.
//
// The important types are Optimizer, with SGD, AdamW and LARS; Schedule, with Constant, Cosine,
// Step and OneCycle; and Scaled, Averaged and Sum, with which package train/loop clips, averages
// and accumulates. New and ParseSchedule make them from the words of the command line.
package optim

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/residual-ml/residual/tensor"
)

// Optimizer updates parameters from their gradients.
type Optimizer interface {
	// Name returns the optimiser's name on the command line, such as sgd.
	Name() string

	// Slots returns the number of state buffers of a parameter. Each has the parameter's
	// size and must be zero at first.
	Slots() int

	// Update makes one step: it changes param in place, element by element. It may be
	// called on any part of a parameter with the same part of grad and of each slot, also
	// on several parts concurrently. step counts from 1, and lr is the learning rate of
	// the step. Update panics if the lengths differ or step is below 1. If the optimiser
	// has a method Whole that returns true, like LARS, Update must be called once per step
	// with each whole parameter.
	Update(param, grad []float32, slots [][]float32, lr float32, step int)
}

// Config holds the settings of all optimisers that New knows. The zero value means plain
// gradient descent for sgd, and PyTorch's defaults without weight decay for the others.
type Config struct {
	Momentum     float32 // sgd and lars: decay of the momentum; 0 means none
	Dampening    float32 // sgd and lars: reduces the gradient's part in the momentum
	WeightDecay  float32 // sgd and lars: L2 penalty, added to the gradient; adamw: decoupled decay
	Nesterov     bool    // sgd and lars: Nesterov momentum
	Beta1, Beta2 float64 // adamw: decay of the averages; 0 means 0.9 and 0.999
	Eps          float64 // adamw and lars: added to the denominator; 0 means 1e-8
	Trust        float64 // lars: trust coefficient; 0 means 0.001
}

// Names lists the optimisers that New knows.
func Names() []string { return []string{"sgd", "adamw", "lars"} }

// New returns the optimiser of that name. The error names a setting that is invalid or that
// this optimiser does not have.
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

// checkUpdate panics if the arguments of Update are invalid.
func checkUpdate(name string, want int, param, grad []float32, slots [][]float32, step int) {
	if len(param) != len(grad) {
		panic(tensor.Misusef("optim.%s: parameter of %d elements, gradient of %d", name, len(param), len(grad)))
	}
	if len(slots) != want {
		panic(tensor.Misusef("optim.%s: %d slots, needs %d", name, len(slots), want))
	}
	for _, s := range slots {
		if len(s) != len(grad) {
			panic(tensor.Misusef("optim.%s: gradient of %d elements, slot of %d", name, len(grad), len(s)))
		}
	}
	if step < 1 {
		panic(tensor.Misusef("optim.%s: step %d, the first is 1", name, step))
	}
}

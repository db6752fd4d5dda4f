package optim

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

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
		{"momentum", float64(c.Momentum), 1, "a number from 0 to below 1, such as 0.9"},
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

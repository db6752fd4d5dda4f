package optim

import (
	"cmp"
	"math"
)

// LARS is SGD with a learning rate that is scaled for every parameter by the ratio of its norm
// to that of its gradient (You, Gitman and Ginsburg, https://arxiv.org/abs/1708.03888), as in
// timm.optim.Lars with always_adapt (timm 0.6.13):
//
//	ratio = Trust*|param| / (|grad| + WeightDecay*|param| + Eps), 1 where either norm is 0
//	g = (grad + WeightDecay*param) * ratio
//
// followed by the momentum and the step of SGD with g. Biases and the parameters of
// normalisations are scaled in the same way.
type LARS struct {
	Momentum    float32
	Dampening   float32
	WeightDecay float32
	Nesterov    bool
	Trust       float64 // 0 means 0.001
	Eps         float64 // 0 means 1e-8
}

// Name returns "lars".
func (o LARS) Name() string { return "lars" }

// Slots returns 1 with momentum, 0 without.
func (o LARS) Slots() int { return o.sgd().Slots() }

func (o LARS) sgd() SGD {
	return SGD{Momentum: o.Momentum, Dampening: o.Dampening, Nesterov: o.Nesterov}
}

// NeedsWholeParameter returns true, since Update needs the norm of a whole parameter.
func (o LARS) NeedsWholeParameter() bool { return true }

// Update implements Optimizer. It must be called with a whole parameter, and overwrites the
// gradient with g.
func (o LARS) Update(param, grad []float32, slots [][]float32, lr float32, step int) {
	checkUpdate("LARS", o.Slots(), param, grad, slots, step)
	ratio := float32(1)
	if p, g := Norm(param), Norm(grad); p > 0 && g > 0 {
		ratio = float32(cmp.Or(o.Trust, 0.001) * p / (g + float64(float64(o.WeightDecay)*p) + cmp.Or(o.Eps, 1e-8)))
	}
	for i, g := range grad {
		grad[i] = (g + float32(o.WeightDecay*param[i])) * ratio
	}
	o.sgd().Update(param, grad, slots, lr, step)
}

// Norm returns the Euclidean norm of all values together, summed in float64 in their order.
func Norm(values ...[]float32) float64 {
	sum := 0.0
	for _, part := range values {
		for _, v := range part {
			sum += float64(float64(v) * float64(v))
		}
	}
	return math.Sqrt(sum)
}

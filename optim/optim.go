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

import "github.com/residual-ml/residual/tensor"

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
	// has a method NeedsWholeParameter that returns true, like LARS, Update must be called once per step
	// with each whole parameter.
	Update(param, grad []float32, slots [][]float32, lr float32, step int)
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

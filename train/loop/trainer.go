// Package loop is the training loop. A Trainer fits a module to a data set, step by step or
// epoch by epoch:
//
//	t, err := loop.New(dev, module, train, test, loop.Options{Epochs: 5})
//	...
//	totals, err := t.Fit(ctx, loop.Events{OnEpoch: show}, nil)
//
// The package works on modules, data sets and devices in memory; package train adds files,
// folders and settings.
//
// The important types are:
//
//   - Options, the settings of a training; the zero value is usable;
//   - Trainer: Fit runs whole epochs, State and Restore save and restore the complete state of a
//     training, and Measure estimates its duration before it starts;
//   - Stepper, which Compile makes: Forward, Backward and Step for a loop of your own;
//   - Events, functions that Fit calls while it trains;
//   - Epoch and Totals, the results of an epoch and of a training.
package loop

import (
	"errors"
	"fmt"
	"math"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/inference/forward"
	"github.com/residual-ml/residual/tensor"
)

// Trainer fits a module to a data set by minimising a loss: for classes the mean cross-entropy
// of its logits, for labels, values and masks the one of forward.LossFor, or Options.Loss. It
// must be used by one goroutine at a time. Fit updates the module's host values; after Step,
// call Store().Pull() to update them.
type Trainer struct {
	trainee
	programs map[batchKind]*stepProgram
	dataset  data.Dataset // the training set
	testset  data.Dataset // nil without one
	loader   *data.Loader
	tests    *data.Loader // nil without a test set
	runner   *forward.Runner
	input    tensor.Shape   // shape of one image
	past     Totals         // the totals with which Fit begins
	totals   Totals         // the totals so far
	first    *tensor.Tensor // gradient of the first trained parameter; nil without Options.GradientNorm

	weights *graph.Variable // class weights; nil without Options.ClassWeights
	passes  []engine.Pass   // passes of a step, on a device that makes whole steps
	length  length          // of SetLength
	stages  stages          // of Options.Stages, and the last
	sent    []*data.Batch   // uint8 batches that are being copied to the device
	values  [2]float32      // values read after a step: the loss and the hits
	fetch   func()          // work for the host while the device makes the next step (prefetch); may be nil
	teacher *forward.Runner // of Options.Teacher; nil without one
}

// stages are the stages of a training, of which the last has the data set of New.
type stages struct {
	all []Stage
	now int // the one that the loader and the programs belong to
}

// ErrNotFinite is the error of a loss or a gradient that is NaN or infinite, which means that
// the training diverged. The error of Fit says where.
var (
	ErrNotFinite = errors.New("the loss is not finite")
	errGradient  = fmt.Errorf("the loss is, but a gradient is not finite: %w", ErrNotFinite)
)

// takeMeanwhile returns the host's work for the time while the device computes, and clears it
// so that it is done only once.
func (t *Trainer) takeMeanwhile() func() {
	f := t.fetch
	t.fetch = nil
	return f
}

// GradientNorm returns the L2 norm of the gradient of the first trained layer's weight in the
// last batch, or NaN without Options.GradientNorm.
func (t *Trainer) GradientNorm() float64 {
	if t.first == nil {
		return math.NaN()
	}
	sum := 0.0
	for _, v := range t.first.Data() {
		sum += float64(v) * float64(v)
	}
	return math.Sqrt(sum)
}

// SetEpochs changes Options.Epochs, on which the schedule depends. Call it before the first
// step.
func (t *Trainer) SetEpochs(n int) { t.options.Epochs = n }

// Steps returns the number of batches trained on. It includes those before a Restore.
func (t *Trainer) Steps() int { return t.steps }

// Runner returns a runner that evaluates the model with its present weights.
func (t *Trainer) Runner() *forward.Runner { return t.runner }

// Batches returns the number of batches in an epoch. Without Options.Accumulate each of them
// is a step of the optimiser.
func (t *Trainer) Batches() int { return t.loader.Batches() }

// Shared returns the sizes of an epoch's last two batches if they share their images evenly:
// see data.Loader.Shared.
func (t *Trainer) Shared() []int { return t.loader.Shared() }

// Memory returns the planned memory of all programs compiled so far, for training and for
// evaluation.
func (t *Trainer) Memory() engine.Memory {
	sum := t.runner.Memory()
	if t.teacher != nil {
		sum = sum.With(t.teacher.Memory())
	}
	for _, p := range t.programs {
		sum = sum.With(p.Memory())
	}
	return sum
}

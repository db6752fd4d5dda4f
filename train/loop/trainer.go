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
	"slices"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/inference/forward"
	"github.com/residual-ml/residual/nn"
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
	sent    []*data.Batch   // uint8 batches that are being copied to the device
	values  [2]float32      // values read after a step: the loss and the hits
	fetch   func()          // work for the host while the device makes the next step (prefetch); may be nil
	teacher *forward.Runner // of Options.Teacher; nil without one
}

// New prepares a training of m on dev. The training starts from m's present values. test may
// be nil. New compiles the training steps, so it reports shapes and sizes that do not fit
// before the training starts.
func New(dev engine.Device, m nn.Module, train, test data.Dataset, o Options) (*Trainer, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	info := train.Info()
	o = o.resolved(info.Targets.Task, test != nil)
	if err := o.checkTask(info, test != nil); err != nil {
		return nil, err
	}
	t := &Trainer{
		dataset: train, testset: test, programs: map[batchKind]*stepProgram{},
		input: tensor.Shape{info.Channels, info.Height, info.Width}, past: noTotals(), totals: noTotals(),
	}
	var err error
	if t.trainee, err = enrol(dev, m, o); err != nil {
		return nil, err
	}
	if w := o.ClassWeights; len(w) > 0 {
		t.weights = &graph.Variable{Value: tensor.FromSlice(append([]float32(nil), w...), len(w)), Name: "class weights"}
	}
	t.runner = forward.New(m, t.store, o.Precision, forward.Config{Targets: info.Targets, Loss: o.Loss})
	t.loader, err = data.NewLoader(train, data.LoaderConfig{
		Batch: o.Batch, Even: !o.ShortLast, Shuffle: true, Sampler: o.Sampler, Seed: o.Seed, Workers: o.Workers, Transform: o.Transform, Mix: o.Mix, Normalize: o.Normalize, Uint8: engine.TakesUint8(dev),
	})
	if err != nil {
		return nil, err
	}
	if test != nil {
		if err := sameKind(info, test.Info()); err != nil {
			return nil, err
		}
		if t.tests, err = data.NewLoader(test, data.LoaderConfig{Batch: o.Batch, Workers: o.Workers, Normalize: o.Normalize, Uint8: engine.TakesUint8(dev)}); err != nil {
			return nil, err
		}
	}
	if err := t.hire(dev); err != nil {
		return nil, err
	}
	for _, n := range t.loader.Sizes() {
		p, err := t.program(n, o.Mix != nil)
		if err != nil {
			return nil, fmt.Errorf("%s on a batch of %d of the %d images of shape %v: %w", nn.Class(m), n, train.Len(), t.input, err)
		}
		if k := len(info.Classes); t.ofClasses() && k > p.classes {
			return nil, fmt.Errorf("%s tells %d classes apart and %s has %d", nn.Class(m), p.classes, info.Name, k)
		}
	}
	if o.GradientNorm {
		t.first = tensor.New(t.trained[0].Value.Shape()...)
	}
	if test != nil {
		for _, n := range t.tests.Sizes() {
			if err := t.runner.PrepareStored(t.tests.Stored(), n, t.input[0], t.input[1], t.input[2]); err != nil {
				return nil, err
			}
		}
	}
	if err := t.fits(); err != nil {
		return nil, err
	}
	return t, t.average.begin(&t.trainee)
}

// fits returns an error if the training needs more memory than is available. The parameters
// do not count, since they are allocated already.
func (t *Trainer) fits() error {
	m := t.Memory()
	bytes := m.Total() - m.Variables + t.loader.Bytes()
	if t.tests != nil {
		bytes += t.tests.Bytes()
	}
	for _, p := range t.trained {
		bytes += 4 * int64(t.options.Optimizer.Slots()) * int64(p.Value.Numel())
	}
	return engine.Fits(t.store.Device(), bytes)
}

func sameKind(train, test data.Info) error {
	if a, b := train.Targets, test.Targets; a.Task.Named() != b.Task.Named() || !slices.Equal(a.Names, b.Names) || !slices.Equal(a.Shape, b.Shape) {
		return fmt.Errorf("the test images have the %s %q, the training images the %s %q", b.Task.Named(), b.Names, a.Task.Named(), a.Names)
	}
	if train.Channels != test.Channels || train.Height != test.Height || train.Width != test.Width || len(train.Classes) != len(test.Classes) {
		return fmt.Errorf("the test images are [%d, %d, %d] in %d classes, the training images [%d, %d, %d] in %d",
			test.Channels, test.Height, test.Width, len(test.Classes), train.Channels, train.Height, train.Width, len(train.Classes))
	}
	return nil
}

// ErrNotFinite is the error of a loss or a gradient that is NaN or infinite, which means that
// the training diverged. The error of Fit says where.
var (
	ErrNotFinite = errors.New("the loss is not finite")
	errGradient  = fmt.Errorf("the loss is, but a gradient is not finite: %w", ErrNotFinite)
)

// Step trains on one batch at the learning rate lr: images [N, C, H, W] in [0, 1] with labels
// [N], Int64, with soft labels [N, classes], Float32, or with the targets of another task. It
// returns the mean loss and, for classes, the number of correct predictions before the update. With Options.Accumulate, the optimiser
// makes its step with the last of so many batches, or in Flush.
//
// If the loss or a gradient is NaN or infinite, Step returns the loss with ErrNotFinite and
// does not update the parameters. The running statistics are not updated either, unless the
// device makes whole steps, as a GPU does.
func (t *Trainer) Step(images, labels *tensor.Tensor, lr float32) (loss float64, hits int, err error) {
	p, err := t.program(images.Shape()[0], labels.DType() == tensor.Float32)
	if err != nil {
		return 0, 0, err
	}
	if err := p.feed(images, labels); err != nil {
		return 0, 0, err
	}
	if err := t.teach(p, images); err != nil {
		return 0, 0, err
	}
	return t.step(p, labels, lr)
}

// step is Step with the batch that was fed to p.
func (t *Trainer) step(p *stepProgram, labels *tensor.Tensor, lr float32) (loss float64, hits int, err error) {
	made, of, whole := t.wholeStep(p, labels, lr)
	if !whole {
		if err := p.Run(int64(t.steps)); err != nil {
			return math.NaN(), 0, err
		}
		if f := t.takeMeanwhile(); f != nil {
			f()
		}
		for i, n := range p.read {
			p.Read(n, t.scalar)
			t.values[i] = t.scalar.Data()[0]
		}
	}
	if err := t.store.Device().Err(); err != nil {
		return math.NaN(), 0, err
	}
	loss, hits = float64(t.values[0]), int(t.values[1])
	if !finite(loss) {
		return loss, 0, ErrNotFinite
	}
	if t.first != nil {
		p.Gradient(0, t.first)
	}
	switch {
	case whole && made < of:
		err = errGradient
	case whole:
	case t.options.Accumulate > 1:
		if !p.finite() {
			return loss, 0, errGradient // before the gradient of this batch is added to the sum
		}
		p.Assign()
		weight := t.weigh(p, labels)
		p.Apply(&t.sum.Sum, 0)
		if t.sum.add(p, weight); t.sum.batches == t.options.Accumulate {
			err = t.Flush(lr)
		}
	case !p.finite():
		err = errGradient
	default:
		p.Assign() // before the step, which averages the assigned buffers
		t.apply(p, lr, 1)
	}
	if err == nil {
		t.steps++
	}
	return loss, hits, err
}

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

// CheckFreeze returns an error if o.Freeze names a part that m does not have, or leaves nothing
// to train.
func CheckFreeze(m nn.Module, o Options) error {
	t := trainee{module: m, options: o}
	return t.choose()
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

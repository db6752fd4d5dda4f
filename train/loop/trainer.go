// Package loop is the training loop: a Trainer fits a module to a data set, step by step
// or epoch by epoch. It knows a module, data sets and a device, and nothing of files,
// folders, names or flags.
//
//	t, err := loop.New(dev, module, train, test, loop.Options{Epochs: 5})
//	...
//	totals, err := t.Fit(ctx, loop.Events{OnEpoch: show}, nil)
//
// Trainer.Step makes one step for a loop of one's own; Trainer.State and Trainer.Restore
// read and write all that a training has become; Trainer.Measure times it before it starts.
package loop

import (
	"errors"
	"fmt"
	"math"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/inference"
	"github.com/residual-ml/residual/internal/field"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/optim"
	"github.com/residual-ml/residual/tensor"
)

// Trainer fits a module to a data set by the mean cross-entropy of its logits.
// It is for one goroutine. The module's host values are brought up to date by
// Fit, or by Store().Pull() after Step.
type Trainer struct {
	module   nn.Module
	options  Options
	store    *engine.Store
	programs map[kind]*program
	dataset  data.Dataset // trained on
	testset  data.Dataset // nil without one
	loader   *data.Loader
	tests    *data.Loader // nil without a test set
	runner   *inference.Runner
	input    tensor.Shape // of one image
	steps    int
	past     Totals // where Fit begins
	totals   Totals // how far it is
	scalar   *tensor.Tensor
	first    *tensor.Tensor // the gradient of the first parameter; nil unless its norm is asked for

	trained []nn.NamedParameter // the parameters that are not frozen
	frozen  []*graph.Variable   // and buffers with them
	rates   map[*graph.Variable]float32
	weights *graph.Variable // of the classes; nil
	update  optim.Averaged  // a step with what the options add to it
	sum     sum
	passes  []engine.Pass // of a step, where the device makes them with it
	sent    []*data.Batch // on their way to a device that takes images as bytes
	values  [2]float32    // that a step has read: the loss and the hits
	fetch   func()        // what the host is to do while the device makes the next step; may be nil
	average average
}

// New prepares a training of m, whose present values it starts from, on dev. test
// may be nil. The programs are compiled here, so what does not fit is said before
// any work.
func New(dev engine.Device, m nn.Module, train, test data.Dataset, o Options) (*Trainer, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	o = o.resolved()
	if test == nil && o.Metric.needsTest() {
		return nil, field.Errorf("{Metric} %s is of an evaluation, and there is nothing to test on; use accuracy or loss", o.Metric)
	}
	nn.Named(m) // so that messages can name parameters
	info := train.Info()
	t := &Trainer{
		module: m, options: o, dataset: train, testset: test, store: engine.NewStore(dev), programs: map[kind]*program{},
		input: tensor.Shape{info.Channels, info.Height, info.Width}, scalar: tensor.New(),
		past: noTotals(), totals: noTotals(),
	}
	t.runner = inference.NewRunner(m, t.store, o.Precision)
	var err error
	if err = t.choose(); err != nil {
		return nil, err
	}
	if o.GradientNorm {
		t.first = tensor.New(t.trained[0].Value.Shape()...)
	}
	t.prepare()
	t.loader, err = data.NewLoader(train, data.LoaderConfig{
		Batch: o.Batch, Even: !o.ShortLast, Shuffle: true, Seed: o.Seed, Workers: o.Workers, Transform: o.Transform, Mix: o.Mix, Normalize: o.Normalize, Bytes: engine.TakesPictures(dev),
	})
	if err != nil {
		return nil, err
	}
	if test != nil {
		if err := sameKind(info, test.Info()); err != nil {
			return nil, err
		}
		if t.tests, err = data.NewLoader(test, data.LoaderConfig{Batch: o.Batch, Workers: o.Workers, Normalize: o.Normalize, Bytes: engine.TakesPictures(dev)}); err != nil {
			return nil, err
		}
	}
	for _, n := range t.loader.Sizes() {
		p, err := t.program(n, o.Mix != nil)
		if err != nil {
			return nil, fmt.Errorf("%s on a batch of %d of the %d pictures of %v: %w", nn.Class(m), n, train.Len(), t.input, err)
		}
		if k := len(info.Classes); k > p.classes {
			return nil, fmt.Errorf("%s tells %d classes apart and %s has %d", nn.Class(m), p.classes, info.Name, k)
		}
	}
	if test != nil {
		for _, n := range t.tests.Sizes() {
			if err := t.runner.PreparePictures(t.tests.Stored(), n, t.input[0], t.input[1], t.input[2]); err != nil {
				return nil, err
			}
		}
	}
	if err := t.fits(); err != nil {
		return nil, err
	}
	return t, t.average.begin(t)
}

// fits compares the memory that the training is planned to take, beside the parameters
// that are there already, with what is free.
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
	if train.Channels != test.Channels || train.Height != test.Height || train.Width != test.Width || len(train.Classes) != len(test.Classes) {
		return fmt.Errorf("the test pictures are [%d, %d, %d] of %d classes, those for training [%d, %d, %d] of %d",
			test.Channels, test.Height, test.Width, len(test.Classes), train.Channels, train.Height, train.Width, len(train.Classes))
	}
	return nil
}

// ErrNotFinite is a loss or a gradient that is no number: the training diverged. Fit
// says where.
var (
	ErrNotFinite = errors.New("the loss is not finite")
	errGradient  = fmt.Errorf("the loss is, but a gradient is not finite: %w", ErrNotFinite)
)

// Step trains on one batch: images [N, C, H, W] in [0, 1] with labels [N], or with
// shares of the classes [N, classes] Float32, at the rate lr. It returns the mean loss
// and the number of right answers before the update. With Options.Accumulate the
// optimiser's step is made with every so many batches, or by Flush.
//
// When the loss is NaN or infinite it is returned with an error, and so is the loss of a
// gradient that is; the parameters have then not been updated, and where the device makes
// the step in parts, as the CPU does, neither have the running statistics.
func (t *Trainer) Step(images, labels *tensor.Tensor, lr float32) (loss float64, hits int, err error) {
	p, err := t.program(images.Shape()[0], labels.DType() == tensor.Float32)
	if err != nil {
		return 0, 0, err
	}
	if err := p.feed(images, labels); err != nil {
		return 0, 0, err
	}
	return t.step(p, labels, lr)
}

// step is Step of what p was fed.
func (t *Trainer) step(p *program, labels *tensor.Tensor, lr float32) (loss float64, hits int, err error) {
	made, of, whole := t.whole(p, labels, lr)
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
			return loss, 0, errGradient // of this batch, before it is in the sum
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
		p.Assign() // first, for what is averaged
		t.apply(p, lr)
	}
	if err == nil {
		t.steps++
	}
	return loss, hits, err
}

// takeMeanwhile returns what the host is to do while the device computes, once.
func (t *Trainer) takeMeanwhile() func() {
	f := t.fetch
	t.fetch = nil
	return f
}

// GradientNorm returns the L2 norm of the loss's gradient by the weight of the first
// layer that is trained, in the last batch, or NaN when Options did not ask for it.
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

// CheckFreeze reports a part of o.Freeze that m does not have, or that it leaves nothing
// to train.
func CheckFreeze(m nn.Module, o Options) error {
	t := Trainer{module: m, options: o}
	return t.choose()
}

// SetEpochs changes Options.Epochs, by which a schedule goes, before the first step.
func (t *Trainer) SetEpochs(n int) { t.options.Epochs = n }

// Steps is how many batches were trained on, in a restored training with those before.
func (t *Trainer) Steps() int { return t.steps }

// Store holds the parameters on the device.
func (t *Trainer) Store() *engine.Store { return t.store }

// Runner evaluates the model as trained so far.
func (t *Trainer) Runner() *inference.Runner { return t.runner }

// Batches returns the number of batches in an epoch, each of which is a step unless
// Options.Accumulate says otherwise.
func (t *Trainer) Batches() int { return t.loader.Batches() }

// Shared returns the sizes of an epoch's last batches where these share their images: see
// data.Loader.Shared.
func (t *Trainer) Shared() []int { return t.loader.Shared() }

// Memory returns the planned bytes of all programs made so far, for training and
// for evaluation.
func (t *Trainer) Memory() engine.Memory {
	sum := t.runner.Memory()
	for _, p := range t.programs {
		sum = sum.With(p.Memory())
	}
	return sum
}

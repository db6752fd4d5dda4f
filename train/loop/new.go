package loop

import (
	"fmt"
	"slices"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/inference/forward"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/tensor"
)

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
		input: inputOf(train), past: noTotals(), totals: noTotals(),
	}
	var err error
	if t.trainee, err = enrol(dev, m, o); err != nil {
		return nil, err
	}
	if w := o.ClassWeights; len(w) > 0 {
		t.weights = &graph.Variable{Value: tensor.FromSlice(append([]float32(nil), w...), len(w)), Name: "class weights"}
	}
	t.runner = forward.New(m, t.store, o.Precision, forward.Config{Targets: info.Targets, Loss: o.Loss})
	if t.loader, err = t.load(Stage{train, o.Transform}); err != nil {
		return nil, err
	}
	if err := t.setStages(train); err != nil {
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
	if err := t.prepareTeacher(dev); err != nil {
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
			if err := t.runner.PrepareStored(t.tests.Stored(), append(tensor.Shape{n}, inputOf(test)...)...); err != nil {
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
	if train.Channels != test.Channels || len(train.Classes) != len(test.Classes) {
		return fmt.Errorf("the test images have %d channels and are of %d classes, the training images have %d and are of %d",
			test.Channels, len(test.Classes), train.Channels, len(train.Classes))
	}
	return nil
}

// CheckFreeze returns an error if o.Freeze names a part that m does not have, or leaves nothing
// to train.
func CheckFreeze(m nn.Module, o Options) error {
	t := trainee{module: m, options: o}
	return t.choose()
}

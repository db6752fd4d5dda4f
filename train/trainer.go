// Package train trains models: Run is the whole of `residual train`, from
// a Config to a run folder; a Trainer fits any module to any data set.
package train

import (
	"errors"
	"fmt"
	"math"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/inference"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/optim"
	"github.com/residual-ml/residual/tensor"
)

// Options are the settings of a Trainer. Zero values are those of the notes: plain
// gradient descent with rate 0.05, ten epochs in batches of 256.
type Options struct {
	Batch     int
	Epochs    int
	Optimizer optim.Optimizer
	Schedule  optim.Schedule
	Seed      uint64 // of the order of the pictures
	Workers   int    // of the loader; 0 chooses. It never changes a result
	Precision engine.Precision
	Recompute bool // activations, for the gradients: see engine.Spec

	// GradientNorm asks for the norm of the gradient that reaches the first layer;
	// it changes no result.
	GradientNorm bool
}

func (o Options) resolved() Options {
	if o.Batch == 0 {
		o.Batch = 256
	}
	if o.Epochs == 0 {
		o.Epochs = 10
	}
	if o.Optimizer == nil {
		o.Optimizer = optim.SGD{}
	}
	if o.Schedule == nil {
		o.Schedule = optim.Constant{Base: 0.05}
	}
	return o
}

// Trainer fits a module to a data set by the mean cross-entropy of its logits.
// It is for one goroutine. The module's host values are brought up to date by
// Fit, or by Store().Pull() after Step.
type Trainer struct {
	module   nn.Module
	options  Options
	store    *engine.Store
	programs map[int]*program // by batch size
	loader   *data.Loader
	tests    *data.Loader // nil without a test set
	runner   *inference.Runner
	input    tensor.Shape // of one picture
	steps    int
	past     Totals // where Fit begins
	scalar   *tensor.Tensor
	first    *tensor.Tensor // the gradient of the first parameter; nil unless its norm is asked for
}

// program is one training step for one batch size.
type program struct {
	*engine.Program
	images, labels, loss, hits *graph.Node
	classes                    int
}

// New prepares a training of m, whose present values it starts from, on dev. test
// may be nil. The programs are compiled here, so what does not fit is said before
// any work.
func New(dev engine.Device, m nn.Module, train, test data.Dataset, o Options) (*Trainer, error) {
	o = o.resolved()
	if o.Epochs < 0 {
		return nil, fmt.Errorf("%d epochs; train for at least 1 (--epochs)", o.Epochs)
	}
	nn.Named(m) // so that messages can name parameters
	info := train.Info()
	t := &Trainer{
		module: m, options: o, store: engine.NewStore(dev), programs: map[int]*program{},
		input: tensor.Shape{info.Channels, info.Height, info.Width}, scalar: tensor.New(),
		past: Totals{Loss: math.NaN(), Accuracy: math.NaN(), TestAccuracy: math.NaN(), BestAccuracy: math.NaN()},
	}
	t.runner = inference.NewRunner(m, t.store, o.Precision)
	if ps := nn.Parameters(m); o.GradientNorm && len(ps) > 0 {
		t.first = tensor.New(ps[0].Value.Shape()...)
	}
	var err error
	t.loader, err = data.NewLoader(train, data.LoaderConfig{Batch: o.Batch, Shuffle: true, Seed: o.Seed, Workers: o.Workers})
	if err != nil {
		return nil, err
	}
	if test != nil {
		if err := sameKind(info, test.Info()); err != nil {
			return nil, err
		}
		if t.tests, err = data.NewLoader(test, data.LoaderConfig{Batch: o.Batch, Workers: o.Workers}); err != nil {
			return nil, err
		}
	}
	for _, n := range batchSizes(train, o.Batch) {
		p, err := t.program(n)
		if err != nil {
			return nil, fmt.Errorf("%s on a batch of %d of the %d pictures of %v: %w", nn.Class(m), n, train.Len(), t.input, err)
		}
		if k := len(info.Classes); k > p.classes {
			return nil, fmt.Errorf("%s tells %d classes apart and %s has %d", nn.Class(m), p.classes, info.Name, k)
		}
	}
	if test != nil {
		for _, n := range batchSizes(test, o.Batch) {
			if err := t.runner.Prepare(n, t.input[0], t.input[1], t.input[2]); err != nil {
				return nil, err
			}
		}
	}
	return t, nil
}

// batchSizes lists the sizes of an epoch's batches: the full one, and what the
// last one may hold instead.
func batchSizes(ds data.Dataset, batch int) []int {
	full := min(batch, ds.Len())
	if rest := ds.Len() % full; rest > 0 {
		return []int{full, rest}
	}
	return []int{full}
}

func sameKind(train, test data.Info) error {
	if train.Channels != test.Channels || train.Height != test.Height || train.Width != test.Width || len(train.Classes) != len(test.Classes) {
		return fmt.Errorf("the test pictures are [%d, %d, %d] of %d classes, those for training [%d, %d, %d] of %d",
			test.Channels, test.Height, test.Width, len(test.Classes), train.Channels, train.Height, train.Width, len(train.Classes))
	}
	return nil
}

// program returns the training step for n pictures.
func (t *Trainer) program(n int) (*program, error) {
	if p := t.programs[n]; p != nil {
		return p, nil
	}
	g := graph.New(graph.Train)
	p := &program{
		images: g.Input("images", tensor.Float32, n, t.input[0], t.input[1], t.input[2]),
		labels: g.Input("labels", tensor.Int64, n),
	}
	logits, err := engine.Trace(t.module.Forward, p.images)
	if err != nil {
		return nil, err
	}
	if len(logits.Shape) != 2 || logits.Shape[0] != n {
		return nil, fmt.Errorf("%s gives %v, where a classifier gives [N, classes]", nn.Class(t.module), logits.Shape)
	}
	p.classes = logits.Shape[1]
	p.loss = nn.CrossEntropyLoss{}.Forward(logits, p.labels)
	p.hits = g.Apply(graph.CountCorrect{}, logits, p.labels)
	params := nn.Parameters(t.module)
	if len(params) == 0 {
		return nil, fmt.Errorf("%s has no parameters to train", nn.Class(t.module))
	}
	var leaves []*graph.Node
	for _, q := range params {
		leaves = append(leaves, g.Variable(q.Variable))
	}
	var updates []engine.Update
	for i, grad := range graph.Gradients(p.loss, leaves) {
		if grad == nil {
			return nil, fmt.Errorf("the loss does not depend on parameter %s; leave it out of the module or use it in Forward", params[i].Name)
		}
		updates = append(updates, engine.Update{Variable: params[i].Variable, Gradient: grad})
	}
	p.Program, err = engine.Compile(g, t.store, engine.Spec{Outputs: []*graph.Node{p.loss, p.hits}, Updates: updates, Precision: t.options.Precision, Recompute: t.options.Recompute})
	if err != nil {
		return nil, err
	}
	t.programs[n] = p
	return p, nil
}

// ErrNotFinite is a loss that is no number: the training diverged. Fit says where.
var ErrNotFinite = errors.New("the loss is not finite")

// Step makes one step on images [N, C, H, W] in [0, 1] with labels [N], at the
// rate lr, and returns the mean loss and the number of right answers before the
// update. When the loss is NaN or infinite it returns it with an error and has
// not updated the parameters.
func (t *Trainer) Step(images, labels *tensor.Tensor, lr float32) (loss float64, hits int, err error) {
	p, err := t.program(images.Shape()[0])
	if err != nil {
		return 0, 0, err
	}
	for i, label := range labels.Ints() {
		if label < 0 || label >= int64(p.classes) {
			return 0, 0, fmt.Errorf("label %d of picture %d in the batch is outside 0..%d, the model's classes", label, i, p.classes-1)
		}
	}
	if err := p.Feed(p.images, images); err != nil {
		return 0, 0, err
	}
	if err := p.Feed(p.labels, labels); err != nil {
		return 0, 0, err
	}
	p.Run(int64(t.steps))
	p.Read(p.loss, t.scalar)
	loss = float64(t.scalar.Data()[0])
	if !finite(loss) {
		return loss, 0, ErrNotFinite
	}
	if t.first != nil {
		p.Gradient(0, t.first)
	}
	p.Read(p.hits, t.scalar)
	t.steps++
	p.Step(t.options.Optimizer, lr)
	return loss, int(t.scalar.Data()[0]), nil
}

// GradientNorm returns the L2 norm of the loss's gradient by the first layer's
// weight in the last step, or NaN when Options did not ask for it.
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

// Store holds the parameters on the device.
func (t *Trainer) Store() *engine.Store { return t.store }

// Runner evaluates the model as trained so far.
func (t *Trainer) Runner() *inference.Runner { return t.runner }

// Batches returns the number of steps in an epoch.
func (t *Trainer) Batches() int { return t.loader.Batches() }

// Memory returns the planned bytes of all programs made so far, for training and
// for evaluation.
func (t *Trainer) Memory() engine.Memory {
	sum := t.runner.Memory()
	for _, p := range t.programs {
		sum = sum.With(p.Memory())
	}
	return sum
}

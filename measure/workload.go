package measure

import (
	"cmp"
	"errors"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/devices"
	"github.com/residual-ml/residual/engine/roofline"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/internal/rng"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/optim"
	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/train/loop"
)

// A Workload is a compiled step of a model with random weights. New feeds it a batch of random
// images from memory; FeedLoader, FeedPhotos and FeedNone choose another source. A Workload
// must be used by one goroutine at a time.
type Workload struct {
	config  Config
	program *engine.Program
	flops   float64 // operations of a step

	images, labels, output *graph.Node // output is the loss in training and the logits in inference
	updates                []engine.Update
	optimizer              optim.Optimizer
	passes                 []engine.Pass  // a training step, for a device that runs it as one piece of work
	read                   []*graph.Node  // output, in the form that such a device takes
	result                 *tensor.Tensor // the value of output
	key                    int64          // counts the steps

	feed      Feed
	source    string                       // names the data of the loader
	next      func() error                 // feeds the batch of a step; nil if it stays on the device
	meanwhile func()                       // work for the host while the device computes the next step; may be nil
	alone     func() (*data.Loader, error) // opens the same loader with one worker; nil without a loader
	close     []func()
}

// rate is the learning rate. It is small, because the images are random and the weights must
// stay finite.
const rate = 0.01

// New compiles the step of a model on dev and feeds it random images. It returns a
// *ConfigError for a Config that cannot be used, and an *engine.MemoryError if there is too
// little memory.
func New(c Config, dev engine.Device) (*Workload, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	m := c.Model.New(models.Config{})
	nn.Init(m, 1, nn.XavierUniform)
	parameters := nn.Parameters(m)
	w := &Workload{config: c, optimizer: optim.SGD{}, feed: FeedMemory}
	g := graph.New(graph.Eval)
	if c.Mode == Train {
		g = graph.New(graph.Train)
	}
	w.images = g.Input("images", tensor.Float32, c.Batch, c.Model.Channels, cmp.Or(c.Size, c.Model.Height), cmp.Or(c.Size, c.Model.Width))
	logits, err := w.forward(m, dev)
	if err != nil {
		return nil, wrong("Size", "%s: %w; choose another size", c.Model.Name, err)
	}
	w.output = logits
	spec := engine.Spec{Precision: c.Precision, Recompute: c.Recompute}
	if c.Mode == Train {
		w.labels = g.Input("labels", tensor.Int64, c.Batch)
		w.output = g.Apply(graph.CrossEntropy{}, logits, w.labels)
		if w.updates, err = loop.Updates(g, w.output, parameters); err != nil {
			return nil, err
		}
		spec.Updates = w.updates
		w.passes = []engine.Pass{{Updater: w.optimizer, LR: rate, Counts: true}}
	}
	w.read = []*graph.Node{w.output}
	spec.Outputs = w.read
	w.flops = roofline.FLOPs(g, c.Mode == Train)
	if w.program, err = engine.Compile(g, engine.NewStore(dev), spec); err != nil {
		return nil, err
	}
	w.result = tensor.New(w.output.Shape...)
	return w, w.feedMemory()
}

// Close ends the loader that feeds the steps.
func (w *Workload) Close() {
	for _, f := range w.close {
		f()
	}
	w.close = nil
}

// FLOPs returns the operations of a step, two for each multiply-add of convolutions and
// linear layers.
func (w *Workload) FLOPs() float64 { return w.flops }

// feedMemory generates a batch of random images and feeds it in every step.
func (w *Workload) feedMemory() error {
	r := rng.PCG(1, 2)
	images := tensor.New(w.images.Shape...)
	for i := range images.Data() {
		images.Data()[i] = r.Float32()
	}
	var labels *tensor.Tensor
	if w.config.Mode == Train {
		classes := make([]int64, w.config.Batch)
		for i := range classes {
			classes[i] = r.Int64N(int64(w.config.Model.Classes))
		}
		labels = tensor.FromInts(classes, len(classes))
	}
	w.next = func() error {
		return errors.Join(w.program.Feed(w.images, images), w.feedLabels(labels))
	}
	return w.next()
}

// feedLabels feeds labels [N] in training; inference has none.
func (w *Workload) feedLabels(labels *tensor.Tensor) error {
	if w.config.Mode != Train {
		return nil
	}
	return w.program.Feed(w.labels, labels)
}

// Step runs once what Measure times: it feeds a batch, computes, and waits for the device by
// reading the loss or the logits.
func (w *Workload) Step() error {
	if w.next != nil {
		if err := w.next(); err != nil {
			return err
		}
	}
	w.key++
	meanwhile := w.meanwhile
	w.meanwhile = nil
	if w.config.Mode == Train {
		if _, ok := w.program.Train(w.key, w.passes, w.read, w.result.Data(), meanwhile); ok {
			return nil
		}
	}
	if err := w.program.Run(w.key); err != nil {
		return err
	}
	if w.config.Mode == Train {
		w.program.Step(w.optimizer, rate)
	}
	if meanwhile != nil {
		meanwhile()
	}
	w.program.Read(w.output, w.result)
	return nil
}

// describe lists the steps of the program and, in training, the optimiser's pass.
func (w *Workload) describe(p *roofline.Peaks) []roofline.StepCost {
	steps := roofline.Describe(w.program.Steps(), p)
	if w.config.Mode == Train {
		var n int64
		for _, u := range w.updates {
			n += int64(u.Variable.Value.Numel())
		}
		steps = append(steps, roofline.WithFloors([]roofline.StepCost{roofline.Update(n)}, p)...)
	}
	return steps
}

// newResult returns the part of a Result that is known before the measurement, for measurements
// of so many steps.
func (w *Workload) newResult(steps int) *Result {
	c, shape, m, dev := w.config, w.images.Shape, w.program.Memory(), w.program.Device()
	return &Result{
		Model: c.Model.Name, Mode: c.Mode, Batch: shape[0], Channels: shape[1], Height: shape[2], Width: shape[3],
		Device: dev.Name(), Threads: devices.Threads(dev), Kernels: devices.Kernels(dev), Precision: c.Precision.String(),
		Recompute: c.Recompute, Feed: w.feed, Data: w.source,
		Repeat: c.Repeat, Warmup: c.Warmup, StepsPerRepeat: steps,
		PlannedBytes: m.Total(), ArenaBytes: m.Arena, OwnBytes: m.Own, ScratchBytes: m.Scratch, VariableBytes: m.Variables,
	}
}

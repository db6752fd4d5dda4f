// Package inference runs trained models on images.
//
// Load opens a model file as a Classifier, which prepares images as the model's training did
// and names the classes:
//
//	dev, err := cpu.New(cpu.Options{})
//	...
//	c, err := inference.Load("runs/train-1/best.safetensors", dev, engine.Auto)
//	...
//	defer c.Close()
//	predictions, err := c.PredictFile(ctx, "shoe.jpg", 5)
//
// The important types are:
//
//   - Classifier, a model read from a file: Predict for images, PredictReader for uploads,
//     PredictStream and PredictFiles for many images, Evaluate for a data set, GradCAM to
//     explain a prediction; Viewing averages over views of an image, and Calibrated makes it
//     as sure as it is right;
//   - Prediction, Result, Answer and CAM, which it returns.
//
// A network that does not come from a file runs by package inference/forward, on batches of
// tensors.
package inference

import (
	"context"
	"errors"
	"fmt"
	"image"
	"io"
	"sync"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/data/photo"
	"github.com/residual-ml/residual/data/transforms"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/exchange"
	"github.com/residual-ml/residual/inference/forward"
	"github.com/residual-ml/residual/internal/field"
	"github.com/residual-ml/residual/modelfile"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/task"
	"github.com/residual-ml/residual/tensor"
)

// Classifier is a trained model that was read from a file, with the names of its classes
// and the preparation of its images.
//
// It may be used from any number of goroutines, as by the handlers of a server. Images are
// decoded and prepared in the goroutines of their callers, side by side. Those that wait while
// the network computes share its next batch, of up to 32 images, so many callers have the
// throughput of large batches and a single caller does not wait. On the CPU an image has the same
// bits whatever it was batched with. All calls share one copy of the weights. Calls other than
// Predict, Values and their kind, such as Evaluate and GradCAM, compute one at a time.
//
// A call whose context ends returns the context's error at once and leaves other calls
// unharmed. Close waits for the calls that are running.
type Classifier struct {
	// Decoding limits the image files that are read, such as by its MaxPixels; its Channels and
	// Context are not used. Set it before the first call.
	Decoding photo.Options

	// Memory limits the memory of the images that are being decoded and prepared at the same
	// time; others wait. New sets it to photo.DefaultBudget bytes, and classifiers may share a
	// budget; nil means no limit. Set it before the first call.
	Memory *photo.Budget

	path   string
	info   checkpoint.Model
	module nn.Module
	calls  *calls
	queue  queue
	turns  *Turns // of TakeTurns; or nil

	mu        sync.Mutex
	store     *engine.Store
	precision engine.Precision
	runner    *forward.Runner // nil after Close
	parent    *Classifier     // whose memory this one shares, as after With; else nil

	views       Views
	temperature []float64 // of Calibrated; nil means 1
}

// turn returns the lock that a computation must hold, since classifiers over the same
// variables share memory.
func (c *Classifier) turn() *sync.Mutex {
	if c.parent != nil {
		return c.parent.turn()
	}
	return &c.mu
}

// CheckClasses returns an error if a data set with as many classes as the model calls one of
// them something else. Evaluate itself refuses another number of classes, and other labels or
// values.
func (c *Classifier) CheckClasses(info data.Info) error {
	if len(info.Classes) != len(c.info.Classes) {
		return nil
	}
	for i, class := range c.info.Classes {
		if class != info.Classes[i] {
			return field.Errorf("%s calls class %d %q, and %s calls it %q; choose the data set it was trained on with {Data}",
				c.path, i, class, info.Name, info.Classes[i])
		}
	}
	return nil
}

// Load opens a model file that residual train or checkpoint.SaveModel wrote, or an ONNX file,
// as modelfile.Open does, and computes it on dev in the given precision. engine.Auto suits model
// and device best: int8 for a quantised model, and dev.Preferred(engine.Inference) for others. An ONNX file of another program must be a model known by name, and is
// prepared for as that one: LoadAs says more. The error names the file, and what in it is
// missing, unexpected or of another shape.
func Load(path string, dev engine.Device, p engine.Precision) (*Classifier, error) {
	c, _, err := LoadAs(path, exchange.ModelConfig{}, dev, p)
	return c, err
}

// LoadAs is Load with what config says of classes and images in place of what the file
// says, and for ONNX graphs of other programs, which say nothing of either: they may be any
// that the engine computes. The notes tell what had to be chosen. What neither the file nor
// config says is an exchange.UnsaidError.
func LoadAs(path string, config exchange.ModelConfig, dev engine.Device, p engine.Precision) (c *Classifier, notes []string, err error) {
	m, err := modelfile.Open(path, modelfile.Options{ModelConfig: config})
	if err != nil {
		return nil, nil, err
	}
	return New(m, dev, p), m.Notes, nil
}

// LoadInto is Load for an architecture of the caller's own. It loads the weights of a file
// written by a training with train.Own's Module into m, which must be built in the same way
// as the trained module.
func LoadInto(m nn.Module, path string, dev engine.Device, p engine.Precision) (*Classifier, error) {
	opened, err := modelfile.OpenInto(m, path)
	if err != nil {
		return nil, err
	}
	return New(opened, dev, p), nil
}

// Read is Load for a model file of size bytes in r, such as one embedded in a program.
// Errors call it name.
func Read(r io.ReaderAt, size int64, name string, dev engine.Device, p engine.Precision) (*Classifier, error) {
	m, err := modelfile.Read(r, size, name)
	if err != nil {
		return nil, err
	}
	return New(m, dev, p), nil
}

// New is the classifier of a model that was opened.
func New(m *modelfile.Model, dev engine.Device, p engine.Precision) *Classifier {
	if p == engine.Auto {
		p = PreferredFor(m.Module, dev)
	}
	return newClassifier(m.Path, m.Info, m.Module, engine.NewStore(dev), p, nil)
}

func newClassifier(path string, info checkpoint.Model, m nn.Module, store *engine.Store, p engine.Precision, parent *Classifier) *Classifier {
	c := &Classifier{
		Memory: photo.NewBudget(0), path: path, info: info, module: m, store: store, precision: p, parent: parent,
		runner: forward.New(m, store, p, forward.Config{Targets: info.Targets()}),
	}
	var above *calls
	if parent != nil {
		above = parent.calls
	}
	c.calls = newCalls(above)
	c.queue.turn, c.queue.compute, c.queue.most = c.turn(), c.compute, largestBatch
	return c
}

// enter begins a call of c and returns the function that ends it. It is an error if c, or a
// classifier whose memory it shares, is closed.
func (c *Classifier) enter() (leave func(), err error) {
	if leave, err = c.calls.enter(); err != nil {
		err = fmt.Errorf("%s: %w", c.path, err)
	}
	return leave, err
}

// Close waits until the calls that are running have returned, and releases the compiled model.
// Later calls, also of the classifiers and embedders that share c's memory, return an error that
// wraps ErrClosed. The device stays open. Closing a classifier twice is allowed. Close must not be
// called within a callback of a call.
func (c *Classifier) Close() error {
	c.calls.close()
	turn := c.turn()
	turn.Lock() // the queue may still compute images whose callers have left
	defer turn.Unlock()
	c.runner, c.queue.buffer = nil, nil
	return nil
}

// exclusively runs f, which uses the runner, while nothing else computes on the same memory.
func (c *Classifier) exclusively(f func() error) error {
	leave, err := c.enter()
	if err != nil {
		return err
	}
	defer leave()
	turn := c.turn()
	turn.Lock()
	defer turn.Unlock()
	defer c.turns.take()()
	return f()
}

// compute is what the queue computes with. The caller holds the turn.
func (c *Classifier) compute(batch *tensor.Tensor) (*tensor.Tensor, error) {
	if c.runner == nil {
		return nil, ErrClosed
	}
	return c.runner.Logits(batch)
}

// Info returns the file's description of the model.
func (c *Classifier) Info() checkpoint.Model { return c.info }

// Module returns the network with its weights, for summaries and exports. The caller must
// not change it.
func (c *Classifier) Module() nn.Module { return c.module }

// With returns a classifier that computes m in place of the file's network and prepares
// images in the same way. m must use the same variables, as a network with one block
// skipped does. The two classifiers share memory, and their computations run one at a time.
func (c *Classifier) With(m nn.Module) *Classifier {
	with := newClassifier(c.path, c.info, m, c.store, c.precision, c)
	with.like(c)
	return with
}

// Replaced returns a classifier for m, a network with variables of its own that takes the
// same images as c, such as a deepened or pruned one. info describes it.
func (c *Classifier) Replaced(m nn.Module, info checkpoint.Model) *Classifier {
	replaced := newClassifier(c.path, info, m, engine.NewStore(c.store.Device()), c.precision, nil)
	replaced.like(c)
	replaced.temperature = nil // which was of the other network
	return replaced
}

// like takes over how c reads images and answers.
func (d *Classifier) like(c *Classifier) {
	d.Decoding, d.Memory, d.views, d.temperature = c.Decoding, c.Memory, c.views, c.temperature
	d.turns, d.queue.turns = c.turns, c.turns
}

// Scale converts a loader's batch, whose values are bytes divided by 255, to the model's
// scale, in place.
func (c *Classifier) Scale(batch *tensor.Tensor) {
	s := batch.Shape()
	c.info.FromUnit(batch.Data(), s[2]*s[3])
}

// Logits returns the network's output [N, classes] for a batch [N, C, H, W] on the model's
// scale. The caller owns the returned tensor.
func (c *Classifier) Logits(batch *tensor.Tensor) (logits *tensor.Tensor, err error) {
	err = c.exclusively(func() error {
		l, err := c.runner.Logits(batch)
		if err == nil {
			logits = l.Clone() // the runner overwrites its tensor in the next call
		}
		return err
	})
	return logits, err
}

// OpenImage reads an image file in the same way as a training does: see package photo. The
// error names the file. It does not reserve Memory, since the caller uses the image.
func (c *Classifier) OpenImage(ctx context.Context, path string) (image.Image, error) {
	if err := c.TakesImages(); err != nil {
		return nil, err
	}
	o := c.Decoding
	o.Channels, o.Context = c.info.Channels, ctx
	m, _, err := photo.Read(path, o)
	if err != nil {
		return nil, err
	}
	return transforms.ToImage(m), nil
}

// Result is the performance of a model on a data set; see forward.Result.
type Result = forward.Result

// Answer is a model's prediction for one image of a data set; see forward.Answer.
type Answer = forward.Answer

// Evaluate measures the model on a data set, with its images prepared as in training. It
// uses the batch size and the number of workers in config, and goes through the data set in
// order. progress, if it is not nil, is called after every batch with the number of images
// done.
func (c *Classifier) Evaluate(ctx context.Context, ds data.Dataset, config data.LoaderConfig, progress func(done, total int)) (Result, error) {
	return c.EvaluateEach(ctx, ds, config, nil, progress)
}

// EvaluateEach is Evaluate that also calls each, if it is not nil, for every answer, in the
// order of the data set. The classifier is locked until EvaluateEach returns, so each and
// progress must not use it.
func (c *Classifier) EvaluateEach(ctx context.Context, ds data.Dataset, config data.LoaderConfig, each func(Answer), progress func(done, total int)) (Result, error) {
	if each == nil {
		return c.EvaluateOutputs(ctx, ds, config, nil, progress)
	}
	return c.EvaluateOutputs(ctx, ds, config, func(a Answer, _ []float32) { each(a) }, progress)
}

// EvaluateOutputs is EvaluateEach that also gives each the outputs for the image, the logits of
// a model of classes before any temperature. They are valid only during the call.
func (c *Classifier) EvaluateOutputs(ctx context.Context, ds data.Dataset, config data.LoaderConfig, each func(a Answer, outputs []float32), progress func(done, total int)) (Result, error) {
	if err := c.TakesData(ds.Info()); err != nil {
		return Result{}, err
	}
	if c.info.Task.Named() == task.Values && c.info.TargetShape == nil {
		ds = data.Standardized(ds, c.info.ValueMean, c.info.ValueStd)
	}
	if _, _, own := data.As[data.Images](ds); own && c.info.AnySize() {
		return Result{}, fmt.Errorf("%s takes images of any size and names none, so images of different sizes cannot share a batch", c.path)
	}
	config.Uint8 = engine.TakesUint8(c.store.Device()) && !c.info.Preprocess.BGR && c.views == ""
	wide := c.wide()
	l, err := data.NewLoader(imagesFor(ds, wide), config)
	if err != nil {
		return Result{}, err
	}
	var r Result
	err = c.exclusively(func() (err error) {
		p := forward.Pass{To: &wide, Each: each, Progress: progress, Temperature: c.temperature}
		if c.views != "" {
			p.Logits = c.viewed
		}
		r, err = forward.EvaluateBy(ctx, c.runner, l, p)
		return err
	})
	if err != nil && !errors.Is(err, ErrClosed) && ctx.Err() == nil {
		err = fmt.Errorf("%s: %w", c.path, err)
	}
	return r, err
}

// Package inference runs trained models on images.
//
// Load opens a model file as a Classifier, which prepares images as the model's training did
// and names the classes:
//
//	dev, err := cpu.New(cpu.Options{})
//	...
//	c, err := inference.Load("runs/train-1/best.safetensors", dev, dev.Preferred())
//	...
//	predictions, err := c.PredictFile("shoe.jpg", 5)
//
// The important types are:
//
//   - Classifier, a model read from a file: Predict for images, PredictStream and
//     PredictFiles for many of them, Evaluate for a data set, GradCAM to explain a
//     prediction;
//   - Prediction, Result, Answer and CAM, which it returns.
//
// A network that does not come from a file runs by package inference/forward, on batches of
// tensors.
package inference

import (
	"context"
	"fmt"
	"image"
	"io"
	"math"
	"slices"
	"sync"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/data/photo"
	"github.com/residual-ml/residual/data/transforms"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/exchange"
	"github.com/residual-ml/residual/inference/forward"
	"github.com/residual-ml/residual/internal/field"
	"github.com/residual-ml/residual/internal/number"
	"github.com/residual-ml/residual/metrics"
	"github.com/residual-ml/residual/modelfile"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/task"
	"github.com/residual-ml/residual/tensor"
)

// Classifier is a trained model that was read from a file, with the names of its classes
// and the preparation of its images. It may be used from several goroutines; their
// computations run one at a time.
type Classifier struct {
	path   string
	info   checkpoint.Model
	module nn.Module

	mu        sync.Mutex
	store     *engine.Store
	precision engine.Precision
	runner    *forward.Runner
	parent    *Classifier // the receiver of the With that made this one; else nil
}

// turn returns the lock that a computation must hold, since classifiers over the same
// variables share memory.
func (c *Classifier) turn() *sync.Mutex {
	if c.parent != nil {
		return c.parent.turn()
	}
	return &c.mu
}

// Prediction is a class with its predicted probability, from 0 to 1. Of a model that gives an
// image several labels it is a label, and the probability that the image has it.
type Prediction struct {
	Class       string  `json:"class"`
	Index       int     `json:"index"`
	Probability float64 `json:"probability"`
}

// MarshalJSON implements json.Marshaler. A probability that is NaN becomes null.
func (p Prediction) MarshalJSON() ([]byte, error) { return number.Object(p) }

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

// AtLeast returns the predictions, likeliest first, whose probability is at least threshold.
func AtLeast(found []Prediction, threshold float64) []Prediction {
	n := slices.IndexFunc(found, func(p Prediction) bool { return p.Probability < threshold })
	if n < 0 {
		return found
	}
	return found[:n]
}

// Load opens a model file that residual train or checkpoint.SaveModel wrote, or an ONNX file,
// as modelfile.Open does, and computes it on dev in the given precision (dev.Preferred() suits
// the device best). An ONNX file of another program must be a model known by name, and is
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
	return newClassifier(m.Path, m.Info, m.Module, engine.NewStore(dev), p)
}

func newClassifier(path string, info checkpoint.Model, m nn.Module, store *engine.Store, p engine.Precision) *Classifier {
	return &Classifier{path: path, info: info, module: m, store: store, precision: p, runner: forward.New(m, store, p, forward.Config{Targets: info.Targets()})}
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
	with := newClassifier(c.path, c.info, m, c.store, c.precision)
	with.parent = c
	return with
}

// Replaced returns a classifier for m, a network with variables of its own that takes the
// same images as c, such as a deepened or pruned one. info describes it.
func (c *Classifier) Replaced(m nn.Module, info checkpoint.Model) *Classifier {
	return newClassifier(c.path, info, m, engine.NewStore(c.store.Device()), c.precision)
}

// Scale converts a loader's batch, whose values are bytes divided by 255, to the model's
// scale, in place.
func (c *Classifier) Scale(batch *tensor.Tensor) {
	s := batch.Shape()
	c.info.FromUnit(batch.Data(), s[2]*s[3])
}

// Logits returns the network's output [N, classes] for a batch [N, C, H, W] on the model's
// scale. The caller owns the returned tensor.
func (c *Classifier) Logits(batch *tensor.Tensor) (*tensor.Tensor, error) {
	turn := c.turn()
	turn.Lock()
	defer turn.Unlock()
	logits, err := c.runner.Logits(batch)
	if err != nil {
		return nil, err
	}
	return logits.Clone(), nil // the runner overwrites its tensor in the next call
}

// Predict returns the k most likely classes of an image, the most likely first. If k is
// below 1 or above the number of classes, it returns all. Prepare describes how the image
// is prepared.
func (c *Classifier) Predict(img image.Image, k int) ([]Prediction, error) {
	all, err := c.PredictAll([]image.Image{img}, k)
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

// PredictFile is Predict for an image file, which it reads with OpenImage.
func (c *Classifier) PredictFile(path string, k int) ([]Prediction, error) {
	img, err := c.OpenImage(path)
	if err != nil {
		return nil, err
	}
	return c.Predict(img, k)
}

// OpenImage reads an image file in the same way as a training does: see package photo. The
// error names the file.
func (c *Classifier) OpenImage(path string) (image.Image, error) {
	if err := c.TakesImages(); err != nil {
		return nil, err
	}
	m, _, err := photo.Read(path, photo.Options{Channels: c.info.Channels})
	if err != nil {
		return nil, err
	}
	return transforms.ToImage(m), nil
}

// largestBatch limits the batches, and so the memory, of PredictAll.
const largestBatch = 64

// PredictAll is Predict for many images, in batches.
func (c *Classifier) PredictAll(images []image.Image, k int) ([][]Prediction, error) {
	var out [][]Prediction
	for batch := range slices.Chunk(images, largestBatch) {
		x, err := c.Prepare(batch)
		if err != nil {
			return nil, err
		}
		ps, err := c.classify(x, k)
		if err != nil {
			return nil, err
		}
		out = append(out, ps...)
	}
	return out, nil
}

func (c *Classifier) classify(x *tensor.Tensor, k int) ([][]Prediction, error) {
	if of := c.info.Task.Named(); of != task.Classes && of != task.Labels {
		return nil, fmt.Errorf("%s: the model answers with %s and no classes; %s", c.path, of, instead[of])
	}
	turn := c.turn()
	turn.Lock()
	defer turn.Unlock()
	logits, err := c.runner.Logits(x)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.path, err)
	}
	n, classes := logits.Shape()[0], logits.Shape()[1]
	if names := len(c.info.Names()); classes != names {
		return nil, fmt.Errorf("%s: the network has %d outputs for %d class names", c.path, classes, names)
	}
	out := make([][]Prediction, n)
	for i := range out {
		if out[i], err = c.rank(logits.Data()[i*classes:(i+1)*classes], k); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// rank turns logits into the k most likely classes. Classes with equal probabilities stay
// in the model's order.
func (c *Classifier) rank(logits []float32, k int) ([]Prediction, error) {
	ps := make([]Prediction, len(logits))
	for j, p := range c.probabilities(logits) {
		ps[j] = Prediction{c.info.Names()[j], j, p}
		if math.IsNaN(ps[j].Probability) {
			return nil, fmt.Errorf("%s: the network's output for this image is not finite; its weights are damaged, or its training diverged", c.path)
		}
	}
	slices.SortStableFunc(ps, func(a, b Prediction) int {
		switch {
		case a.Probability > b.Probability:
			return -1
		case a.Probability < b.Probability:
			return 1
		}
		return 0
	})
	if k >= 1 && k < len(ps) {
		ps = ps[:k]
	}
	return ps, nil
}

// PredictPixels is Predict for decoded pixels, such as those that package photo reads. The
// image must have as many channels as the model.
func (c *Classifier) PredictPixels(m transforms.Image, k int) ([]Prediction, error) {
	x, err := c.PreparePixels([]transforms.Image{m})
	if err != nil {
		return nil, err
	}
	all, err := c.classify(x, k)
	if err != nil {
		return nil, err
	}
	return all[0], nil
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
	info := ds.Info()
	if info.Channels != c.info.Channels {
		return Result{}, fmt.Errorf("%s takes %d channels and the images of %s have %d; use the data set it was trained on (%s)",
			c.path, c.info.Channels, info.Name, info.Channels, c.info.Dataset)
	}
	if is, want := info.Targets.Task.Named(), c.info.Task.Named(); is != want {
		return Result{}, fmt.Errorf("%s answers with %s, and %s has %s; use the data set it was trained on (%s)", c.path, want, info.Name, is, c.info.Dataset)
	} else if want != task.Classes {
		if !slices.Equal(info.Targets.Names, c.info.Names()) {
			return Result{}, fmt.Errorf("%s answers with the %s %q, and %s has %q; use the data set it was trained on (%s)", c.path, want, c.info.Names(), info.Name, info.Targets.Names, c.info.Dataset)
		}
		if want == task.Values && c.info.TargetShape == nil {
			ds = data.Standardized(ds, c.info.ValueMean, c.info.ValueStd)
		}
	}
	if len(info.Classes) != len(c.info.Classes) && c.info.Task.Named() == task.Classes {
		return Result{}, fmt.Errorf("%s knows %d classes and %s has %d; use the data set it was trained on (%s)",
			c.path, len(c.info.Classes), info.Name, len(info.Classes), c.info.Dataset)
	}
	if _, _, own := data.As[data.Images](ds); own && c.info.AnySize() {
		return Result{}, fmt.Errorf("%s takes images of any size and names none, so images of different sizes cannot share a batch", c.path)
	}
	config.Uint8 = engine.TakesUint8(c.store.Device()) && !c.info.Preprocess.BGR
	l, err := data.NewLoader(c.Images(ds), config)
	if err != nil {
		return Result{}, err
	}
	turn := c.turn()
	turn.Lock()
	defer turn.Unlock()
	r, err := forward.EvaluateEach(ctx, c.runner, l, &c.info.Input, each, progress)
	if err != nil && ctx.Err() == nil {
		err = fmt.Errorf("%s: %w", c.path, err)
	}
	return r, err
}

// instead says which method to call for models of other tasks than classes and labels.
var instead = map[task.Task]string{
	task.Values: "call Values",
	task.Masks:  "call Logits, which returns [N, classes, H, W]",
}

// probabilities returns the probabilities for one image's logits. Those of classes sum to 1, and
// those of labels are independent.
func (c *Classifier) probabilities(logits []float32) []float64 {
	if c.info.Task.Named() == task.Classes {
		return forward.Probabilities(logits)
	}
	p := make([]float64, len(logits))
	for i, z := range logits {
		p[i] = metrics.Sigmoid(z)
	}
	return p
}

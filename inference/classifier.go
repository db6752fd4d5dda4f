package inference

import (
	"context"
	"errors"
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
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/weights"
	"github.com/residual-ml/residual/weights/safetensors"
)

// Classifier is a trained model read from a file, with all it needs to answer
// for an image. It may be used from several goroutines; they take turns.
type Classifier struct {
	path   string
	info   checkpoint.Model
	module nn.Module

	mu     sync.Mutex
	runner *Runner
	parent *Classifier // that With made it of; nil for one of its own
}

// turn is held by whoever computes: classifiers over the same variables share memory.
func (c *Classifier) turn() *sync.Mutex {
	if c.parent != nil {
		return c.parent.turn()
	}
	return &c.mu
}

// Prediction is one class and how likely the model thinks it.
type Prediction struct {
	Class       string  `json:"class"`
	Index       int     `json:"index"`
	Probability float64 `json:"probability"`
}

// Load reads a model file that residual train or checkpoint.SaveModel wrote:
// builds the architecture that it names, and fills it with its weights on dev, to
// compute in the given precision (dev.Preferred() suits the device best). Of an
// ONNX file that residual export or import wrote it takes the graph; one of another
// program must be a model known by name, and is prepared for as that one: LoadAs says
// more. Files are told apart by what they hold.
// The error names the file, and what in it is missing, unexpected or of another
// shape.
func Load(path string, dev engine.Device, p engine.Precision) (*Classifier, error) {
	format, err := weights.Detect(path)
	switch {
	case err != nil:
		return nil, err
	case format == weights.ONNX:
		c, _, err := loadONNX(path, exchange.ModelConfig{}, dev, p)
		return c, err
	case format != weights.Safetensors:
		return nil, fmt.Errorf("%s: holds weights alone, as a .%s file; make a model of it with residual import", path, format)
	}
	info, f, err := checkpoint.LoadModel(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return fromFile(path, info, f, dev, p)
}

// LoadInto is Load for a network of the caller's own, which no file can name: m, made as
// the one that was trained, is given the weights in a file that a training with
// train.Own's Module left.
func LoadInto(m nn.Module, path string, dev engine.Device, p engine.Precision) (*Classifier, error) {
	info, f, err := checkpoint.LoadModel(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := errors.Join(checkSizes(info), read(m, f)); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &Classifier{path: path, info: info, module: m, runner: NewRunner(m, engine.NewStore(dev), p)}, nil
}

// Read is Load for a model file of size bytes in r, such as one that a program
// embeds; name stands for it in errors.
func Read(r io.ReaderAt, size int64, name string, dev engine.Device, p engine.Precision) (*Classifier, error) {
	if format, err := weights.DetectIn(r, size, name); err == nil && format == weights.ONNX {
		return readONNX(r, size, name, dev, p)
	}
	info, f, err := checkpoint.ReadModel(r, size, name)
	if err != nil {
		return nil, err
	}
	return fromFile(name, info, f, dev, p)
}

func fromFile(path string, info checkpoint.Model, f *safetensors.File, dev engine.Device, p engine.Precision) (*Classifier, error) {
	m, err := build(info, f)
	if err == nil {
		err = read(m, f)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &Classifier{path: path, info: info, module: m, runner: NewRunner(m, engine.NewStore(dev), p)}, nil
}

// build makes the architecture that a file names.
func build(info checkpoint.Model, f *safetensors.File) (nn.Module, error) {
	entry, err := models.Lookup(info.Architecture)
	if err != nil {
		return nil, fmt.Errorf("%w; the program whose own network it is reads the file with inference.LoadInto", err)
	}
	if entry.FixedSize && (info.Height != entry.Height || info.Width != entry.Width) {
		return nil, fmt.Errorf("says that its input is %dx%d, but %s takes only %dx%d; the file is damaged or from another program",
			info.Height, info.Width, entry.Name, entry.Height, entry.Width)
	}
	if err := checkSizes(info); err != nil {
		return nil, err
	}
	c := models.Config{Channels: info.Channels, Classes: len(info.Classes), Blocks: info.Blocks, Blank: true}
	if err := entry.Check(c); err != nil {
		return nil, err
	}
	if err := justified(entry, c, f); err != nil {
		return nil, err
	}
	m := entry.New(c)
	if info.Height > 0 && info.Width > 0 {
		x := graph.New(graph.Eval).Input("images", tensor.Float32, 1, info.Channels, info.Height, info.Width)
		if _, err := engine.Trace(m.Forward, x); err != nil {
			return nil, fmt.Errorf("says that its input is %dx%d, but %s does not take it: %w", info.Height, info.Width, entry.Name, err)
		}
	}
	return m, nil
}

// checkSizes bounds the images that a file may ask for.
func checkSizes(info checkpoint.Model) error {
	const most = 4096
	p := info.Preprocess
	for _, side := range []int{info.Height, info.Width, p.Resize, p.ResizeShorter, p.NativeHeight, p.NativeWidth} {
		if side > most {
			return fmt.Errorf("asks for images of %d pixels a side; at most %d are possible", side, most)
		}
	}
	if p.Resize > 0 && info.Height > 0 && info.Width > 0 && (p.Resize != info.Height || p.Resize != info.Width) {
		return fmt.Errorf("says that images are resized to %dx%d and that its input is %dx%d; the file is damaged", p.Resize, p.Resize, info.Height, info.Width)
	}
	return nil
}

// justified keeps a small file from demanding a large network: beyond an ordinary
// size the file must hold as many numbers as the network has parameters.
func justified(e models.Entry, c models.Config, f *safetensors.File) error {
	const ordinary = 1 << 24
	need := e.Count(c)
	if need <= ordinary {
		return nil
	}
	var have int64
	for _, name := range f.Names() {
		_, shape, _ := f.Info(name)
		have += int64(shape.Numel())
	}
	if have < need {
		return fmt.Errorf("says that it is %s with %d channels and %d classes, which has %d parameters, but holds only %d numbers; the file is damaged",
			e.Name, c.Channels, c.Classes, need, have)
	}
	return nil
}

// read fills m with the file's weights.
func read(m nn.Module, f *safetensors.File) error {
	values, err := f.Tensors()
	if err != nil {
		return err
	}
	return nn.TakeStateDict(m, values)
}

// Info returns what the file says of the model.
func (c *Classifier) Info() checkpoint.Model { return c.info }

// Module returns the network with its weights, for summaries and exports. It
// must not be changed.
func (c *Classifier) Module() nn.Module { return c.module }

// With returns a classifier that computes m in place of the file's network, from
// images prepared alike: the network with a change that leaves its variables, such
// as one without a block. The two take turns, too.
func (c *Classifier) With(m nn.Module) *Classifier {
	return &Classifier{path: c.path, info: c.info, module: m, runner: NewRunner(m, c.runner.store, c.runner.precision), parent: c}
}

// Replaced returns a classifier of a network of its own that takes the images of
// c's file: one that was deepened or pruned, or that has other values.
func (c *Classifier) Replaced(m nn.Module, info checkpoint.Model) *Classifier {
	return &Classifier{path: c.path, info: info, module: m, runner: NewRunner(m, engine.NewStore(c.runner.store.Device()), c.runner.precision)}
}

// Scale brings a batch of a loader, bytes over 255, to the model's scale, in place.
func (c *Classifier) Scale(batch *tensor.Tensor) { c.fromUnit(batch) }

// Logits returns the network's result [N, classes] for a batch [N, C, H, W] on the
// model's scale. The tensor is the caller's.
func (c *Classifier) Logits(batch *tensor.Tensor) (*tensor.Tensor, error) {
	turn := c.turn()
	turn.Lock()
	defer turn.Unlock()
	logits, err := c.runner.Logits(batch)
	if err != nil {
		return nil, err
	}
	return logits.Clone(), nil // the runner writes the next result over its own
}

// Predict returns the k likeliest classes of one image, likeliest first; k below
// 1 or above their number means all. See Prepare for how the image is read.
func (c *Classifier) Predict(img image.Image, k int) ([]Prediction, error) {
	all, err := c.PredictAll([]image.Image{img}, k)
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

// PredictFile is Predict for the image in a file, read by OpenImage.
func (c *Classifier) PredictFile(path string, k int) ([]Prediction, error) {
	img, err := c.OpenImage(path)
	if err != nil {
		return nil, err
	}
	return c.Predict(img, k)
}

// OpenImage reads an image file as the training reads its pictures: see package photo. The
// error names it.
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

// largestBatch bounds the memory of PredictAll.
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
	turn := c.turn()
	turn.Lock()
	defer turn.Unlock()
	logits, err := c.runner.Logits(x)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.path, err)
	}
	n, classes := logits.Shape()[0], logits.Shape()[1]
	if classes != len(c.info.Classes) {
		return nil, fmt.Errorf("%s: the network has %d outputs for %d class names", c.path, classes, len(c.info.Classes))
	}
	out := make([][]Prediction, n)
	for i := range out {
		if out[i], err = c.rank(logits.Data()[i*classes:(i+1)*classes], k); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// rank turns logits into the k likeliest classes; of equals the first comes first.
func (c *Classifier) rank(logits []float32, k int) ([]Prediction, error) {
	sum := logSumExp(logits)
	ps := make([]Prediction, len(logits))
	for j, v := range logits {
		ps[j] = Prediction{c.info.Classes[j], j, math.Exp(float64(v) - sum)}
		if math.IsNaN(ps[j].Probability) {
			return nil, fmt.Errorf("%s: the network's output for this image is no number; its weights are damaged, or its training diverged", c.path)
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

// PredictPixels is Predict for an image that is pixels already, such as package photo
// reads, of as many channels as the model has.
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

// Evaluate counts the model's answers on a data set, prepared as it was for the
// training. Of config it wants the batch size and the workers; the order is the
// data set's.
func (c *Classifier) Evaluate(ctx context.Context, ds data.Dataset, config data.LoaderConfig, progress func(done, total int)) (Result, error) {
	return c.EvaluateEach(ctx, ds, config, nil, progress)
}

// EvaluateEach is Evaluate that tells each, when it is not nil, every answer in the
// loader's order, so that whoever wants to know more of them walks the data set once.
// It is the classifier's turn until it returns: each and progress must not ask it anything.
func (c *Classifier) EvaluateEach(ctx context.Context, ds data.Dataset, config data.LoaderConfig, each func(Answer), progress func(done, total int)) (Result, error) {
	info := ds.Info()
	if info.Channels != c.info.Channels {
		return Result{}, fmt.Errorf("%s takes %d channels and the pictures of %s have %d; use the data set it was trained on (%s)",
			c.path, c.info.Channels, info.Name, info.Channels, c.info.Dataset)
	}
	if len(info.Classes) != len(c.info.Classes) {
		return Result{}, fmt.Errorf("%s knows %d classes and %s has %d; use the data set it was trained on (%s)",
			c.path, len(c.info.Classes), info.Name, len(info.Classes), c.info.Dataset)
	}
	if _, _, own := data.As[data.Images](ds); own && c.anySize() {
		return Result{}, fmt.Errorf("%s takes images of any size and says none, so pictures of several cannot share a batch", c.path)
	}
	config.Bytes = engine.TakesPictures(c.runner.store.Device()) && !c.info.Preprocess.BGR
	l, err := data.NewLoader(c.Pictures(ds), config)
	if err != nil {
		return Result{}, err
	}
	turn := c.turn()
	turn.Lock()
	defer turn.Unlock()
	r, err := evaluate(ctx, c.runner, l, c, each, progress)
	if err != nil && ctx.Err() == nil {
		err = fmt.Errorf("%s: %w", c.path, err)
	}
	return r, err
}

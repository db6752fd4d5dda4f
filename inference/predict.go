package inference

import (
	"context"
	"errors"
	"fmt"
	"image"
	"io"
	"math"
	"slices"

	"github.com/residual-ml/residual/data/photo"
	"github.com/residual-ml/residual/data/transforms"
	"github.com/residual-ml/residual/internal/number"
	"github.com/residual-ml/residual/task"
	"github.com/residual-ml/residual/tensor"
)

// Prediction is a class with its predicted probability, from 0 to 1. Of a model that gives an
// image several labels it is a label, and the probability that the image has it.
type Prediction struct {
	Class       string  `json:"class"`
	Index       int     `json:"index"`
	Probability float64 `json:"probability"`
}

// MarshalJSON implements json.Marshaler. A probability that is NaN becomes null.
func (p Prediction) MarshalJSON() ([]byte, error) { return number.Object(p) }

// AtLeast returns the predictions, likeliest first, whose probability is at least threshold.
func AtLeast(found []Prediction, threshold float64) []Prediction {
	n := slices.IndexFunc(found, func(p Prediction) bool { return p.Probability < threshold })
	if n < 0 {
		return found
	}
	return found[:n]
}

// Predict returns the k most likely classes of an image, the most likely first. If k is
// below 1 or above the number of classes, it returns all. Prepare describes how the image
// is prepared. If ctx ends, Predict returns its error immediately.
func (c *Classifier) Predict(ctx context.Context, img image.Image, k int) ([]Prediction, error) {
	return one(ctx, c, c.imagePreparer(img), c.ranking(k))
}

// PredictReader is Predict for the content of an image file. It reads r to its end, and at most
// Decoding.MaxFileBytes; the end of ctx does not interrupt a call of r.Read.
func (c *Classifier) PredictReader(ctx context.Context, r io.Reader, k int) ([]Prediction, error) {
	return one(ctx, c, c.readerPreparer(r), c.ranking(k))
}

// PredictBytes is Predict for the content of an image file.
func (c *Classifier) PredictBytes(ctx context.Context, content []byte, k int) ([]Prediction, error) {
	return one(ctx, c, c.bytesPreparer(content), c.ranking(k))
}

// PredictFile is Predict for an image file. Errors name the file.
func (c *Classifier) PredictFile(ctx context.Context, path string, k int) ([]Prediction, error) {
	return one(ctx, c, c.pathPreparer(path), c.ranking(k))
}

// PredictPixels is Predict for decoded pixels, such as those that package photo reads. The
// image must have as many channels as the model.
func (c *Classifier) PredictPixels(ctx context.Context, m transforms.Image, k int) ([]Prediction, error) {
	return one(ctx, c, func(context.Context) (*tensor.Tensor, error) { return c.prepared([]transforms.Image{m}, c.wide()) }, c.ranking(k))
}

// PredictAll is Predict for many images, in batches.
func (c *Classifier) PredictAll(ctx context.Context, images []image.Image, k int) ([][]Prediction, error) {
	leave, err := c.enter()
	if err != nil {
		return nil, err
	}
	defer leave()
	answer := c.ranking(k)
	if answer.err != nil {
		return nil, answer.err
	}
	var out [][]Prediction
	for batch := range slices.Chunk(images, largestBatch) {
		xs := make([]*tensor.Tensor, len(batch))
		for i, img := range batch {
			if xs[i], err = c.prepareImage(img); err != nil {
				return nil, err
			}
		}
		asked, err := c.ask(ctx, xs...)
		if err != nil {
			return nil, err
		}
		for _, views := range asked {
			p, err := answer.read(c, views)
			if err != nil {
				return nil, err
			}
			out = append(out, p)
		}
	}
	return out, nil
}

// answerer says what becomes of the network's outputs for an image.
type answerer[T any] struct {
	err error // the model does not answer in this way
	of  func(outputs []float32) (T, error)
}

// read returns the answer to the views of an image that were computed.
func (a answerer[T]) read(c *Classifier, views []*query) (answer T, err error) {
	outputs := make([][]float32, len(views))
	for i, q := range views {
		if q.err != nil {
			return answer, fmt.Errorf("%s: %w", c.path, q.err)
		}
		outputs[i] = q.outputs
	}
	return a.of(c.mean(outputs))
}

// ask waits for the outputs of all views of images that were prepared as wide says.
func (c *Classifier) ask(ctx context.Context, images ...*tensor.Tensor) ([][]*query, error) {
	var all []*tensor.Tensor
	count := make([]int, len(images))
	for i, x := range images {
		views := c.cut(x)
		all, count[i] = append(all, views...), len(views)
	}
	asked, err := c.queue.ask(ctx, all...)
	if err != nil {
		return nil, err
	}
	of := make([][]*query, len(images))
	for i, n := range count {
		of[i], asked = asked[:n], asked[n:]
	}
	return of, nil
}

// one prepares an image, waits for its outputs and returns the answer.
func one[T any](ctx context.Context, c *Classifier, prepare func(context.Context) (*tensor.Tensor, error), answer answerer[T]) (none T, err error) {
	leave, err := c.enter()
	if err != nil {
		return none, err
	}
	defer leave()
	if err := ctx.Err(); err != nil {
		return none, err
	}
	if answer.err != nil {
		return none, answer.err
	}
	x, err := prepare(ctx)
	if err != nil {
		return none, err
	}
	asked, err := c.ask(ctx, x)
	if err != nil {
		return none, err
	}
	return answer.read(c, asked[0])
}

func (c *Classifier) imagePreparer(img image.Image) func(context.Context) (*tensor.Tensor, error) {
	return func(context.Context) (*tensor.Tensor, error) { return c.prepareImage(img) }
}

func (c *Classifier) readerPreparer(r io.Reader) func(context.Context) (*tensor.Tensor, error) {
	return func(ctx context.Context) (*tensor.Tensor, error) {
		if r == nil {
			return nil, &ImageError{errors.New("the image is missing: the reader is nil")}
		}
		content, err := photo.LoadFrom(r, c.Decoding)
		if err != nil {
			err = fmt.Errorf("the image %w", err)
			if errors.As(err, new(*photo.TooManyBytesError)) {
				err = &ImageError{err}
			}
			return nil, err
		}
		return c.prepareContent(ctx, content, "the image")
	}
}

func (c *Classifier) bytesPreparer(content []byte) func(context.Context) (*tensor.Tensor, error) {
	return func(ctx context.Context) (*tensor.Tensor, error) { return c.prepareContent(ctx, content, "the image") }
}

func (c *Classifier) pathPreparer(path string) func(context.Context) (*tensor.Tensor, error) {
	return func(ctx context.Context) (*tensor.Tensor, error) { return c.prepareFile(ctx, path) }
}

// prepareFile reads an image file and returns it as the model's input.
func (c *Classifier) prepareFile(ctx context.Context, path string) (*tensor.Tensor, error) {
	content, _, err := photo.Load(path, c.Decoding)
	if err != nil {
		return nil, err
	}
	return c.prepareContent(ctx, content, "image "+path+":")
}

// prepareContent decodes the content of an image file and returns it as the model's input. Errors
// begin with name.
func (c *Classifier) prepareContent(ctx context.Context, content []byte, name string) (*tensor.Tensor, error) {
	if err := c.TakesImages(); err != nil {
		return nil, err
	}
	o := c.Decoding
	o.Channels, o.Context = c.info.Channels, ctx
	release, err := c.Memory.Hold(content, o)
	if err != nil {
		return nil, err
	}
	defer release()
	m, _, err := photo.Decode(content, o)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, &ImageError{fmt.Errorf("%s %w", name, err)}
	}
	return c.prepared([]transforms.Image{m}, c.wide())
}

// ranking answers with the k most likely classes. Classes with equal probabilities stay in the
// model's order.
func (c *Classifier) ranking(k int) answerer[[]Prediction] {
	if of := c.info.Task.Named(); of != task.Classes && of != task.Labels {
		return answerer[[]Prediction]{err: fmt.Errorf("%s: the model answers with %s and no classes; %s", c.path, of, instead[of])}
	}
	return answerer[[]Prediction]{of: func(logits []float32) ([]Prediction, error) {
		names := c.info.Names()
		if len(logits) != len(names) {
			return nil, fmt.Errorf("%s: the network has %d outputs for %d class names", c.path, len(logits), len(names))
		}
		ps := make([]Prediction, len(logits))
		for j, p := range c.probabilities(logits) {
			ps[j] = Prediction{names[j], j, p}
			if math.IsNaN(p) {
				return nil, c.notFinite("the network's output for")
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
	}}
}

func (c *Classifier) notFinite(what string) error {
	return fmt.Errorf("%s: %s this image is not finite; the model's weights are damaged, or its training diverged", c.path, what)
}

// instead says which method to call for models of other tasks than classes and labels.
var instead = map[task.Task]string{
	task.Values: "call Values",
	task.Masks:  "call Logits, which returns [N, classes, H, W]",
}

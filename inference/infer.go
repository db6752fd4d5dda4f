package inference

import (
	"context"
	"fmt"
	"time"

	"github.com/residual-ml/residual/tensor"
)

// SetBatching changes how later calls share batches. Call it before Warm and the first call.
func (c *Classifier) SetBatching(b Batching) {
	c.queue.mu.Lock()
	defer c.queue.mu.Unlock()
	c.queue.most, c.queue.delay = b.most(), b.MaxDelay
}

// Output is what the network gives for one image.
type Output struct {
	Logits []float32 // all outputs of the image, such as [classes]
	Shape  tensor.Shape
	Batch  int // images that were computed together, this one included

	Queued   time.Duration // from the call to the beginning of the batch
	Computed time.Duration // time of the batch
}

// PrepareBytes decodes the content of an image file and returns it as the model's input
// [1, C, H, W]; Prepare describes how. An image that cannot be used is an *ImageError.
func (c *Classifier) PrepareBytes(ctx context.Context, content []byte) (*tensor.Tensor, error) {
	return c.prepareContent(ctx, content, "the image")
}

// Infer computes the network for images [1, C, H, W] on the model's scale, such as those of
// PrepareBytes, and returns an output for each. Concurrent calls share batches, as those of
// Predict do. If ctx ends first, Infer returns its error at once, and images whose computation
// has not begun are not computed.
func (c *Classifier) Infer(ctx context.Context, images ...*tensor.Tensor) ([]Output, error) {
	leave, err := c.enter()
	if err != nil {
		return nil, err
	}
	defer leave()
	asked, err := c.queue.ask(ctx, images...)
	if err != nil {
		return nil, err
	}
	outputs := make([]Output, len(asked))
	for i, a := range asked {
		if a.err != nil {
			return nil, fmt.Errorf("%s: %w", c.path, a.err)
		}
		outputs[i] = Output{
			Logits: a.outputs, Shape: a.shape, Batch: a.batch,
			Queued: a.begun.Sub(a.asked), Computed: a.ended.Sub(a.begun),
		}
	}
	return outputs, nil
}

// Rank returns the k most likely classes or labels that the outputs of an image stand for, as
// Predict does.
func (c *Classifier) Rank(logits []float32, k int) ([]Prediction, error) {
	a := c.ranking(k)
	if a.err != nil {
		return nil, a.err
	}
	return a.of(logits)
}

// Probabilities returns the probabilities that the outputs of an image stand for: of classes, which
// sum to 1, or of labels, each on its own.
func (c *Classifier) Probabilities(logits []float32) []float64 { return c.probabilities(logits) }

// Estimate returns the values that the outputs of an image stand for, as Values does.
func (c *Classifier) Estimate(logits []float32) ([]Value, error) {
	a := c.estimate()
	if a.err != nil {
		return nil, a.err
	}
	return a.of(logits)
}

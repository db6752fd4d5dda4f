package inference

import (
	"context"
	"errors"
	"fmt"

	"github.com/residual-ml/residual/data/transforms"
	"github.com/residual-ml/residual/tensor"
)

// Warm compiles the model for all batch sizes in which concurrent calls are computed, with images
// of the model's own size, and computes one image. Without it, the first calls do this. The
// programs share the weights and the workspace, which Warm makes as large as needed at once. A
// batch that does not fit into memory is left out. Calls at the same time are computed between two
// sizes. If ctx ends between them, Warm returns its error.
func (c *Classifier) Warm(ctx context.Context) error {
	size := c.oneImage()
	x, err := c.PreparePixels([]transforms.Image{transforms.NewImage(size[1], size[2], size[3])})
	if err != nil {
		return err
	}
	for n := c.queue.largest(); n >= 1; n /= 2 { // the largest first, whose workspace suits all
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := c.prepare(n, x.Shape()); err != nil {
			if n == 1 || errors.Is(err, ErrClosed) {
				return fmt.Errorf("%s: %w", c.path, err)
			}
			c.queue.limit(n / 2)
		}
	}
	return c.exclusively(func() error {
		_, err := c.compute(x)
		return err
	})
}

// prepare compiles the model for n images. Batches of calls are computed between two sizes.
func (c *Classifier) prepare(n int, image tensor.Shape) error {
	leave, err := c.enter()
	if err != nil {
		return err
	}
	defer leave()
	turn := c.turn()
	turn.Lock()
	defer turn.Unlock()
	return c.runner.Prepare(n, image[1], image[2], image[3])
}

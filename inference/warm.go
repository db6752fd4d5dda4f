package inference

import (
	"context"
	"fmt"

	"github.com/residual-ml/residual/data/transforms"
)

// Warm compiles the model for all batch sizes in which concurrent calls are computed, with images
// of the model's own size, and computes one image. Without it, the first calls do this. The
// programs share the weights and the workspace, which Warm makes as large as needed at once. A
// batch that does not fit into memory is left out. If ctx ends between two sizes, Warm returns its
// error.
func (c *Classifier) Warm(ctx context.Context) error {
	size := c.oneImage()
	x, err := c.PreparePixels([]transforms.Image{transforms.NewImage(size[1], size[2], size[3])})
	if err != nil {
		return err
	}
	return c.exclusively(func() error {
		s := x.Shape()
		for n := c.queue.largest(); n >= 1; n /= 2 { // the largest first, whose workspace suits all
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := c.runner.Prepare(n, s[1], s[2], s[3]); err != nil {
				if n == 1 {
					return fmt.Errorf("%s: %w", c.path, err)
				}
				c.queue.limit(n / 2)
			}
		}
		_, err := c.compute(x)
		return err
	})
}

package inference

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/residual-ml/residual/data/transforms"
	"github.com/residual-ml/residual/tensor"
)

// ErrClosed is wrapped in the errors of calls of a Classifier after its Close.
var ErrClosed = errors.New("the classifier is closed")

// calls counts the calls that are running, so that Close can wait for them.
type calls struct {
	mu      sync.Mutex
	running int
	closed  bool
	idle    sync.Cond // running has become 0
}

// enter begins a call of c and returns the function that ends it. It is an error if c, or a
// classifier whose memory it shares, is closed.
func (c *Classifier) enter() (leave func(), err error) {
	parentLeaves := func() {}
	if c.parent != nil {
		if parentLeaves, err = c.parent.enter(); err != nil {
			return nil, err
		}
	}
	c.calls.mu.Lock()
	defer c.calls.mu.Unlock()
	if c.calls.closed {
		parentLeaves()
		return nil, fmt.Errorf("%s: %w", c.path, ErrClosed)
	}
	c.calls.running++
	return func() {
		c.calls.mu.Lock()
		defer c.calls.mu.Unlock()
		if c.calls.running--; c.calls.running == 0 {
			c.calls.idle.Broadcast()
		}
		parentLeaves()
	}, nil
}

// Close waits until the calls that are running have returned, and releases the compiled model.
// Later calls, also of the classifiers and embedders that share c's memory, return an error that
// wraps ErrClosed. The device stays open. Closing a classifier twice is allowed. Close must not be
// called within a callback of a call.
func (c *Classifier) Close() error {
	c.calls.mu.Lock()
	c.calls.closed = true
	for c.calls.running > 0 {
		c.calls.idle.Wait()
	}
	c.calls.mu.Unlock()
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
	return f()
}

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
		for n := largestBatch; n >= 1; n /= 2 { // the largest first, whose workspace suits all
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

// compute is what the queue computes with. The caller holds the turn.
func (c *Classifier) compute(batch *tensor.Tensor) (*tensor.Tensor, error) {
	if c.runner == nil {
		return nil, ErrClosed
	}
	return c.runner.Logits(batch)
}

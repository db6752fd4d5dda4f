package inference

import (
	"errors"
	"sync"
)

// ErrClosed is wrapped in the errors of calls of a Classifier after its Close.
var ErrClosed = errors.New("the classifier is closed")

// calls counts the calls that are running, so that closing can wait for them.
type calls struct {
	parent  *calls // of the memory that the calls use; or nil
	mu      sync.Mutex
	running int
	closed  bool
	idle    sync.Cond // running has become 0
}

func newCalls(parent *calls) *calls {
	c := &calls{parent: parent}
	c.idle.L = &c.mu
	return c
}

// enter begins a call and returns the function that ends it. If c or a parent is closed, it
// returns ErrClosed.
func (c *calls) enter() (leave func(), err error) {
	parentLeaves := func() {}
	if c.parent != nil {
		if parentLeaves, err = c.parent.enter(); err != nil {
			return nil, err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		parentLeaves()
		return nil, ErrClosed
	}
	c.running++
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.running--; c.running == 0 {
			c.idle.Broadcast()
		}
		parentLeaves()
	}, nil
}

// close lets no more calls begin and waits until none is running.
func (c *calls) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for c.running > 0 {
		c.idle.Wait()
	}
}

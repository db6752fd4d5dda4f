package serve

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/residual-ml/residual/data/photo"
	"github.com/residual-ml/residual/inference"
	"github.com/residual-ml/residual/tensor"
)

// core is what the handlers of a Server share.
type core struct {
	options Options
	models  []*served // in the order of New
	line    line
	bodies  bodies
	decode  chan struct{} // a place for every decoder
	memory  *photo.Budget
	store   store
	meter   *meter
	writers sync.Pool // of compressors

	begun    time.Time
	requests atomic.Int64 // that have no name of their own
	draining atomic.Bool
	ended    context.Context // the work of the server itself: loading, watching
	end      context.CancelFunc
	work     sync.WaitGroup

	first    sync.Once     // an answer, which closes
	answered chan struct{} // this
}

func (s *core) isReady() bool { return !s.draining.Load() }

// model returns the model of a name, or the default one for "".
func (s *core) model(name string) (*served, error) {
	if name == "" {
		return s.models[0], nil
	}
	for _, m := range s.models {
		if m.Name == name {
			return m, nil
		}
	}
	return nil, failure(http.StatusNotFound, "there is no model %q; GET /models lists them", name)
}

// upload is an image of a request.
type upload struct {
	name    string // of the file, if the request gives one
	content []byte
}

// computed is an image that went through the network.
type computed struct {
	inference.Output
	decoded time.Duration
	err     error // about the image
}

// compute decodes images side by side and computes them in the batches of the model. An image that
// cannot be used does not spoil the others.
func (s *core) compute(ctx context.Context, m *served, g *generation, images []upload) ([]computed, error) {
	done := make([]computed, len(images))
	return done, s.inLine(len(images), func() error {
		all, ctx := errgroup.WithContext(ctx)
		for i, image := range images {
			all.Go(safely(func() error {
				out, err := s.one(ctx, m, g, image.content)
				if errors.As(err, new(*inference.ImageError)) {
					done[i].err = err
					return nil
				}
				done[i] = out
				return err
			}))
		}
		return all.Wait()
	})
}

// one decodes and computes an image.
func (s *core) one(ctx context.Context, m *served, g *generation, content []byte) (done computed, err error) {
	release, err := s.acquire(ctx)
	if err != nil {
		return done, err
	}
	begun := time.Now()
	x, err := func() (*tensor.Tensor, error) {
		defer release()
		return g.PrepareBytes(ctx, content)
	}()
	if err != nil {
		return done, err
	}
	done.decoded = time.Since(begun)
	out, err := g.Infer(ctx, x)
	if err != nil {
		return done, err
	}
	done.Output = out[0]
	s.meter.computed(m.Name, done.decoded, done.Output)
	return done, nil
}

// inLine runs f with n places in the queue.
func (s *core) inLine(n int, f func() error) error {
	if err := s.line.enter(n); err != nil {
		s.meter.refused("full")
		return err
	}
	done := false
	defer func() { s.line.leave(n, done) }()
	err := f()
	done = err == nil
	if done {
		s.first.Do(func() { close(s.answered) })
	}
	return err
}

// safely makes a panic of f its error; one in a goroutine of its own would end the program.
func safely(f func() error) func() error {
	return func() (err error) {
		defer func() {
			if p := recover(); p != nil {
				err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
			}
		}()
		return f()
	}
}

// behind returns the number of models whose newest file is not the one that serves.
func (s *core) behind() (n int) {
	for _, m := range s.models {
		if err, _ := m.trouble(); err != nil {
			n++
		}
	}
	return n
}

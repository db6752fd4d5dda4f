package inference

import (
	"errors"
	"io"
	"reflect"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/data/transforms"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/tensor"
)

// Pictures tells the engine how a loader stores its batches.
func Pictures(s *data.Stored) engine.Pictures {
	p := engine.Pictures{Channels: s.Channels, Height: s.Height, Width: s.Width, Table: s.Table}
	if s.Resize != nil {
		side := func(t *transforms.Pass) *engine.Side {
			if t == nil {
				return nil
			}
			return &engine.Side{Taps: t.Taps, Start: t.Start, Weight: t.Weight}
		}
		across, down := s.Resize.Passes()
		p.Across, p.Down = side(across), side(down)
	}
	return p
}

// PreparePictures is Prepare for batches that a loader stores in the way of s.
func (r *Runner) PreparePictures(s *data.Stored, shape ...int) error {
	if s == nil {
		return r.Prepare(shape...)
	}
	_, err := r.pictured(shape, Pictures(s))
	return err
}

// pictured returns the program for a batch of images of this shape that come as p.
func (r *Runner) pictured(shape tensor.Shape, p engine.Pictures) (*program, error) {
	fits := func(q *program) bool {
		return q.input.Shape.Equal(shape) && (q.feed == nil || reflect.DeepEqual(q.pictures, p))
	}
	q, err := r.program(shape, fits)
	if err != nil || q.feed != nil {
		return q, err
	}
	if q.feed, q.pictures = q.Pictures(q.input, p), p; q.feed == nil {
		return nil, errors.New("inference: a batch of bytes for a device that takes images")
	}
	return q, r.store.Device().Err()
}

// forget drops the batches on their way.
func (r *Runner) forget() {
	for _, p := range r.kept {
		if p.feed != nil {
			p.feed.Drop()
		}
	}
}

// LogitsOf is Logits of a batch of l, which may be of bytes.
func (r *Runner) LogitsOf(l *data.Loader, b *data.Batch) (*tensor.Tensor, error) {
	if b.Pixels == nil {
		return r.Logits(b.Images)
	}
	r.forget()
	f := &flow{Runner: r, pictures: Pictures(l.Stored()), info: l.Info()}
	s, err := f.send(b)
	if err != nil {
		return nil, err
	}
	return f.finish(f.begin(s))
}

// flow computes batches of bytes.
type flow struct {
	*Runner
	pictures engine.Pictures
	info     data.Info // of the images that the loader means
}

// sent is a batch on its way.
type sent struct {
	*data.Batch
	p   *program
	err error // of its run
}

// send begins to copy a batch to the device.
func (f *flow) send(b *data.Batch) (*sent, error) {
	p, err := f.pictured(tensor.Shape{len(b.Indices), f.info.Channels, f.info.Height, f.info.Width}, f.pictures)
	if err != nil {
		return nil, err
	}
	p.feed.Send(b.Pixels)
	return &sent{Batch: b, p: p}, nil
}

// begin lets the device compute, and finish waits for it.
func (f *flow) begin(s *sent) *sent {
	s.p.feed.Use()
	s.err = s.p.Run(0)
	return s
}

func (f *flow) finish(s *sent) (*tensor.Tensor, error) {
	if s.err != nil {
		return nil, s.err
	}
	s.p.Read(s.p.logits, s.p.out)
	return s.p.out, f.store.Device().Err()
}

// walk computes an epoch and hands the logits of every batch to do, in order. While the
// device computes a batch, do looks at the one before, and the next is on its way.
func (f *flow) walk(e *data.Epoch, do func(b *data.Batch, logits *tensor.Tensor) error) error {
	f.forget()
	defer f.forget()
	next := func() (*sent, error) {
		b, err := e.Next()
		if errors.Is(err, io.EOF) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		s, err := f.send(b)
		if err != nil {
			b.Release()
		}
		return s, err
	}
	var before *sent
	var logits *tensor.Tensor // of it
	seen := func() error {
		if before == nil {
			return nil
		}
		defer before.Release()
		return do(before.Batch, logits)
	}
	now, err := next()
	for err == nil && now != nil {
		f.begin(now)
		err, before = seen(), nil
		var coming *sent
		if err == nil {
			coming, err = next()
		}
		if err == nil {
			logits, err = f.finish(now)
		}
		before, now = now, coming
	}
	if err == nil {
		return seen()
	}
	for _, s := range []*sent{before, now} {
		if s != nil {
			s.Release()
		}
	}
	return err
}

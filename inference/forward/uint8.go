package forward

import (
	"errors"
	"io"
	"reflect"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/data/transforms"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/tensor"
)

// StoredImages converts the description of a loader's uint8 batches for the engine.
func StoredImages(s *data.Stored) engine.StoredImages {
	p := engine.StoredImages{Channels: s.Channels, Height: s.Height, Width: s.Width, Table: s.Table}
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

// PrepareStored is Prepare for the uint8 batches that s describes. If s is nil, the batches
// are float32.
func (r *Runner) PrepareStored(s *data.Stored, shape ...int) error {
	if s == nil {
		return r.Prepare(shape...)
	}
	_, err := r.compiledForUint8(shape, StoredImages(s))
	return err
}

// compiledForUint8 returns the model compiled for uint8 batches of this shape, stored as p
// says.
func (r *Runner) compiledForUint8(shape tensor.Shape, p engine.StoredImages) (*compiled, error) {
	fits := func(q *compiled) bool {
		return q.input.Shape.Equal(shape) && (q.feed == nil || reflect.DeepEqual(q.images, p))
	}
	q, err := r.compiledFor(shape, fits)
	if err != nil || q.feed != nil {
		return q, err
	}
	if q.feed, q.images = q.Images(q.input, p), p; q.feed == nil {
		return nil, errors.New("inference: a uint8 batch for a device that takes float32 images only")
	}
	return q, r.store.Device().Err()
}

// dropSent discards the batches that were sent to the device but not used yet.
func (r *Runner) dropSent() {
	for _, p := range r.cache {
		if p.feed != nil {
			p.feed.Drop()
		}
	}
}

// LogitsOf is Logits for a batch of l, which may be uint8.
func (r *Runner) LogitsOf(l *data.Loader, b *data.Batch) (*tensor.Tensor, error) {
	if b.Pixels == nil {
		return r.Logits(b.Images)
	}
	r.dropSent()
	f := &uint8Pass{Runner: r, images: StoredImages(l.Stored()), info: l.Info()}
	s, err := f.send(b)
	if err != nil {
		return nil, err
	}
	return f.finish(f.begin(s))
}

// uint8Pass runs the model on uint8 batches, and copies each to the device while the device
// computes the one before.
type uint8Pass struct {
	*Runner
	images engine.StoredImages
	info   data.Info // describes the images after the device has prepared them
}

// sentBatch is a batch that is being copied to the device or computed.
type sentBatch struct {
	*data.Batch
	p   *compiled
	err error // error of its run
}

// send begins to copy a batch to the device.
func (f *uint8Pass) send(b *data.Batch) (*sentBatch, error) {
	p, err := f.compiledForUint8(tensor.Shape{len(b.Indices), f.info.Channels, f.info.Height, f.info.Width}, f.images)
	if err != nil {
		return nil, err
	}
	p.feed.Send(b.Pixels)
	return &sentBatch{Batch: b, p: p}, nil
}

// begin starts the computation of a batch on the device, and finish waits for its logits.
func (f *uint8Pass) begin(s *sentBatch) *sentBatch {
	s.p.feed.Use()
	s.err = s.p.Run(0)
	return s
}

func (f *uint8Pass) finish(s *sentBatch) (*tensor.Tensor, error) {
	if s.err != nil {
		return nil, s.err
	}
	s.p.Read(s.p.logits, s.p.out)
	return s.p.out, f.store.Device().Err()
}

// epoch calls do with the logits of every batch of an epoch, in order. While the device
// computes a batch, do handles the one before and the next is copied to the device.
func (f *uint8Pass) epoch(e *data.Epoch, do func(b *data.Batch, logits *tensor.Tensor) error) error {
	f.dropSent()
	defer f.dropSent()
	next := func() (*sentBatch, error) {
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
	var before *sentBatch
	var logits *tensor.Tensor // of before
	handle := func() error {
		if before == nil {
			return nil
		}
		defer before.Release()
		return do(before.Batch, logits)
	}
	now, err := next()
	for err == nil && now != nil {
		f.begin(now)
		err, before = handle(), nil
		var coming *sentBatch
		if err == nil {
			coming, err = next()
		}
		if err == nil {
			logits, err = f.finish(now)
		}
		before, now = now, coming
	}
	if err == nil {
		return handle()
	}
	for _, s := range []*sentBatch{before, now} {
		if s != nil {
			s.Release()
		}
	}
	return err
}

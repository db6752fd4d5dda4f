package forward

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/prepare"
	"github.com/residual-ml/residual/tensor"
)

// Evaluate runs the model on one epoch of l, whose batches may be uint8, and measures it.
// progress, if it is not nil, is called after every batch with the number of images done.
// If ctx ends, Evaluate returns its error.
func Evaluate(ctx context.Context, r *Runner, l *data.Loader, progress func(done, total int)) (Result, error) {
	return EvaluateEach(ctx, r, l, nil, nil, progress)
}

// EvaluateEach is Evaluate with two more arguments, which may be nil: to is the scale of the
// model's input, which replaces the loader's own scale, and each is called for every answer,
// in the order of the loader.
func EvaluateEach(ctx context.Context, r *Runner, l *data.Loader, to *prepare.Input, each func(Answer), progress func(done, total int)) (Result, error) {
	start := time.Now()
	e := l.Epoch(ctx, 0)
	defer e.Close()
	if is, want := l.Info().Targets.Task.Named(), r.config.Targets.Task.Named(); is != want {
		return Result{}, fmt.Errorf("the data set %s has %s, and the model answers with %s", l.Info().Name, is, want)
	}
	s := newTally(r)
	count := func(b *data.Batch, logits *tensor.Tensor) error {
		err := s.add(b, logits, each)
		if err == nil && progress != nil {
			progress(s.count, l.Samples())
		}
		return err
	}
	pass := func() error { return r.images(e, to, count) }
	if stored := l.Stored(); stored != nil {
		p := &uint8Pass{Runner: r, images: StoredImages(stored), info: l.Info()}
		if to != nil {
			p.images.Table = make([][256]float32, stored.Channels)
			for i := range p.images.Table {
				p.images.Table[i] = to.Preprocess.Table(i)
			}
		}
		pass = func() error { return p.epoch(e, count) }
	}
	if err := pass(); err != nil {
		return Result{}, err
	}
	return s.result(time.Since(start)), nil
}

// images calls do with the logits of every batch of an epoch whose batches are float32.
func (r *Runner) images(e *data.Epoch, to *prepare.Input, do func(b *data.Batch, logits *tensor.Tensor) error) error {
	for {
		b, err := e.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if to != nil {
			s := b.Images.Shape()
			to.FromUnit(b.Images.Data(), s[2]*s[3])
		}
		logits, err := r.Logits(b.Images)
		if err == nil {
			err = do(b, logits)
		}
		b.Release()
		if err != nil {
			return err
		}
	}
}

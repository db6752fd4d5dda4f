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
	p := Pass{To: to, Progress: progress}
	if each != nil {
		p.Each = func(a Answer, _ []float32) { each(a) }
	}
	return EvaluateBy(ctx, r, l, p)
}

// Pass says how EvaluateBy goes over the images. The zero value is that of Evaluate.
type Pass struct {
	To       *prepare.Input        // the scale of the model's input, in place of the loader's own
	Progress func(done, total int) // called after every batch

	// Each is called for every answer of a model of classes, in the loader's order, with the
	// network's outputs for the image, before any temperature. They are valid only during the call.
	Each func(a Answer, outputs []float32)

	// Batch is called with the outputs of every batch and with its labels or targets; both are
	// valid only during the call.
	Batch func(b *data.Batch, outputs *tensor.Tensor)

	// Logits takes the place of Runner.Logits, as of a mean over several views of the images. The
	// batches must then not be uint8.
	Logits func(images *tensor.Tensor) (*tensor.Tensor, error)

	// Temperature divides the outputs: one number for classes, or one for each label. Nil stands
	// for 1. It changes probabilities and the loss, and no class.
	Temperature []float64
}

// EvaluateBy is Evaluate with everything that a Pass can say.
func EvaluateBy(ctx context.Context, r *Runner, l *data.Loader, p Pass) (Result, error) {
	start := time.Now()
	e := l.Epoch(ctx, 0)
	defer e.Close()
	if is, want := l.Info().Targets.Task.Named(), r.config.Targets.Task.Named(); is != want {
		return Result{}, fmt.Errorf("the data set %s has %s, and the model answers with %s", l.Info().Name, is, want)
	}
	s := newTally(r, p.Temperature)
	count := func(b *data.Batch, logits *tensor.Tensor) error {
		if p.Batch != nil {
			p.Batch(b, logits)
		}
		err := s.add(b, logits, p.Each)
		if err == nil && p.Progress != nil {
			p.Progress(s.count, l.Samples())
		}
		return err
	}
	logits := p.Logits
	if logits == nil {
		logits = r.Logits
	}
	pass := func() error { return images(e, p.To, logits, count) }
	if stored := l.Stored(); stored != nil {
		if p.Logits != nil {
			return Result{}, errors.New("batches are uint8, and Pass.Logits takes float32")
		}
		u := &uint8Pass{Runner: r, images: StoredImages(stored), info: l.Info()}
		if p.To != nil {
			u.images.Table = make([][256]float32, stored.Channels)
			for i := range u.images.Table {
				u.images.Table[i] = p.To.Preprocess.Table(i)
			}
		}
		pass = func() error { return u.epoch(e, count) }
	}
	if err := pass(); err != nil {
		return Result{}, err
	}
	return s.result(time.Since(start)), nil
}

// images calls do with the logits of every batch of an epoch whose batches are float32.
func images(e *data.Epoch, to *prepare.Input, logits func(*tensor.Tensor) (*tensor.Tensor, error), do func(b *data.Batch, logits *tensor.Tensor) error) error {
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
		y, err := logits(b.Images)
		if err == nil {
			err = do(b, y)
		}
		b.Release()
		if err != nil {
			return err
		}
	}
}

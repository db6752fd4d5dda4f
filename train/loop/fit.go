package loop

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/inference/forward"
)

// Fit trains for Options.Epochs epochs, or for the length of SetLength, or until Options.Patience
// ends the training early.
// save, if it is not nil, is called after each epoch's evaluation, when the module's host
// values are up to date.
//
// When ctx ends, Fit finishes the current step and returns ctx's error with the Totals so
// far; the model is as usable as after any other step. If a loss or a gradient is not finite,
// Fit returns an error that names the epoch, the batch and the first layer where it was found,
// and for which errors.Is(err, ErrNotFinite) is true.
//
// When Fit returns, the module's host values are up to date. After a loss or gradient that is
// not finite, or a failure of the device, they are those of the last completed epoch.
func (t *Trainer) Fit(ctx context.Context, events Events, save func(Epoch) error) (Totals, error) {
	f := &fit{Trainer: t, events: events, save: save}
	t.totals = t.past
	if names := t.Unreached(); len(names) > 0 && events.OnUnreached != nil {
		events.OnUnreached(names)
	}
	for epoch := t.past.Epochs + 1; t.batchesOf(epoch) > 0; epoch++ {
		if f.totals.Early = t.options.early(f.totals); f.totals.Early {
			break
		}
		if err := f.epoch(ctx, epoch); err != nil {
			if !errors.Is(err, ErrNotFinite) && t.store.Device().Err() == nil {
				f.settle()
			}
			return f.totals, err
		}
	}
	f.settle()
	return f.totals, nil
}

// early reports whether Options.Patience ends a training with the totals t.
func (o Options) early(t Totals) bool {
	return o.Patience > 0 && t.BestEpoch > 0 && t.Epochs-t.BestEpoch >= o.Patience
}

// settle updates the module's host values. With Options.EMA it also puts the averages in the
// place of the trained values, in the module and on the device.
func (t *Trainer) settle() {
	if len(t.average.of) > 0 {
		t.store.Pull()
		t.average.use(&t.trainee)
	}
}

// fit is one call of Fit.
type fit struct {
	*Trainer
	events Events
	save   func(Epoch) error
	images int
	took   time.Duration
}

// running holds an epoch's sums so far.
type running struct {
	loss         float64
	hits, images int
	norm         float64 // sum of the gradient norms
	uncounted    bool    // there are no hits to count
	steps        int
	start        time.Time
}

func (r *running) means() (loss, acc float64) {
	if r.uncounted {
		return r.loss / float64(r.images), math.NaN()
	}
	return r.loss / float64(r.images), float64(r.hits) / float64(r.images)
}

func (r *running) gradientNorm() float64 { return r.norm / float64(r.steps) }

func (r *running) rate() float64 { return float64(r.images) / time.Since(r.start).Seconds() }

func (f *fit) epoch(ctx context.Context, epoch int) error {
	if err := f.enter(f.stageOf(epoch)); err != nil {
		return err
	}
	e := f.prefetch(context.WithoutCancel(ctx), epoch)
	defer e.Close()
	f.sum.clear()
	r := running{start: time.Now(), uncounted: !f.ofClasses()}
	for batch := 1; ; batch++ {
		b, err := (*data.Batch)(nil), io.EOF
		of := f.batchesOf(epoch)
		if batch <= of {
			b, err = e.Next()
		}
		if errors.Is(err, io.EOF) {
			if err := f.Flush(f.rate()); err != nil {
				return f.diverged(Place{epoch, batch - 1}, nil, r.loss/float64(r.images), f.rate())
			}
			break
		}
		if err != nil && ctx.Err() != nil { // the data set noticed the end of ctx first
			return f.stopped(ctx, &r, Place{epoch, batch - 1})
		}
		if err != nil {
			return err
		}
		err = f.step(&r, b, Place{epoch, batch}, of)
		b.Release()
		f.totals.Loss, f.totals.Accuracy = r.means()
		if err != nil {
			return err
		}
		if ctx.Err() != nil {
			return f.stopped(ctx, &r, Place{epoch, batch})
		}
	}
	f.count(&r)
	return f.finish(ctx, epoch, &r)
}

// stopped ends an epoch after a batch because ctx has ended.
func (f *fit) stopped(ctx context.Context, r *running, at Place) error {
	f.count(r)
	f.store.Pull()
	f.totals.Stopped = &at
	return ctx.Err()
}

// count adds an epoch's training, finished or not, to the totals.
func (f *fit) count(r *running) {
	f.images += r.images
	f.took += time.Since(r.start)
	f.totals.ImagesPerSecond = float64(f.images) / f.took.Seconds()
}

// step trains on a batch of an epoch that has so many.
func (f *fit) step(r *running, b *data.Batch, at Place, of int) error {
	epoch, batch := at.Epoch, at.Batch
	batches, lr := f.Batches(), f.rate()
	loss, hits, err := f.stepOn(b, lr)
	if errors.Is(err, ErrNotFinite) {
		return f.diverged(at, b, loss, lr)
	}
	if err != nil {
		return fmt.Errorf("epoch %d, batch %d: %w", epoch, batch, err)
	}
	n := len(b.Indices)
	r.loss += loss * float64(n)
	r.hits += hits
	r.images += n
	r.norm += f.GradientNorm()
	r.steps++
	f.totals.Steps++
	mean, acc := r.means()
	if f.events.OnBatch != nil {
		f.events.OnBatch(BatchEvent{epoch, batch, mean, acc, lr, r.rate()})
	}
	if f.events.OnPoint != nil && (batch%max(batches/5, 1) == 0 || batch == of) {
		x := float64(epoch-1) + float64(batch)/float64(batches)
		if batch == of { // also of a last epoch that is shorter
			x = float64(epoch)
		}
		f.events.OnPoint(Point{x, mean, acc, lr, r.gradientNorm()})
	}
	return nil
}

// finish evaluates the model after an epoch and calls save.
func (f *fit) finish(ctx context.Context, epoch int, r *running) error {
	e := Epoch{
		Epoch: epoch, TestLoss: math.NaN(), TestAccuracy: math.NaN(), MacroF1: math.NaN(), BalancedAccuracy: math.NaN(),
		ImagesPerSecond: r.rate(),
	}
	e.Loss, e.Accuracy = r.means()
	e.GradientNorm = r.gradientNorm()
	f.store.Pull()
	if err := f.store.Device().Err(); err != nil {
		return fmt.Errorf("after epoch %d: %w", epoch, err) // nothing is saved
	}
	defer f.average.use(&f.trainee)()
	if f.tests != nil {
		held := newHeld(f.targets(), f.tests.Samples())
		res, err := forward.EvaluateBy(ctx, f.runner, f.tests, forward.Pass{Batch: held.add})
		if err != nil {
			if ctx.Err() != nil {
				f.totals.Stopped = &Place{epoch, f.Batches()}
			}
			return err
		}
		e.TestLoss, e.TestAccuracy, e.Test, e.Temperature = res.Loss, res.Accuracy, &res, held.temperature()
		if e.MacroF1, e.BalancedAccuracy, e.Confusion = res.MacroF1(), res.BalancedAccuracy(), res.Confusion; res.Labels != nil {
			e.MacroF1 = res.Labels.MacroF1
		}
	}
	e.Score = f.options.score(e)
	// Where no epoch has a score, as with a test part of one image, the latest is the best.
	unknown := !f.ofClasses() && math.IsNaN(e.Score) && math.IsNaN(f.totals.BestScore)
	if e.Best = f.totals.BestEpoch == 0 || unknown || f.options.better(e.Score, f.totals.BestScore); e.Best {
		f.totals.BestAccuracy, f.totals.BestScore, f.totals.BestEpoch = e.Measured(), e.Score, epoch
	}
	f.totals.Epochs, f.totals.TestAccuracy = epoch, e.TestAccuracy
	e.Elapsed = time.Since(r.start)
	if f.save != nil {
		if err := f.save(e); err != nil {
			return err
		}
	}
	if f.events.OnEpoch != nil {
		f.events.OnEpoch(e)
	}
	return nil
}

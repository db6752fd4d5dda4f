package loop

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/inference"
)

// Events hear of a training as it goes on, from its goroutine. Any may be nil.
type Events struct {
	OnStep  func(Step)
	OnPoint func(Point) // five times an epoch
	OnEpoch func(Epoch)
}

// Step is known after a batch, which is a step unless Options.Accumulate makes one of
// several. Loss and Accuracy are means over the epoch so far.
type Step struct {
	Epoch, Batch    int // from 1
	Loss, Accuracy  float64
	LR              float32
	ImagesPerSecond float64 // of this epoch's training
}

// Point is a point of d2l's curves: the means over the epoch so far at X epochs,
// every fifth of an epoch.
type Point struct {
	X              float64
	Loss, Accuracy float64
	LR             float32
	GradientNorm   float64 // of the first layer's weight: see Trainer.GradientNorm; NaN unless it was asked for
}

// Epoch is known after an epoch and its evaluation. Test values are NaN without a
// test set.
type Epoch struct {
	Epoch                  int // from 1
	Loss, Accuracy         float64
	TestLoss, TestAccuracy float64
	ImagesPerSecond        float64       // of the training alone
	Elapsed                time.Duration // with the evaluation
	Best                   bool          // better than every epoch before
	GradientNorm           float64       // mean over the epoch's steps; see Point

	// Of the test set; NaN and nil without one.
	MacroF1, BalancedAccuracy float64
	Confusion                 [][]int // as inference.Result has it
	Score                     float64 // by the metric that the best epoch is chosen by
}

// Totals sum up a training. What was not measured is NaN.
type Totals struct {
	Epochs          int     // completed
	Steps           int     // batches trained on; of a resumed run with those before
	Loss, Accuracy  float64 // means over the last epoch, completed or not
	TestAccuracy    float64 // after the last completed epoch
	BestAccuracy    float64 // of the best epoch, by Options.Metric
	BestScore       float64 // and that metric of it
	BestEpoch       int
	Early           bool    // ended by Options.Patience
	ImagesPerSecond float64 // of all steps since the start or resumption, with the wait for their batches
	Stopped         *Place  // nil when the training ended by itself
}

// noTotals are those of a training that has not begun.
func noTotals() Totals {
	return Totals{Loss: math.NaN(), Accuracy: math.NaN(), TestAccuracy: math.NaN(), BestAccuracy: math.NaN(), BestScore: math.NaN()}
}

// Place is the last step of a training that was stopped.
type Place struct{ Epoch, Batch int }

// Fit trains for the epochs of the options, or until there was none better for
// Options.Patience of them. When ctx ends it finishes the step,
// and returns ctx's error with the Totals so far; the model is then as usable as
// at any other step. A loss or a gradient that is not finite is an error that names epoch and
// batch, and the first layer it was found in. In each case the module's host values are up to date, except after a loss
// that is not finite or a device that failed, when they are those of the last completed epoch. save, when
// it is not nil, is called after each epoch's evaluation with the values up to date.
func (t *Trainer) Fit(ctx context.Context, events Events, save func(Epoch) error) (Totals, error) {
	f := &fit{Trainer: t, events: events, save: save}
	t.totals = t.past
	for epoch := t.past.Epochs + 1; epoch <= t.options.Epochs; epoch++ {
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

// early says whether a training that is as far as t ends for want of a better epoch.
func (o Options) early(t Totals) bool {
	return o.Patience > 0 && t.BestEpoch > 0 && t.Epochs-t.BestEpoch >= o.Patience
}

// settle leaves the averages, if they are kept, in the module and on the device.
func (t *Trainer) settle() {
	if len(t.average.of) > 0 {
		t.store.Pull()
		t.average.use(t)
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

// running sums an epoch.
type running struct {
	loss         float64
	hits, images int
	norm         float64 // sum over the steps
	steps        int
	start        time.Time
}

func (r *running) means() (loss, acc float64) {
	return r.loss / float64(r.images), float64(r.hits) / float64(r.images)
}

func (r *running) gradientNorm() float64 { return r.norm / float64(r.steps) }

func (r *running) rate() float64 { return float64(r.images) / time.Since(r.start).Seconds() }

func (f *fit) epoch(ctx context.Context, epoch int) error {
	e := f.walkOf(context.WithoutCancel(ctx), epoch)
	defer e.Close()
	f.sum.clear()
	r := running{start: time.Now()}
	for batch := 1; ; batch++ {
		b, err := e.Next()
		if errors.Is(err, io.EOF) {
			if err := f.Flush(f.rate()); err != nil {
				return f.diverged(Place{epoch, batch - 1}, nil, r.loss/float64(r.images), f.rate())
			}
			break
		}
		if err != nil {
			return err
		}
		err = f.step(&r, b, epoch, batch)
		b.Release()
		f.totals.Loss, f.totals.Accuracy = r.means()
		if err != nil {
			return err
		}
		if ctx.Err() != nil {
			f.count(&r)
			f.store.Pull()
			f.totals.Stopped = &Place{epoch, batch}
			return ctx.Err()
		}
	}
	f.count(&r)
	return f.finish(ctx, epoch, &r)
}

// count adds an epoch's training, finished or not, to the totals.
func (f *fit) count(r *running) {
	f.images += r.images
	f.took += time.Since(r.start)
	f.totals.ImagesPerSecond = float64(f.images) / f.took.Seconds()
}

// rate is that of the optimiser's next step.
func (t *Trainer) rate() float32 {
	each := t.options.Accumulate
	return t.options.Schedule.LR(t.store.Step()+1, t.options.Epochs*((t.Batches()+each-1)/each))
}

func (f *fit) step(r *running, b *data.Batch, epoch, batch int) error {
	batches, lr := f.Batches(), f.rate()
	loss, hits, err := f.stepOn(b, lr)
	if errors.Is(err, ErrNotFinite) {
		return f.diverged(Place{epoch, batch}, b, loss, lr)
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
	if f.events.OnStep != nil {
		f.events.OnStep(Step{epoch, batch, mean, acc, lr, r.rate()})
	}
	if f.events.OnPoint != nil && (batch%max(batches/5, 1) == 0 || batch == batches) {
		f.events.OnPoint(Point{float64(epoch-1) + float64(batch)/float64(batches), mean, acc, lr, r.gradientNorm()})
	}
	return nil
}

// finish evaluates and saves.
func (f *fit) finish(ctx context.Context, epoch int, r *running) error {
	e := Epoch{
		Epoch: epoch, TestLoss: math.NaN(), TestAccuracy: math.NaN(), MacroF1: math.NaN(), BalancedAccuracy: math.NaN(),
		ImagesPerSecond: r.rate(),
	}
	e.Loss, e.Accuracy = r.means()
	e.GradientNorm = r.gradientNorm()
	f.store.Pull()
	if err := f.store.Device().Err(); err != nil {
		return fmt.Errorf("after epoch %d: %w", epoch, err) // nothing of it is saved
	}
	defer f.average.use(f.Trainer)()
	if f.tests != nil {
		res, err := inference.Evaluate(ctx, f.runner, f.tests, nil)
		if err != nil {
			if ctx.Err() != nil {
				f.totals.Stopped = &Place{epoch, f.Batches()}
			}
			return err
		}
		e.TestLoss, e.TestAccuracy = res.Loss, res.Accuracy
		e.MacroF1, e.BalancedAccuracy, e.Confusion = res.MacroF1(), res.BalancedAccuracy(), res.Confusion
	}
	e.Score = f.options.Metric.of(e)
	if e.Best = f.totals.BestEpoch == 0 || f.options.Metric.better(e.Score, f.totals.BestScore); e.Best {
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

// Measured is the accuracy of the test, or that of the training where there is no test.
func (e Epoch) Measured() float64 {
	if math.IsNaN(e.TestAccuracy) {
		return e.Accuracy
	}
	return e.TestAccuracy
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

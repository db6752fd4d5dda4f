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

// Events are functions that Fit calls while it trains, on its own goroutine. Each may be nil.
type Events struct {
	OnStep  func(Step)
	OnPoint func(Point) // five times an epoch
	OnEpoch func(Epoch)

	// OnUnreached is called once, before the first step, if the loss does not depend on some
	// parameters; see Trainer.Unreached.
	OnUnreached func(parameters []string)
}

// Step is the state of a training after a batch. With Options.Accumulate several batches
// make one step of the optimiser. Loss and Accuracy are means over the epoch so far.
type Step struct {
	Epoch, Batch    int // from 1
	Loss, Accuracy  float64
	LR              float32
	ImagesPerSecond float64 // in this epoch so far
}

// Point is a point of the training curves in the form of d2l: the means over the epoch so
// far, five times an epoch, at X epochs.
type Point struct {
	X              float64
	Loss, Accuracy float64
	LR             float32
	GradientNorm   float64 // of the first layer's weight: see Trainer.GradientNorm; NaN without Options.GradientNorm
}

// Epoch is the result of an epoch and its evaluation. Test values are NaN without a test set.
type Epoch struct {
	Epoch                  int // from 1
	Loss, Accuracy         float64
	TestLoss, TestAccuracy float64
	ImagesPerSecond        float64       // in training, without the evaluation
	Elapsed                time.Duration // including the evaluation
	Best                   bool          // better than every epoch before
	GradientNorm           float64       // mean over the epoch's batches; see Point

	// Measures on the test set; NaN and nil without one.
	MacroF1, BalancedAccuracy float64
	Confusion                 [][]int // see forward.Result
	Score                     float64 // the value of Options.Metric or Score, by which the best epoch is chosen

	// Test has all measures on the test set; nil without one. Accuracy and TestAccuracy are of
	// classes, and NaN for other tasks.
	Test *forward.Result
}

// Totals summarises a training. Values that were not measured are NaN.
type Totals struct {
	Epochs          int     // completed epochs
	Steps           int     // batches trained on, including those before a resumption
	Loss, Accuracy  float64 // means over the last epoch, completed or not
	TestAccuracy    float64 // after the last completed epoch
	BestAccuracy    float64 // accuracy of the best epoch, which is chosen by Options.Metric or Score
	BestScore       float64 // value of that metric for the best epoch
	BestEpoch       int
	Early           bool    // the training was ended by Options.Patience
	ImagesPerSecond float64 // over all batches since the start or resumption, including the wait for them
	Stopped         *Place  // where ctx ended the training; nil if it was not ended by ctx
}

// noTotals returns the totals of a training that has not begun.
func noTotals() Totals {
	return Totals{Loss: math.NaN(), Accuracy: math.NaN(), TestAccuracy: math.NaN(), BestAccuracy: math.NaN(), BestScore: math.NaN()}
}

// Place is a batch of a training, such as the last one before it was stopped.
type Place struct{ Epoch, Batch int }

// Fit trains for Options.Epochs epochs, or until Options.Patience ends the training early.
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
	e := f.prefetch(context.WithoutCancel(ctx), epoch)
	defer e.Close()
	f.sum.clear()
	r := running{start: time.Now(), uncounted: !f.ofClasses()}
	for batch := 1; ; batch++ {
		b, err := e.Next()
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
		err = f.step(&r, b, epoch, batch)
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

// rate returns the learning rate of the optimiser's next step.
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
		res, err := forward.Evaluate(ctx, f.runner, f.tests, nil)
		if err != nil {
			if ctx.Err() != nil {
				f.totals.Stopped = &Place{epoch, f.Batches()}
			}
			return err
		}
		e.TestLoss, e.TestAccuracy, e.Test = res.Loss, res.Accuracy, &res
		if e.MacroF1, e.BalancedAccuracy, e.Confusion = res.MacroF1(), res.BalancedAccuracy(), res.Confusion; res.Labels != nil {
			e.MacroF1 = res.Labels.MacroF1
		}
	}
	e.Score = f.options.score(e)
	if e.Best = f.totals.BestEpoch == 0 || f.options.better(e.Score, f.totals.BestScore); e.Best {
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

// Measured is the accuracy on the test set, or the training's accuracy without a test set.
func (e Epoch) Measured() float64 {
	if math.IsNaN(e.TestAccuracy) {
		return e.Accuracy
	}
	return e.TestAccuracy
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

package loop

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/residual-ml/residual/internal/field"
	"github.com/residual-ml/residual/internal/number"
	"github.com/residual-ml/residual/optim"
)

// LRFind holds the settings of Trainer.FindLR. The zero value stands for 1e-4 to 10 in 100
// steps, or until the loss is four times its minimum.
type LRFind struct {
	From, To float64 // learning rates of the first and the last step
	Steps    int
	Diverged float64 // multiple of the minimal loss at which the test ends
}

func (o LRFind) resolved() LRFind {
	o.From, o.To, o.Steps, o.Diverged = cmp.Or(o.From, 1e-4), cmp.Or(o.To, 10), cmp.Or(o.Steps, 100), cmp.Or(o.Diverged, 4)
	return o
}

// highestRate is as high as a range test goes.
const highestRate = 1000

// Check returns an error that names the first invalid setting, or nil.
func (o LRFind) Check() error {
	o = o.resolved()
	switch {
	case !(o.From > 0) || math.IsInf(o.From, 1):
		return field.Errorf("{From} %v: must be a rate above 0, such as 1e-4", o.From)
	case !(o.To > o.From) || o.To > highestRate:
		return field.Errorf("{To} %v: must be a rate above {From} %v, at most %d", o.To, o.From, highestRate)
	case o.Steps < 20 || o.Steps > 1<<20:
		return field.Errorf("{Steps} %d: must be from 20 to %d", o.Steps, 1<<20)
	case !(o.Diverged > 1):
		return field.Errorf("{Diverged} %v: must be a multiple above 1, such as 4", o.Diverged)
	}
	return nil
}

// LRPoint is a step of Trainer.FindLR. Smooth is the mean of the losses around the step, weighted
// by a Gaussian whose standard deviation is a twenty-fifth of the steps. Unlike a moving average
// of the steps before, it does not lag behind the rate.
type LRPoint struct {
	Step   int     `json:"step"` // from 1
	LR     float32 `json:"lr"`
	Loss   float64 `json:"loss"`
	Smooth float64 `json:"smoothed_loss"`
}

// MarshalJSON implements json.Marshaler. A loss that is NaN becomes null, and an infinite one
// the string "+Inf".
func (p LRPoint) MarshalJSON() ([]byte, error) { return number.Object(p) }

// LRCurve is the loss as a function of the rising learning rate, and what it suggests. The rates
// are 0 if the loss fell no more than by chance.
type LRCurve struct {
	Points []LRPoint `json:"points"`
	// Suggested is the rate where the smoothed loss is at its minimum, twice as much for SGD and a
	// tenth for AdamW.
	// What comes after the minimum, where the rate is too large, is not looked at. It is not in the
	// JSON, where a program says null in place of 0.
	Suggested float32 `json:"-"`
	Lowest    float32 `json:"lowest"`   // where the smoothed loss is at its minimum
	Steepest  float32 `json:"steepest"` // where it falls fastest before
	Diverged  bool    `json:"diverged"` // the test ended early, since the loss rose too far or was not finite
}

// FindLR is the learning rate range test of Smith (https://arxiv.org/abs/1506.01186, section
// 3.3). It trains while the learning rate rises exponentially with every step, and records
// the loss. It ignores the schedule of the options, and leaves the weights as trained. onBatch,
// if it is not nil, is called after every step with a moving average of the loss.
func (t *Trainer) FindLR(ctx context.Context, o LRFind, onBatch func(BatchEvent)) (LRCurve, error) {
	if err := o.Check(); err != nil {
		return LRCurve{}, err
	}
	o = o.resolved()
	r := rangeTest{LRFind: o, t: t, onBatch: onBatch}
	for epoch := 1; !r.over(); epoch++ {
		if err := r.epoch(ctx, epoch); err != nil {
			return LRCurve{}, err
		}
	}
	r.curve.smooth(o.Steps)
	r.curve.suggest(o.Steps, shareFor(t.options.Optimizer))
	return r.curve, nil
}

// rangeTest is one call of FindLR.
type rangeTest struct {
	LRFind
	t       *Trainer
	onBatch func(BatchEvent)
	curve   LRCurve
	mean    float64 // moving average without the correction for its start at 0
	least   float64 // lowest moving average
	loss    float64 // sum over the step's batches so far
	batches int
}

func (r *rangeTest) over() bool { return r.curve.Diverged || len(r.curve.Points) == r.Steps }

// rate returns the learning rate of the next step.
func (r *rangeTest) rate() float32 {
	progress := float64(len(r.curve.Points)) / float64(r.Steps-1)
	return float32(r.From * math.Pow(r.To/r.From, progress))
}

func (r *rangeTest) epoch(ctx context.Context, epoch int) error {
	e := r.t.prefetch(ctx, epoch)
	defer e.Close()
	for batch := 1; !r.over(); batch++ {
		b, err := e.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		lr := r.rate()
		loss, _, err := r.t.stepOn(b, lr)
		b.Release()
		switch {
		case errors.Is(err, ErrNotFinite):
			r.curve.Diverged = true
			return r.noPoint(batch)
		case err != nil:
			return fmt.Errorf("batch %d at the learning rate %v: %w", batch, lr, err)
		}
		r.loss += loss
		if r.batches++; r.batches == r.t.options.Accumulate {
			r.add(lr, r.loss/float64(r.batches))
			r.loss, r.batches = 0, 0
		}
	}
	return nil
}

// noPoint returns an error if the loss was not finite in the first step.
func (r *rangeTest) noPoint(batch int) error {
	if len(r.curve.Points) > 0 {
		return nil
	}
	return field.Errorf("batch %d: at the lowest rate, %v, the loss is not finite already; begin lower ({From}), or see what a training says of it", batch, float32(r.From))
}

// add records the loss of a step.
func (r *rangeTest) add(lr float32, loss float64) {
	const keep = 0.98
	n := len(r.curve.Points) + 1
	r.mean = keep*r.mean + (1-keep)*loss
	mean := r.mean / (1 - math.Pow(keep, float64(n)))
	r.curve.Points = append(r.curve.Points, LRPoint{Step: n, LR: lr, Loss: loss})
	if n == 1 || mean < r.least {
		r.least = mean
	}
	r.curve.Diverged = mean > r.Diverged*r.least
	if r.onBatch != nil {
		r.onBatch(BatchEvent{Epoch: 1, Batch: n, Loss: mean, LR: lr, Accuracy: math.NaN(), ImagesPerSecond: math.NaN()})
	}
}

// width is the standard deviation of the smoothing in steps.
func width(steps int) float64 { return max(1, float64(steps)/25) }

// smooth fills in the smoothed losses. A loss counts as at most twice that of the first steps, so
// that the end of the test, where it explodes, does not reach far back.
func (c *LRCurve) smooth(steps int) {
	first := c.Points[:min(len(c.Points), max(1, steps/10))]
	most := 0.0
	for _, p := range first {
		most += 2 * p.Loss / float64(len(first))
	}
	w := width(steps)
	for i := range c.Points {
		sum, weights := 0.0, 0.0
		for j := max(0, i-int(3*w)); j < min(len(c.Points), i+int(3*w)+1); j++ {
			d := float64(j-i) / w
			weight := math.Exp(-d * d / 2)
			sum += float64(weight * min(c.Points[j].Loss, most))
			weights += weight
		}
		c.Points[i].Smooth = sum / weights
	}
}

// shareFor returns how many times the rate with the lowest loss suits an optimiser, by sweeps of
// whole trainings, which docs/photos.md has. The rate of a training by SGD rises to its largest
// value more slowly than that of the test, and falls in the end, so that it may be larger. A step
// of AdamW is about as long as the rate says however small the gradients are, so that a rate at
// which the loss still falls for some steps is too large for a whole training.
func shareFor(o optim.Optimizer) float64 {
	switch o.(type) {
	case optim.SGD:
		return 2
	case optim.AdamW:
		return 0.1
	}
	return 1
}

// suggest finds the rates at the minimum of the smoothed loss and left of it. share is the share of
// the rate at the minimum that suits the optimiser.
func (c *LRCurve) suggest(steps int, share float64) {
	low := 0
	for i, p := range c.Points {
		if p.Smooth < c.Points[low].Smooth {
			low = i
		}
	}
	left := c.Points[:low+1]
	high, noise := 0.0, 0.0
	for _, p := range left {
		high = max(high, p.Smooth)
		noise += (p.Loss - p.Smooth) * (p.Loss - p.Smooth) / float64(len(left))
	}
	fall := high - left[low].Smooth
	// The deviation of a mean by Gaussian weights is that of a single loss over the root of 2√π·width.
	if chance := math.Sqrt(noise / (2 * math.Sqrt(math.Pi) * width(steps))); low == 0 || !(fall > max(5*chance, 0.01*high)) {
		return
	}
	c.Lowest = left[low].LR
	steepest := 0.0
	for i := range low {
		a, b := left[i], left[i+1]
		if slope := (b.Smooth - a.Smooth) / math.Log(float64(b.LR)/float64(a.LR)); slope < steepest {
			steepest, c.Steepest = slope, a.LR
		}
	}
	c.Suggested = float32(share * float64(c.Lowest))
}

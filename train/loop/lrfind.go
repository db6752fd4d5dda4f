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
)

// LRFind holds the settings of Trainer.FindLR. The zero value stands for fastai's: from 1e-7
// to 10 in 100 steps, or until the loss is four times its minimum.
type LRFind struct {
	From, To float64 // learning rates of the first and the last step
	Steps    int
	Diverged float64 // multiple of the minimal loss at which the test ends
}

func (o LRFind) resolved() LRFind {
	o.From, o.To, o.Steps, o.Diverged = cmp.Or(o.From, 1e-7), cmp.Or(o.To, 10), cmp.Or(o.Steps, 100), cmp.Or(o.Diverged, 4)
	return o
}

// highestRate is as high as a range test goes.
const highestRate = 1000

// Check returns an error that names the first invalid setting, or nil.
func (o LRFind) Check() error {
	o = o.resolved()
	switch {
	case !(o.From > 0) || math.IsInf(o.From, 1):
		return field.Errorf("{From} %v: must be a rate above 0, such as 1e-7", o.From)
	case !(o.To > o.From) || o.To > highestRate:
		return field.Errorf("{To} %v: must be a rate above {From} %v, at most %d", o.To, o.From, highestRate)
	case o.Steps < 20 || o.Steps > 1<<20:
		return field.Errorf("{Steps} %d: must be from 20 to %d", o.Steps, 1<<20)
	case !(o.Diverged > 1):
		return field.Errorf("{Diverged} %v: must be a multiple above 1, such as 4", o.Diverged)
	}
	return nil
}

// LRPoint is a step of Trainer.FindLR. Smooth is fastai's exponential moving average of the
// losses so far, with the decay 0.98.
type LRPoint struct {
	Step   int     `json:"step"` // from 1
	LR     float32 `json:"lr"`
	Loss   float64 `json:"loss"`
	Smooth float64 `json:"smoothed_loss"`
}

// MarshalJSON implements json.Marshaler. A loss that is NaN becomes null, and an infinite one
// the string "+Inf".
func (p LRPoint) MarshalJSON() ([]byte, error) { return number.Object(p) }

// LRCurve is the loss as a function of the rising learning rate, with the rates that fastai's
// rules suggest. A suggestion is 0 if the loss never fell.
type LRCurve struct {
	Points   []LRPoint `json:"points"`
	Valley   float32   `json:"valley"`        // in the middle of the longest fall, fastai's default
	Steepest float32   `json:"steepest"`      // where the smoothed loss falls fastest
	Tenth    float32   `json:"minimum_tenth"` // a tenth of the rate with the lowest smoothed loss
	Diverged bool      `json:"diverged"`      // the test ended early, since the loss rose too far or was not finite
}

// FindLR is the learning rate range test of Smith (https://arxiv.org/abs/1506.01186, section
// 3.3). It trains while the learning rate rises exponentially with every step, and records
// the loss. It ignores the schedule of the options, and leaves the weights as trained. onStep,
// if it is not nil, is called after every step with the smoothed loss.
func (t *Trainer) FindLR(ctx context.Context, o LRFind, onStep func(Step)) (LRCurve, error) {
	if err := o.Check(); err != nil {
		return LRCurve{}, err
	}
	o = o.resolved()
	r := rangeTest{LRFind: o, t: t, onStep: onStep}
	for epoch := 1; !r.over(); epoch++ {
		if err := r.epoch(ctx, epoch); err != nil {
			return LRCurve{}, err
		}
	}
	r.curve.suggest(o.Steps)
	return r.curve, nil
}

// rangeTest is one call of FindLR.
type rangeTest struct {
	LRFind
	t       *Trainer
	onStep  func(Step)
	curve   LRCurve
	mean    float64 // moving average without the correction for its start at 0
	least   float64 // lowest smoothed loss
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
	p := LRPoint{Step: n, LR: lr, Loss: loss, Smooth: r.mean / (1 - math.Pow(keep, float64(n)))}
	r.curve.Points = append(r.curve.Points, p)
	if n == 1 || p.Smooth < r.least {
		r.least = p.Smooth
	}
	r.curve.Diverged = p.Smooth > r.Diverged*r.least
	if r.onStep != nil {
		r.onStep(Step{Epoch: 1, Batch: n, Loss: p.Smooth, LR: lr, Accuracy: math.NaN(), ImagesPerSecond: math.NaN()})
	}
}

// suggest applies fastai's rules to the curve without its first tenth and its last five
// points.
func (c *LRCurve) suggest(steps int) {
	from, to := steps/10, len(c.Points)-5
	if to-from < 3 {
		from, to = 0, len(c.Points)
	}
	points := c.Points[from:to]
	if i := valley(points); i >= 0 {
		c.Valley = points[i].LR
	}
	if i := steepest(points); i >= 0 {
		c.Steepest = points[i].LR
	}
	low := 0
	for i, p := range points {
		if p.Smooth < points[low].Smooth {
			low = i
		}
	}
	if low > 0 {
		c.Tenth = points[low].LR / 10
	}
}

// valley is fastai's rule of that name. It finds the longest decreasing subsequence of points
// and returns the index in the middle of its second third, or -1 if the loss never fell.
func valley(points []LRPoint) int {
	longest := make([]int, len(points)) // length of the longest subsequence that ends at each point
	start, end := 0, 0
	for i := range points {
		longest[i] = 1
		for j := range i {
			if points[i].Smooth < points[j].Smooth && longest[i] < longest[j]+1 {
				longest[i] = longest[j] + 1
			}
			if longest[end] < longest[i] {
				end = i
				start = end - longest[end]
			}
		}
	}
	if end == 0 {
		return -1
	}
	third := float64(end-start) / 3
	return max(start+int(third)+int(third/2), 0)
}

// steepest returns the index where the smoothed loss falls most per logarithm of the rate,
// or -1 if it never fell.
func steepest(points []LRPoint) int {
	best, least := -1, 0.0
	for i := range len(points) - 1 {
		a, b := points[i], points[i+1]
		if slope := (b.Smooth - a.Smooth) / math.Log(float64(b.LR)/float64(a.LR)); slope < least {
			best, least = i, slope
		}
	}
	return best
}

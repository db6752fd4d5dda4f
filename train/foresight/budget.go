package foresight

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/internal/field"
)

// Offer is a training that a budget may choose.
type Offer struct {
	Name string  // such as "resnet18 at 96x96"
	Cost float64 // of an epoch, such as multiply-adds, by which the speed of one offer predicts that of another

	Least  float64 // epochs below which the offer is of no use
	Enough float64 // epochs from which on it is worth its cost: with fewer, a smaller offer is better
	Most   float64 // epochs beyond which there is little to gain
}

func (o Offer) String() string { return o.Name }

// Reserve is the share of a budget that is kept for what comes after the training, and because a
// machine is not always as fast as in a trial. Trials may take the share trials of it.
const (
	Reserve = 0.05
	trials  = 0.03
)

// Choice is the offer that a budget has chosen.
type Choice struct {
	Offer    int      // index of the offer
	Epochs   float64  // that fit, which need not be whole
	Estimate Estimate // of the offer, as measured, for so many epochs
	Why      []string // the reasons, as sentences for the user
}

// Choose returns the largest offer of which Enough epochs fit into the time that is left of a
// budget. If there is none, it is the smallest, for as many epochs as fit: it fails only if these
// are fewer than Least. offers are ordered by cost, the smallest first. measure returns the
// estimate of an offer, or an *engine.MemoryError. Choose measures the smallest offer, predicts the
// others from the nearest that was measured and their costs, and measures what it would choose; it
// stops measuring when that has taken 3% of the budget.
func Choose(offers []Offer, budget time.Duration, left func() time.Duration, measure func(i int) (Estimate, error)) (c Choice, err error) {
	s := search{offers: offers, budget: budget, left: left, known: map[int]Estimate{}, large: map[int]error{}}
	start := left()
	for next := 0; ; {
		e, err := measure(next)
		if large := (*engine.MemoryError)(nil); errors.As(err, &large) {
			if next == 0 {
				return c, field.Errorf("{Budget}: %v does not fit: %w; give a smaller {Batch} or {Resize}, or {Recompute}", offers[0], large.Err)
			}
			s.large[next] = large.Err
		} else if err != nil {
			return c, err
		} else {
			s.known[next] = e
		}
		spent := start-left() > time.Duration(trials*float64(budget))
		if next = s.best(spent); s.measured(next) {
			return s.choice(next)
		}
	}
}

// search is one call of Choose.
type search struct {
	offers []Offer
	budget time.Duration
	left   func() time.Duration
	known  map[int]Estimate
	large  map[int]error // offers that do not fit into memory
}

func (s *search) measured(i int) bool { _, ok := s.known[i]; return ok }

// best returns the largest offer of which enough epochs seem to fit, and otherwise the smallest.
func (s *search) best(measured bool) int {
	for i := len(s.offers) - 1; i > 0; i-- {
		if s.large[i] != nil || measured && !s.measured(i) {
			continue
		}
		if s.fits(s.estimate(i)) >= s.offers[i].Enough {
			return i
		}
	}
	return 0
}

// estimate returns the estimate of an offer, as measured or as the nearest that was measured
// predicts it.
func (s *search) estimate(i int) Estimate {
	near := 0
	for j := range s.offers {
		if s.measured(j) && max(i-j, j-i) <= max(i-near, near-i) {
			near = j
		}
	}
	e := s.known[near]
	if near == i {
		return e
	}
	times := s.offers[i].Cost / s.offers[near].Cost
	for _, d := range []*time.Duration{&e.FirstEpoch, &e.Epoch, &e.FirstEvaluation, &e.Evaluation, &e.Step} {
		*d = time.Duration(float64(*d) * times)
	}
	return e
}

// fits returns how many epochs fit into the time that is left.
func (s *search) fits(e Estimate) float64 {
	return e.fits(s.left() - time.Duration(Reserve*float64(s.budget)))
}

// choice returns the choice of an offer that was measured.
func (s *search) choice(i int) (c Choice, err error) {
	o, e := s.offers[i], s.known[i]
	n := min(s.fits(e), o.Most)
	if n < o.Least {
		return c, o.tooLong(e, n, s.budget, s.budget-s.left())
	}
	e.Epochs, e.Total = int(math.Ceil(n)), e.once()+time.Duration(n*float64(e.each()))
	c = Choice{Offer: i, Epochs: n, Estimate: e}
	c.Why = []string{fmt.Sprintf("%v for %s, %s each, suits the budget of %s", o, count(n), round(e.each()), spell(s.budget))}
	switch next := i + 1; {
	case n < o.Enough:
		c.Why = append(c.Why, fmt.Sprintf("these are few: a budget of %s would have room for %s", spell(needs(e, o.Enough, s.budget-s.left())), count(o.Enough)))
	case next < len(s.offers) && s.large[next] != nil:
		c.Why = append(c.Why, fmt.Sprintf("%v does not fit: %v", s.offers[next], s.large[next]))
	case next < len(s.offers):
		larger := s.estimate(next)
		c.Why = append(c.Why, fmt.Sprintf("%v would have had about %s of %s each, and %s are the least for it", s.offers[next], count(max(s.fits(larger), 0)), round(larger.each()), decimal(s.offers[next].Enough)))
	case n == o.Most && o.Most > o.Least:
		c.Why = append(c.Why, fmt.Sprintf("more than %s would be of little use", count(n)))
	}
	return c, nil
}

// tooLong returns an error that says what would fit. spent is the time that the program has
// used so far.
func (o Offer) tooLong(e Estimate, fit float64, budget, spent time.Duration) error {
	needed := spell(needs(e, o.Least, spent))
	if fit >= 1 {
		return field.Errorf("{Budget} %s: %v takes %s an epoch, so that %s of at least %s fit; give {Budget} %s, {Epochs} %.0f, or fewer images ({TrainSize})",
			spell(budget), o, round(e.each()), decimal(math.Floor(fit)), count(o.Least), needed, math.Floor(fit))
	}
	return field.Errorf("{Budget} %s: %v takes %s an epoch, so that 0 of at least %s fit; give {Budget} %s, or fewer images ({TrainSize})",
		spell(budget), o, round(e.each()), count(o.Least), needed)
}

// needs returns the budget for so many epochs if the time spent has been used already.
func needs(e Estimate, epochs float64, spent time.Duration) time.Duration {
	step := 10 * time.Second
	training := e.once() + time.Duration(epochs*float64(e.each()))
	need := time.Duration(float64(spent+training) / (1 - Reserve))
	if need > 10*time.Minute {
		step = time.Minute
	}
	return need.Truncate(step) + step
}

package foresight

import (
	"errors"
	"fmt"
	"time"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/internal/field"
)

// Offer is a training that a budget may choose, with the number of epochs it may have.
type Offer struct {
	Name string // such as "resnet18 at 96x96"

	// With fewer than MinEpochs the offer is of no use, and with fewer than EnoughEpochs a
	// smaller offer is better. More than MaxEpochs gain little.
	MinEpochs, EnoughEpochs, MaxEpochs int
}

func (o Offer) String() string { return o.Name }

// reserve is the fraction of a budget that is left unused, since a machine is not always as
// fast as in a trial.
const reserve = 0.1

// Choice is the offer that a budget has chosen.
type Choice struct {
	Offer  int // index of the offer
	Epochs int
	Why    []string // the reasons, as sentences for the user
}

// Choose returns the largest offer of which EnoughEpochs fit into the time that is left of a
// budget, or the smallest offer if at least its MinEpochs fit. offers are ordered by size,
// the smallest first. measure returns the estimate of an offer, or an *engine.MemoryError;
// Choose calls it from the smallest offer up to the first that does not fit.
func Choose(offers []Offer, budget time.Duration, left func() time.Duration, measure func(i int) (Estimate, error)) (c Choice, err error) {
	also := ""
	for i, o := range offers {
		e, err := measure(i)
		if large := (*engine.MemoryError)(nil); errors.As(err, &large) {
			if i == 0 {
				return c, field.Errorf("{Budget}: %v does not fit: %w; give a smaller {Batch} or {Resize}, or {Recompute}", o, large.Err)
			}
			also = fmt.Sprintf("%v does not fit: %v", o, large.Err)
			break
		}
		if err != nil {
			return c, err
		}
		remaining := left()
		n := min(e.fits(remaining-time.Duration(reserve*float64(budget))), o.MaxEpochs)
		if i > 0 && n < o.EnoughEpochs {
			also = fmt.Sprintf("%v would have had %s of %s each, and %d are the least for it", o, count(n), round(e.each()), o.EnoughEpochs)
			break
		}
		if n < o.MinEpochs {
			return c, o.tooLong(e, n, budget, budget-remaining)
		}
		also = ""
		if n == o.MaxEpochs && o.MaxEpochs > o.MinEpochs {
			also = fmt.Sprintf("more than %d epochs would be of little use", n)
		}
		c.Offer, c.Epochs = i, n
		c.Why = []string{fmt.Sprintf("%v for %s, %s each, suits the budget of %s", o, count(n), round(e.each()), spell(budget))}
		if n < o.EnoughEpochs { // what is larger has no chance
			also = fmt.Sprintf("these are few: a budget of %s would have room for %d", spell(needs(e, o.EnoughEpochs, budget-remaining)), o.EnoughEpochs)
			break
		}
	}
	if also != "" {
		c.Why = append(c.Why, also)
	}
	return c, nil
}

// tooLong returns an error that says what would fit. spent is the time that the program has
// used so far.
func (o Offer) tooLong(e Estimate, fit int, budget, spent time.Duration) error {
	needed := spell(needs(e, o.MinEpochs, spent))
	if fit > 0 {
		return field.Errorf("{Budget} %s: %v takes %s an epoch, so that %d of at least %s fit; give {Budget} %s, {Epochs} %d, or fewer images ({TrainSize})",
			spell(budget), o, round(e.each()), fit, count(o.MinEpochs), needed, fit)
	}
	return field.Errorf("{Budget} %s: %v takes %s an epoch, so that 0 of at least %s fit; give {Budget} %s, or fewer images ({TrainSize})",
		spell(budget), o, round(e.each()), count(o.MinEpochs), needed)
}

// needs returns the budget for so many epochs if the time spent has been used already.
func needs(e Estimate, epochs int, spent time.Duration) time.Duration {
	step := 10 * time.Second
	need := time.Duration(float64(spent+e.For(epochs).Total) / (1 - reserve))
	if need > 10*time.Minute {
		step = time.Minute
	}
	return need.Truncate(step) + step
}

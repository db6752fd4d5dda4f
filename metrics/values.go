package metrics

import "math"

// Values collects the answers of a model that gives images values.
type Values struct {
	sums []valueSums
}

// valueSums are of one value.
type valueSums struct {
	n                 int
	absolute, squared float64 // of the errors
	mean, spread      float64 // of the targets: their mean, and the sum of the squared differences from it
}

// NewValues returns a collector for a number of values.
func NewValues(values int) *Values { return &Values{make([]valueSums, values)} }

// Add takes the answers for a batch and its targets, [n, values] each, in the same units.
func (v *Values) Add(predicted, targets []float64) {
	k := len(v.sums)
	for i := range rows("Values", len(predicted), len(targets), k) {
		for j := range k {
			v.sums[j].add(predicted[i*k+j], targets[i*k+j])
		}
	}
}

func (s *valueSums) add(predicted, target float64) {
	e := predicted - target
	s.n++
	s.absolute += math.Abs(e)
	s.squared += float64(e * e)
	before := target - s.mean // Welford's method, which does not lose digits to a large mean
	s.mean += before / float64(s.n)
	s.spread += float64(before * (target - s.mean))
}

// ValueScore measures one value, in its units.
type ValueScore struct {
	MAE  float64 // mean absolute error
	RMSE float64 // root of the mean squared error
	// R2 is the coefficient of determination: 1 for perfect answers, and 0 for those that are as
	// good as the mean of the targets. It is NaN for fewer than two images. Where all targets are
	// the same it is 1 if the answers are, too, and else 0, as in scikit-learn.
	R2 float64
}

// ValueResult measures all values.
type ValueResult struct {
	Count      int // images
	Scores     []ValueScore
	ValueScore // the means over the values
}

// Result measures what was added.
func (v *Values) Result() ValueResult {
	r := ValueResult{Count: v.sums[0].n}
	k := float64(len(v.sums))
	for _, s := range v.sums {
		n := float64(s.n)
		score := ValueScore{MAE: s.absolute / n, RMSE: math.Sqrt(s.squared / n), R2: 1 - s.squared/s.spread}
		switch {
		case s.n < 2:
			score.R2 = math.NaN()
		case s.spread == 0 && s.squared == 0:
			score.R2 = 1
		case s.spread == 0:
			score.R2 = 0
		}
		r.Scores = append(r.Scores, score)
		r.MAE, r.RMSE, r.R2 = r.MAE+score.MAE/k, r.RMSE+score.RMSE/k, r.R2+score.R2/k
	}
	return r
}

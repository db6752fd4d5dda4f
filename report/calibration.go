package report

import "math"

// CalibrationBins is how many bins Guo et al. sort answers into.
const CalibrationBins = 15

// Calibration says whether a model is as often right as it claims: answers are sorted
// by the probability that the model gives them into bins of equal width (Guo et al.,
// "On Calibration of Modern Neural Networks", 2017, section 2). The zero value has
// CalibrationBins bins and no answers. It is for one goroutine at a time.
type Calibration struct {
	Bins []CalibrationBin // each ends where the next begins, above 0 and up to 1
}

// CalibrationBin is the answers whose probability is in one bin, its upper end included.
type CalibrationBin struct {
	Count, Right int
	Sum          float64 // of the probabilities
}

// Add takes an answer that the model gave with this probability. One that is no number
// is left out.
func (c *Calibration) Add(probability float64, right bool) {
	if math.IsNaN(probability) {
		return
	}
	if c.Bins == nil {
		c.Bins = make([]CalibrationBin, CalibrationBins)
	}
	n := len(c.Bins)
	b := &c.Bins[min(max(int(math.Ceil(probability*float64(n)))-1, 0), n-1)]
	b.Count++
	b.Sum += probability
	if right {
		b.Right++
	}
}

// Accuracy is the share of right answers in the bin, 0 of none.
func (b CalibrationBin) Accuracy() float64 { return ratio(float64(b.Right), b.Count) }

// Confidence is the mean probability of the answers in the bin, 0 of none.
func (b CalibrationBin) Confidence() float64 { return ratio(b.Sum, b.Count) }

// Gap is how far a bin's confidence is above its accuracy.
func (b CalibrationBin) Gap() float64 { return b.Confidence() - b.Accuracy() }

// All is the answers of all bins in one.
func (c *Calibration) All() CalibrationBin {
	var all CalibrationBin
	for _, b := range c.Bins {
		all.Count += b.Count
		all.Right += b.Right
		all.Sum += b.Sum
	}
	return all
}

// ExpectedError is the expected calibration error, equation 3 of the paper: the mean
// over all answers of how far accuracy and confidence of their bin are apart.
func (c *Calibration) ExpectedError() float64 {
	sum, n := 0.0, c.All().Count
	for _, b := range c.Bins {
		sum += ratio(float64(b.Count), n) * math.Abs(b.Gap())
	}
	return sum
}

// MaximumError is the maximum calibration error, equation 4 of the paper: how far they
// are apart in the worst bin.
func (c *Calibration) MaximumError() float64 {
	worst := 0.0
	for _, b := range c.Bins {
		worst = max(worst, math.Abs(b.Gap()))
	}
	return worst
}

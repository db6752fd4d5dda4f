package report

import "math"

// CalibrationBins is the number of bins that Guo et al. use.
const CalibrationBins = 15

// Calibration compares how sure a model is with how often it is right: answers are sorted
// into bins of equal width by the probability that the model gives them (Guo et al., "On
// Calibration of Modern Neural Networks", 2017, section 2). The zero value has
// CalibrationBins bins and no answers. A Calibration is not safe for concurrent use.
type Calibration struct {
	Bins []CalibrationBin // each ends where the next begins, above 0 and up to 1
}

// CalibrationBin counts the answers whose probability lies in one bin, upper end included.
type CalibrationBin struct {
	Count, Right int
	Sum          float64 // of the probabilities
}

// Add counts an answer that the model gave with this probability. An answer whose
// probability is NaN is left out.
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

// Accuracy is the fraction of correct answers in the bin, 0 for an empty bin.
func (b CalibrationBin) Accuracy() float64 { return ratio(float64(b.Right), b.Count) }

// Confidence is the mean probability of the answers in the bin, 0 for an empty bin.
func (b CalibrationBin) Confidence() float64 { return ratio(b.Sum, b.Count) }

// Gap is the bin's confidence less its accuracy: above 0 if the model is overconfident.
func (b CalibrationBin) Gap() float64 { return b.Confidence() - b.Accuracy() }

// All returns one bin with the answers of all bins.
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
// absolute Gap over all answers.
func (c *Calibration) ExpectedError() float64 {
	sum, n := 0.0, c.All().Count
	for _, b := range c.Bins {
		sum += ratio(float64(b.Count), n) * math.Abs(b.Gap())
	}
	return sum
}

// MaximumError is the maximum calibration error, equation 4 of the paper: the absolute Gap
// of the worst bin.
func (c *Calibration) MaximumError() float64 {
	worst := 0.0
	for _, b := range c.Bins {
		worst = max(worst, math.Abs(b.Gap()))
	}
	return worst
}

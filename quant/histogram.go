package quant

import (
	"fmt"
	"math"
	"slices"
)

// Method is a way to choose the range of a value from what was observed of it. Numbers outside of
// the range are clipped, and a smaller range has a finer grid.
type Method string

const (
	MinMax     Method = "minmax"     // all that was observed
	Percentile Method = "percentile" // all but one observed number in ten thousand, on either side
	Entropy    Method = "entropy"    // the range whose 8-bit histogram has the least Kullback-Leibler divergence, as in TensorRT
	MSE        Method = "mse"        // the range with the least mean squared error
)

// Methods lists all methods.
func Methods() []Method { return []Method{MinMax, Percentile, Entropy, MSE} }

const (
	histogramBins = 2048
	levels        = 256    // integers of an activation
	clippedShare  = 1e-4   // of the numbers, which Percentile leaves out on either side
	candidateStep = 8      // bins between two ranges that are tried
	smallestShare = 1. / 8 // of the observed range, the least that is tried
)

// Histogram counts the observed numbers of a value. Zeros are left out, since every grid has an
// integer for 0.
type Histogram struct {
	low, high float64 // of the bins; low is at most 0, and high at least
	bins      []float64
	total     float64 // of the bins
	zeros     float64
}

// NewHistogram returns an empty histogram for numbers from low to high.
func NewHistogram(low, high float32) *Histogram {
	return &Histogram{low: float64(min(low, 0)), high: float64(max(high, 0)), bins: make([]float64, histogramBins)}
}

// Add counts numbers. Those outside of the histogram's range count for its first or last bin.
func (h *Histogram) Add(values []float32) {
	width := h.width()
	if !(width > 0) {
		h.zeros += float64(len(values))
		return
	}
	zeros := 0
	for _, v := range values {
		if v == 0 {
			zeros++
			continue
		}
		i := int((float64(v) - h.low) / width)
		h.bins[max(0, min(i, histogramBins-1))]++
	}
	h.zeros += float64(zeros)
	h.total += float64(len(values) - zeros)
}

func (h *Histogram) width() float64 { return (h.high - h.low) / histogramBins }

// Range returns the range that a method chooses. It contains 0.
func (h *Histogram) Range(m Method) (low, high float32) {
	l, r := h.low, h.high
	if h.total > 0 && h.width() > 0 {
		switch m {
		case Percentile:
			l, r = h.percentile()
		case Entropy:
			l, r = h.least(h.divergence)
		case MSE:
			l, r = h.least(h.squaredError)
		}
	}
	return float32(min(l, 0)), float32(max(r, 0))
}

// percentile returns the range without clippedShare of all numbers on either side.
func (h *Histogram) percentile() (low, high float64) {
	out := clippedShare * (h.total + h.zeros)
	first, last := 0, histogramBins
	for sum := 0.; first < histogramBins && sum+h.bins[first] <= out; first++ {
		sum += h.bins[first]
	}
	for sum := 0.; last > first && sum+h.bins[last-1] <= out; last-- {
		sum += h.bins[last-1]
	}
	return h.at(first), h.at(last)
}

// at returns the lower end of a bin.
func (h *Histogram) at(bin int) float64 { return h.low + float64(bin)*h.width() }

// least returns the range of bins with the least loss. Ranges end at the same distance from 0 on
// both sides, as far as numbers were observed.
func (h *Histogram) least(loss func(first, last int) float64) (low, high float64) {
	zero := int(math.Round(-h.low / h.width()))
	most := max(zero, histogramBins-zero)
	best := math.Inf(1)
	low, high = h.low, h.high
	for reach := most; float64(reach) >= smallestShare*float64(most); reach -= candidateStep {
		first, last := max(0, zero-reach), min(histogramBins, zero+reach)
		if l := loss(first, last); l < best {
			best, low, high = l, h.at(first), h.at(last)
		}
	}
	return low, high
}

// divergence returns the Kullback-Leibler divergence of the numbers, clipped to a range of bins,
// from their distribution after rounding to 8 bits within it.
// https://on-demand.gputechconf.com/gtc/2017/presentation/s7310-8-bit-inference-with-tensorrt.pdf
func (h *Histogram) divergence(first, last int) float64 {
	inside := h.bins[first:last]
	p := slices.Clone(inside)
	p[0] += sum(h.bins[:first])
	p[len(p)-1] += sum(h.bins[last:])
	q := make([]float64, len(p))
	per := max(1, float64(len(p))/levels)
	for level := 0; ; level++ {
		from, to := int(math.Round(float64(level)*per)), int(math.Round(float64(level+1)*per))
		if from >= len(p) {
			break
		}
		spread(q[from:min(to, len(p))], inside[from:min(to, len(p))])
	}
	ofQ := sum(q)
	if ofQ == 0 {
		return math.Inf(1)
	}
	kl := 0.
	for i, n := range p {
		if n == 0 {
			continue
		}
		expected := max(q[i]/ofQ, 1e-10) // a number that is only clipped into this bin
		kl += n / h.total * math.Log(n/h.total/expected)
	}
	return kl
}

// spread gives every bin of to that has numbers in from the same count.
func spread(to, from []float64) {
	n := 0
	for _, v := range from {
		if v > 0 {
			n++
		}
	}
	each := sum(from) / float64(max(n, 1))
	for i, v := range from {
		if v > 0 {
			to[i] = each
		}
	}
}

// squaredError returns the sum of the squared errors of the numbers after rounding to 8 bits in a
// range of bins.
func (h *Histogram) squaredError(first, last int) float64 {
	low, high := h.at(first), h.at(last)
	step := (high - low) / (levels - 1)
	within := step * step / 12
	loss := 0.
	for i, n := range h.bins {
		if n == 0 {
			continue
		}
		x := h.at(i) + h.width()/2
		d := max(low-x, x-high, 0)
		loss += n * (d*d + within)
	}
	return loss
}

func sum(values []float64) (s float64) {
	for _, v := range values {
		s += v
	}
	return s
}

// ParseMethod returns the method of this name.
func ParseMethod(name string) (Method, error) {
	if m := Method(name); slices.Contains(Methods(), m) {
		return m, nil
	}
	return "", fmt.Errorf("calibration method %q is not known; choose one of %v", name, Methods())
}

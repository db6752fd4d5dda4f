package quant_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/residual-ml/residual/quant"
)

// observed returns a histogram of numbers, as two passes over them make it.
func observed(x []float32) *quant.Histogram {
	low, high := float32(0), float32(0)
	for _, v := range x {
		low, high = min(low, v), max(high, v)
	}
	h := quant.NewHistogram(low, high)
	h.Add(x[:len(x)/2])
	h.Add(x[len(x)/2:])
	return h
}

// rectified returns what a ReLU makes of normal numbers, and one outlier.
func rectified(n int, outlier float32) []float32 {
	r := rand.New(rand.NewPCG(1, 2))
	x := make([]float32, n)
	for i := range x {
		x[i] = max(0, float32(r.NormFloat64()))
	}
	x[n/3] = outlier
	return x
}

// squared returns the sum of the squared errors of rounding to a grid.
func squared(x []float32, g quant.Grid) (sum float64) {
	op := g.Op()
	for _, v := range x {
		d := op.Value(op.Integer(float64(v), 0), 0) - float64(v)
		sum += d * d
	}
	return sum
}

func TestRangesOfMethods(t *testing.T) {
	x := rectified(100_000, 40)
	h := observed(x)
	high := map[quant.Method]float32{}
	for _, m := range quant.Methods() {
		low, to := h.Range(m)
		if low != 0 {
			t.Errorf("%s: the range of numbers that are not negative begins at %v", m, low)
		}
		high[m] = to
	}
	if high[quant.MinMax] != 40 {
		t.Errorf("minmax ends at %v, and the largest number is 40", high[quant.MinMax])
	}
	if p := high[quant.Percentile]; p < 3 || p > 4.5 { // 1 in 10,000 of half a normal distribution lies beyond 3.7
		t.Errorf("percentile ends at %v", p)
	}
	for _, m := range []quant.Method{quant.Entropy, quant.MSE} {
		if high[m] >= 40 || high[m] < 2 {
			t.Errorf("%s ends at %v, with one number in 100,000 at 40 and the others below 5", m, high[m])
		}
	}
	best := squared(x, quant.GridOf(0, high[quant.MSE]))
	for _, m := range quant.Methods() {
		if s := squared(x, quant.GridOf(0, high[m])); s < 0.98*best {
			t.Errorf("%s has the squared error %v, less than %v of mse", m, s, best)
		}
	}
}

// Numbers of both signs get a range that holds 0, with both ends where they were observed.
func TestRangesOfBothSigns(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	x := make([]float32, 50_000)
	for i := range x {
		x[i] = float32(r.NormFloat64()) + 1
	}
	h := observed(x)
	for _, m := range quant.Methods() {
		low, high := h.Range(m)
		g := quant.GridOf(low, high)
		if !(low < -1 && high > 2) || g.Zero == 0 {
			t.Errorf("%s: from %v to %v, %+v", m, low, high, g)
		}
		if s := math.Sqrt(squared(x, g) / float64(len(x))); s > 0.1 {
			t.Errorf("%s: the error is %v for a std of 1", m, s)
		}
	}
}

// A value that is always 0, or was never observed, has an empty range and a usable grid.
func TestRangeOfZeros(t *testing.T) {
	for _, x := range [][]float32{make([]float32, 10), nil} {
		h := observed(x)
		for _, m := range quant.Methods() {
			low, high := h.Range(m)
			if g := quant.GridOf(low, high); low != 0 || high != 0 || g.Scale != 1 || g.Zero != 0 {
				t.Errorf("%s of %d zeros: %v to %v", m, len(x), low, high)
			}
		}
	}
}

func TestParseMethod(t *testing.T) {
	for _, m := range quant.Methods() {
		if got, err := quant.ParseMethod(string(m)); err != nil || got != m {
			t.Errorf("%s: %v, %v", m, got, err)
		}
	}
	if _, err := quant.ParseMethod("max"); err == nil {
		t.Error("a method called max is known")
	}
}

package report

import (
	"math"
	"testing"
)

// The bins are ((m-1)/15, m/15], as in the paper.
func TestCalibrationBins(t *testing.T) {
	var c Calibration
	for p, want := range map[float64]int{0: 0, 1e-9: 0, 1.0 / 15: 0, 1.0/15 + 1e-9: 1, 0.5: 7, 0.8: 11, 0.8 + 1e-9: 12, 0.999: 14, 1: 14} {
		c = Calibration{}
		c.Add(p, true)
		for i, b := range c.Bins {
			if (b.Count == 1) != (i == want) {
				t.Errorf("%v is in bin %d, want %d", p, i, want)
			}
		}
	}
	if len(c.Bins) != 15 {
		t.Errorf("%d bins", len(c.Bins))
	}
}

// By hand: two bins of four and one answers, which are off by 0.2 and 0.4.
func TestCalibrationErrors(t *testing.T) {
	c := Calibration{Bins: make([]CalibrationBin, 10)}
	for i, p := range []float64{0.92, 0.94, 0.96, 0.98} {
		c.Add(p, i != 2)
	}
	c.Add(0.4, false)
	c.Add(math.NaN(), true)
	if all := c.All(); all.Count != 5 || all.Right != 3 || math.Abs(all.Confidence()-0.84) > 1e-12 || math.Abs(all.Gap()-0.24) > 1e-12 {
		t.Errorf("all answers are %+v", all)
	}
	if got, want := c.ExpectedError(), 0.8*0.2+0.2*0.4; math.Abs(got-want) > 1e-12 {
		t.Errorf("the expected error is %v, want %v", got, want)
	}
	if got := c.MaximumError(); math.Abs(got-0.4) > 1e-12 {
		t.Errorf("the maximum error is %v, want 0.4", got)
	}
	if c := new(Calibration); c.ExpectedError() != 0 || c.MaximumError() != 0 || c.All().Accuracy() != 0 {
		t.Error("no answers have errors")
	}
}

package loop

import (
	"math"
	"math/rand/v2"
	"testing"
)

// curveOf is the curve of a range test from 1e-4 to 10 whose loss is a function of the logarithm
// of the rate, and noise.
func curveOf(steps int, noise float64, loss func(power float64) float64) *LRCurve {
	r := rand.New(rand.NewPCG(1, 2))
	c := &LRCurve{}
	for i := range steps {
		power := -4 + 5*float64(i)/float64(steps-1)
		c.Points = append(c.Points, LRPoint{Step: i + 1, LR: float32(math.Pow(10, power)), Loss: loss(power) + noise*r.NormFloat64()})
	}
	c.smooth(steps)
	c.suggest(steps, 0.5)
	return c
}

// trough falls from 2.3 to 1.3 between the rates 1e-3 and 1e-1, and rises steeply above 1.
func trough(power float64) float64 {
	loss := 2.3 - 0.5*min(max(power+3, 0), 2)
	if power > 0 {
		loss += 20 * power
	}
	return loss
}

// The lowest place is at the end of the fall, whatever the loss does beyond the minimum, and however many
// steps there are; noise moves it little.
func TestSuggestedRate(t *testing.T) {
	for name, c := range map[string]*LRCurve{
		"smooth":     curveOf(100, 0, trough),
		"noise":      curveOf(100, 0.1, trough),
		"many steps": curveOf(400, 0.1, trough),
		"exploding": curveOf(100, 0, func(power float64) float64 {
			if power > 0 {
				return 1e30
			}
			return trough(power)
		}),
		"a lower place later": curveOf(100, 0, func(power float64) float64 {
			if power > 0.9 {
				return 1.2 // the last steps, of a net that is broken and answers always the same
			}
			return trough(power)
		}),
	} {
		if !(c.Lowest >= 0.06 && c.Lowest <= 0.7) || c.Suggested != c.Lowest/2 || !(c.Steepest > 0.0008 && c.Steepest < c.Lowest) {
			t.Errorf("%s: suggested %v, lowest at %v, steepest at %v", name, c.Suggested, c.Lowest, c.Steepest)
		}
	}
	for name, c := range map[string]*LRCurve{
		"rising": curveOf(100, 0, func(power float64) float64 { return 6 + power }),
		"noise":  curveOf(100, 0.3, func(float64) float64 { return 2 }),
	} {
		if c.Lowest != 0 || c.Suggested != 0 || c.Steepest != 0 {
			t.Errorf("%s: suggested %v, lowest at %v, steepest at %v", name, c.Suggested, c.Lowest, c.Steepest)
		}
	}
}

// The smoothing does not lag: the middle of a symmetric valley stays where it is.
func TestSmoothingDoesNotLag(t *testing.T) {
	c := curveOf(101, 0, func(power float64) float64 { return 2 + math.Abs(power+1.5) })
	if got := math.Log10(float64(c.Lowest)); math.Abs(got+1.5) > 0.01 {
		t.Errorf("the lowest place is at 10^%.3f", got)
	}
	line := curveOf(50, 0, func(power float64) float64 { return 3 - power/10 })
	for i := 10; i < 40; i++ {
		if p := line.Points[i]; math.Abs(p.Smooth-p.Loss) > 1e-9 {
			t.Errorf("step %d of a straight line is smoothed from %v to %v", p.Step, p.Loss, p.Smooth)
		}
	}
}

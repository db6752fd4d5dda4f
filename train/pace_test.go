package train

import (
	"slices"
	"testing"
	"time"

	"github.com/residual-ml/residual/train/foresight"
	"github.com/residual-ml/residual/train/loop"
)

// A training by a budget of three minutes ends between 2:40 and 3:00, also on a machine that
// becomes slower or faster meanwhile, and whether its epochs are short or long.
func TestPaceKeepsTheTime(t *testing.T) {
	const budget = 3 * time.Minute
	for i, batches := range []int{10, 100, 1000, 20_000, 10, 100, 1000} {
		var stages []float64
		if i >= 4 { // images that grow
			stages = []float64{0.25, 0.4, 0.6, 1}
		}
		for name, speed := range map[string]func(share float64) float64{
			"steady":      func(float64) float64 { return 1 },
			"misjudged":   func(float64) float64 { return 1.4 },
			"faster":      func(at float64) float64 { return 1 - at/2 },
			"slower":      func(at float64) float64 { return 1 + at },
			"stalled":     func(at float64) float64 { return map[bool]float64{true: 1500, false: 1}[at < 0.03] }, // in the first batch
			"twice":       func(at float64) float64 { return map[bool]float64{true: 0.5, false: 1}[at > 0.5] },
			"half, later": func(at float64) float64 { return map[bool]float64{true: 2, false: 1}[at > 0.7] },
		} {
			begun := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
			clock := begun.Add(5 * time.Second) // of trials
			spend := func(d time.Duration) {
				clock = clock.Add(time.Duration(float64(d) * speed(clock.Sub(begun).Seconds()/budget.Seconds())))
			}
			const step, test, after = 20 * time.Millisecond, 100 * time.Millisecond, 2 * time.Second
			e := foresight.Estimate{Speed: loop.Speed{Epoch: time.Duration(float64(step*time.Duration(batches)) * meanOf(stages)), Evaluation: test, Stages: stages}, After: after}
			p := newPace(begun, budget, foresight.Choice{Epochs: 3, Estimate: e}, 1e6, batches)
			p.now = func() time.Time { return clock }
			made := 0
			for made < p.batchesAfter(made) {
				spend(time.Duration(float64(step) * p.work(made, made+1, p.length[len(p.length)-1])))
				made++
				if n := p.batchesAfter(made); made%batches == 0 || made == n {
					p.point(Point{X: 1})
					spend(test)
					p.tested()
					if made == n {
						break
					}
				}
			}
			spend(after)
			if took := clock.Sub(begun); took < 160*time.Second || took > budget {
				t.Errorf("%s, %d batches an epoch, stages %v: ended after %v, with %v", name, batches, stages, took, p.length)
			}
			if n := len(p.length); n > 2*decisions || n%2 != 0 {
				t.Errorf("%s: %d numbers", name, n)
			}
			if err := checkLength(p.length); err != nil {
				t.Error(err)
			}
		}
	}
}

// A training has no more batches than its offer may have.
func TestPaceEnds(t *testing.T) {
	e := foresight.Estimate{Speed: loop.Speed{Epoch: time.Second}}
	p := newPace(time.Now(), time.Hour, foresight.Choice{Epochs: 2, Estimate: e}, 2.5, 10)
	if n := p.batchesAfter(0); n != 25 || !slices.Equal(p.length, []int{0, 25}) {
		t.Errorf("%d: %v", n, p.length)
	}
}

// Numbers that no budget decided are refused.
func TestCheckLength(t *testing.T) {
	for _, l := range [][]int{{1}, {0, 0}, {1, 5}, {0, 5, 5, 5}, {0, 5, 0, 6}, {0, 5, 3}} {
		if checkLength(l) == nil {
			t.Errorf("%v", l)
		}
	}
	if err := checkLength([]int{0, 5, 3, 9, 4, 6}); err != nil {
		t.Error(err)
	}
}

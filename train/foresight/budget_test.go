package foresight

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/train/loop"
)

// taking returns an estimate of so many seconds per epoch.
func taking(seconds float64) Estimate {
	d := time.Duration(seconds * float64(time.Second))
	return Estimate{Speed: loop.Speed{FirstEpoch: d, Epoch: d, Steps: 5}}
}

// The largest offer that gets its epochs is chosen; few offers are measured, and the others predicted.
func TestChoose(t *testing.T) {
	ladder := []Offer{
		{"tiny at 32x32", 1, 0.1, 4, 32},
		{"small at 64x64", 4, 0.1, 10, 80},
		{"middle at 128x128", 16, 0.1, 20, 160},
		{"large at 224x224", 64, 0.1, 20, 160},
	}
	given := []Offer{{"small at 96x96", 1, 7, 7, 7}}
	for _, c := range []struct {
		offers   []Offer
		seconds  []float64 // of an epoch of each offer
		budget   time.Duration
		offer    int
		epochs   float64
		measured string
		says     string
	}{
		// Predictions that are right: the smallest is measured, and the one that is chosen.
		{ladder, []float64{1, 4, 16, 64}, 2000 * time.Second, 3, 29.7, "[0 3]", "large at 224x224 for 29 epochs, 1m4s each, suits the budget of 33m20s"},
		{ladder, []float64{1, 4, 16, 64}, 400 * time.Second, 2, 23.8, "[0 2]", "large at 224x224 would have had about 5.9 epochs of 1m4s each, and 20 are the least for it"},
		{ladder, []float64{1, 4, 16, 64}, 5 * time.Second, 0, 4.8, "[0]", "small at 64x64 would have had about 1.1 epochs of 4s each"},
		// The large ones are slower than the smallest predicts, and the next smaller is chosen; or faster.
		{ladder, []float64{1, 4, 30, 120}, 400 * time.Second, 1, 80, "[0 2 1]", "middle at 128x128 would have had about 12.6 epochs of 30s each, and 20 are the least for it"},
		{ladder, []float64{1, 2, 3, 10}, 400 * time.Second, 3, 38, "[0 2 3]", "large at 224x224 for 38 epochs"},
		// None gets its epochs: the smallest goes as far as it comes.
		{ladder, []float64{1, 4, 16, 64}, 2 * time.Second, 0, 1.9, "[0]", "these are few: a budget of 10s would have room for 4 epochs"},
		{ladder, []float64{10, 40, 160, 640}, 2 * time.Second, 0, 0.2, "[0]", "tiny at 32x32 for 0.1 epochs"},
		{ladder, []float64{100, 400, 1600, 6400}, time.Second, -1, 0, "[0]", "Budget 1s: tiny at 32x32 takes 1m40s an epoch, so that 0 of at least 0.1 epochs fit; give Budget 20s, or fewer images"},
		{ladder, []float64{1, 4, 16, 64}, 10 * time.Hour, 3, 160, "[0 3]", "more than 160 epochs"},
		{given, []float64{1}, 8 * time.Second, 0, 7, "[0]", "for 7 epochs"},
		{given, []float64{1}, time.Hour, 0, 7, "[0]", "for 7 epochs"},
		{given, []float64{1}, 3 * time.Second, -1, 0, "[0]", "so that 2 of at least 7 epochs fit; give Budget 10s, Epochs 2, or"},
		{given, []float64{10}, 3 * time.Second, -1, 0, "[0]", "so that 0 of at least 7 epochs fit; give Budget 1m20s, or fewer images"},
	} {
		t.Run(fmt.Sprint(len(c.offers), c.budget, c.seconds), func(t *testing.T) {
			var measured []int
			got, err := Choose(c.offers, c.budget, func() time.Duration { return c.budget }, func(i int) (Estimate, error) {
				measured = append(measured, i)
				return taking(c.seconds[i]), nil
			})
			text := strings.Join(got.Why, "\n")
			if err != nil {
				got.Offer, text = -1, err.Error()
			}
			if got.Offer != c.offer || math.Abs(got.Epochs-c.epochs) > 0.06 || fmt.Sprint(measured) != c.measured || !strings.Contains(text, c.says) {
				t.Errorf("offer %d for %v epochs, %v measured: %s", got.Offer, got.Epochs, measured, text)
			}
		})
	}
}

// No more trials begin when they have taken their share: the largest that was measured is chosen.
func TestChooseTrialsAreShort(t *testing.T) {
	offers := []Offer{{"a", 1, 0.1, 1, 9}, {"b", 2, 0.1, 1, 9}, {"c", 4, 0.1, 1, 9}}
	left, measured := 100*time.Second, []int{}
	c, err := Choose(offers, left, func() time.Duration { return left }, func(i int) (Estimate, error) {
		left, measured = left-2*time.Second, append(measured, i)
		return taking([]float64{20, 60, 200}[i]), nil
	})
	if err != nil || c.Offer != 0 || fmt.Sprint(measured) != "[0 2]" || c.Epochs < 4 || c.Epochs > 5 {
		t.Errorf("%+v, %v measured, %v", c, measured, err)
	}
}

// An offer that does not fit into memory is not chosen, and a reason names it.
func TestChooseFitsMemory(t *testing.T) {
	offers := []Offer{{"small at 96x96", 1, 1, 2, 3}, {"large at 224x224", 2, 1, 2, 3}}
	for most, want := range map[int64]string{
		300: "small at 96x96 for 3 epochs, 1s each, suits the budget of 1m\nlarge at 224x224 does not fit: 301 are needed, and 300 are free",
		301: "large at 224x224 for 3 epochs, 1s each, suits the budget of 1m\nmore than 3 epochs would be of little use",
		100: "Budget: small at 96x96 does not fit: 101 are needed, and 100 are free; give a smaller Batch or Resize, or Recompute",
	} {
		c, err := Choose(offers, time.Minute, func() time.Duration { return time.Minute }, func(i int) (Estimate, error) {
			if needs := []int64{101, 301}[i]; needs > most {
				return taking(1), &engine.MemoryError{Err: fmt.Errorf("%d are needed, and %d are free", needs, most)}
			}
			return taking(1), nil
		})
		got := strings.Join(c.Why, "\n")
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("of %d bytes:\n%s\nwant\n%s", most, got, want)
		}
	}
}

// The time spent on trials, and the work before and after the epochs, count.
func TestChooseCountsAll(t *testing.T) {
	o := []Offer{{"m at 8x8", 1, 1, 1, 1000}}
	e := taking(2)
	e.FirstEpoch, e.Evaluation, e.FirstEvaluation = 5*time.Second, time.Second, 2*time.Second
	e.Saving, e.After = time.Second, 10*time.Second
	// Of 100 s, 5 are reserved and 30 are spent: 65 = 10 + (5+2+1) + 11.75 (2+1+1).
	c, err := Choose(o, 100*time.Second, func() time.Duration { return 70 * time.Second }, func(int) (Estimate, error) { return e, nil })
	if err != nil || c.Epochs != 12.75 {
		t.Errorf("%+v, %v", c, err)
	}
	if total := e.For(11).Total; total != 58*time.Second {
		t.Errorf("11 epochs take %v", total)
	}
	failed := errors.New("no")
	if _, err := Choose(o, time.Second, func() time.Duration { return time.Second }, func(int) (Estimate, error) { return e, failed }); err != failed {
		t.Error(err)
	}
}

package foresight

import (
	"errors"
	"fmt"
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

func TestChoose(t *testing.T) {
	ladder := []Offer{
		{"small at 96x96", 10, 20, 120},
		{"middle at 128x128", 10, 20, 120},
		{"large at 224x224", 10, 20, 120},
	}
	given := []Offer{{"small at 96x96", 7, 7, 7}}
	for _, c := range []struct {
		offers        []Offer
		seconds       []float64 // of an epoch of each offer
		budget        time.Duration
		offer, epochs int
		measured      int
		says          string
	}{
		{ladder, []float64{1, 4, 16}, 1000 * time.Second, 2, 56, 3, "large at 224x224 for 56 epochs, 16s each, suits the budget of 16m40s"},
		{ladder, []float64{1, 4, 16}, 300 * time.Second, 1, 67, 3, "large at 224x224 would have had 16 epochs of 16s each, and 20 are the least for it"},
		{ladder, []float64{1, 4, 16}, 40 * time.Second, 0, 36, 2, "middle at 128x128 would have had 9 epochs"},
		{ladder, []float64{1, 4, 16}, 20 * time.Second, 0, 18, 1, "suits the budget of 20s\nthese are few: a budget of 30s would have room for 20"},
		{ladder, []float64{1, 4, 16}, 10 * time.Second, -1, 0, 1, "Budget 10s: small at 96x96 takes 1s an epoch, so that 9 of at least 10 epochs fit; give Budget 20s, Epochs 9, or"},
		{ladder, []float64{1, 4, 16}, time.Hour, 2, 120, 3, "more than 120 epochs"},
		{given, []float64{1}, 8 * time.Second, 0, 7, 1, "for 7 epochs"},
		{given, []float64{1}, time.Hour, 0, 7, 1, "for 7 epochs"},
		{given, []float64{1}, 3 * time.Second, -1, 0, 1, "so that 2 of at least 7 epochs fit; give Budget 10s, Epochs 2, or"},
		{given, []float64{10}, 3 * time.Second, -1, 0, 1, "so that 0 of at least 7 epochs fit; give Budget 1m20s, or fewer images"},
	} {
		t.Run(fmt.Sprint(len(c.offers), c.budget), func(t *testing.T) {
			measured := 0
			got, err := Choose(c.offers, c.budget, func() time.Duration { return c.budget }, func(i int) (Estimate, error) {
				measured++
				return taking(c.seconds[i]), nil
			})
			text := strings.Join(got.Why, "\n")
			if err != nil {
				got.Offer, text = -1, err.Error()
			}
			if got.Offer != c.offer || got.Epochs != c.epochs || measured != c.measured || !strings.Contains(text, c.says) {
				t.Errorf("offer %d for %d epochs, %d measured: %s", got.Offer, got.Epochs, measured, text)
			}
		})
	}
}

// An offer that does not fit into memory is not chosen, and a reason names it.
func TestChooseFitsMemory(t *testing.T) {
	offers := []Offer{{"small at 96x96", 1, 2, 3}, {"large at 224x224", 1, 2, 3}}
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
	o := []Offer{{"m at 8x8", 1, 1, 1000}}
	e := taking(2)
	e.FirstEpoch, e.Evaluation, e.FirstEvaluation = 5*time.Second, time.Second, 2*time.Second
	e.Saving, e.After = time.Second, 10*time.Second
	// Of 100 s, 10 are reserved and 30 are spent: 60 = 10 + (5+2+1) + 10.5 (2+1+1).
	c, err := Choose(o, 100*time.Second, func() time.Duration { return 70 * time.Second }, func(int) (Estimate, error) { return e, nil })
	if err != nil || c.Epochs != 11 {
		t.Errorf("%+v, %v", c, err)
	}
	if total := e.For(11).Total; total != 58*time.Second {
		t.Errorf("11 epochs take %v", total)
	}
	failed := errors.New("no")
	if _, err := Choose(o, time.Second, nil, func(int) (Estimate, error) { return e, failed }); err != failed {
		t.Error(err)
	}
}

package loop

import (
	"context"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/residual-ml/residual/optim"
)

// A training whose length is decided as it goes on has the bits of one with these answers from the
// start, also from a state between its epochs; a last epoch may be shorter.
func TestSetLength(t *testing.T) {
	o := Options{Batch: 30, Epochs: 3, Seed: 2, Optimizer: optim.SGD{Momentum: 0.9}, Schedule: optim.Cosine{Base: 0.1}} // 3 batches an epoch
	of := func(answers map[int]int) func(int) int {                                                                     // the latest answer counts
		return func(batches int) (n int) {
			for at := range batches + 1 {
				if answers[at] > 0 {
					n = answers[at]
				}
			}
			return n
		}
	}
	type result struct {
		bits   string
		points []float64
		rates  []float32
		totals Totals
	}
	train := func(length func(int) int, o Options, from *State) (r result, after []State) {
		tr := dropper(t, o)
		if length != nil {
			tr.SetLength(length)
		}
		if from != nil {
			if err := tr.Restore(*from); err != nil {
				t.Fatal(err)
			}
		}
		totals, err := tr.Fit(context.Background(), Events{
			OnPoint: func(p Point) { r.points = append(r.points, math.Round(p.X*100)/100) },
			OnBatch: func(b BatchEvent) { r.rates = append(r.rates, b.LR) },
		}, func(Epoch) error {
			s, err := tr.State()
			s.Values, s.Slots = copies(s.Values), copies(s.Slots)
			after = append(after, s)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		values, err := tr.State()
		if err != nil {
			t.Fatal(err)
		}
		r.bits, r.totals = fmt.Sprint(values.Values, values.Slots), totals
		return r, after
	}
	whole, _ := train(nil, o, nil)
	if same, _ := train(of(map[int]int{0: 9}), o, nil); same.bits != whole.bits || !slices.Equal(same.points, whole.points) {
		t.Errorf("9 batches are not 3 epochs of 3: points %v and %v", same.points, whole.points)
	}
	answers := map[int]int{0: 6, 2: 9, 5: 7}
	first, states := train(of(answers), o, nil)
	if first.totals.Epochs != 3 || first.totals.Steps != 7 || first.points[len(first.points)-1] != 3 || len(first.points) != 7 {
		t.Errorf("%+v, points %v", first.totals, first.points)
	}
	if want := (optim.Cosine{Base: 0.1}); first.rates[1] != want.LR(2, 6) || first.rates[2] != want.LR(3, 9) || first.rates[6] != want.LR(7, 7) {
		t.Errorf("rates %v", first.rates)
	}
	if again, _ := train(of(answers), o, &states[0]); again.bits != first.bits {
		t.Error("going on after an epoch gives other bits")
	}
	// No answer takes back a batch that was made, or adds to one that was the last.
	if short, _ := train(of(map[int]int{0: 5, 2: 1}), o, nil); short.totals.Steps != 3 || short.totals.Epochs != 1 {
		t.Errorf("%+v", short.totals)
	}
	if ended, _ := train(of(map[int]int{0: 4, 4: 9}), o, nil); ended.totals.Steps != 4 || ended.totals.Epochs != 2 {
		t.Errorf("%+v", ended.totals)
	}
	// Steps of several batches count those of each epoch on their own.
	o.Accumulate = 2
	if got, _ := train(of(map[int]int{0: 7}), o, nil); !slices.Equal(got.rates, []float32{
		optim.Cosine{Base: 0.1}.LR(1, 5), optim.Cosine{Base: 0.1}.LR(1, 5), optim.Cosine{Base: 0.1}.LR(2, 5),
		optim.Cosine{Base: 0.1}.LR(3, 5), optim.Cosine{Base: 0.1}.LR(3, 5), optim.Cosine{Base: 0.1}.LR(4, 5), optim.Cosine{Base: 0.1}.LR(5, 5),
	}) {
		t.Errorf("rates %v", got.rates)
	}
}

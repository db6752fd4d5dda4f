package loop

import (
	"math"
	"testing"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/optim"
	"github.com/residual-ml/residual/task"
)

// The best epoch is chosen by the metric, and the scores equal those of an evaluation.
func TestMetricChoosesTheBest(t *testing.T) {
	ds, tests := someImages(t, data.Train, 80), someImages(t, data.Test, 60)
	for _, metric := range append(MetricsOf(task.Classes), "") {
		tr := trainerOf(t, normalised(), ds, tests, Options{Batch: 20, Epochs: 6, Metric: metric, Schedule: optim.Constant{Base: 0.5}})
		best, score := 0, math.NaN()
		totals := run(t, tr, func(e Epoch) error {
			want := map[Metric]float64{"": e.TestAccuracy, Accuracy: e.TestAccuracy, Loss: e.TestLoss, MacroF1: e.MacroF1, BalancedAccuracy: e.BalancedAccuracy}[metric]
			if e.Score != want || !(want > 0) || len(e.Confusion) != 10 {
				t.Errorf("%q: the score of epoch %d is %v, want %v", metric, e.Epoch, e.Score, want)
			}
			better := best == 0 || metric == Loss && want < score || metric != Loss && want > score
			if better {
				best, score = e.Epoch, want
			}
			if e.Best != better {
				t.Errorf("%q: epoch %d is best: %v", metric, e.Epoch, e.Best)
			}
			return nil
		})
		if totals.BestEpoch != best || totals.BestScore != score {
			t.Errorf("%q: best is epoch %d with %v, want %d with %v", metric, totals.BestEpoch, totals.BestScore, best, score)
		}
	}
	tr := trainerOf(t, normalised(), ds, nil, Options{Batch: 20, Epochs: 2, Metric: Loss})
	totals := run(t, tr, nil)
	if totals.BestScore != totals.Loss || totals.BestEpoch != 2 {
		t.Errorf("without a test set the loss is that of the training: %+v", totals)
	}
}

// Any number is better than NaN, and a lower loss is better.
func TestBetter(t *testing.T) {
	none := math.NaN()
	for _, c := range []struct {
		m    Metric
		a, b float64
		want bool
	}{
		{Accuracy, 0.5, 0.4, true}, {Accuracy, 0.4, 0.4, false}, {Accuracy, 0.4, none, true}, {Accuracy, none, 0.4, false},
		{Loss, 0.5, 0.4, false}, {Loss, 0.3, 0.4, true}, {Loss, none, none, false}, {Loss, math.Inf(1), none, true},
	} {
		if got := c.m.better(c.a, c.b); got != c.want {
			t.Errorf("%s: %v is better than %v: %v", c.m, c.a, c.b, got)
		}
	}
}

// A training that does not improve ends after Patience epochs.
func TestPatience(t *testing.T) {
	ds := someImages(t, data.Train, 40)
	for _, patience := range []int{1, 3} {
		tr := trainerOf(t, plainNet(), ds, ds, Options{Batch: 20, Epochs: 9, Patience: patience, Metric: Loss, Schedule: optim.Constant{Base: 1e-37}})
		if totals := run(t, tr, nil); !totals.Early || totals.Epochs != 1+patience || totals.BestEpoch != 1 {
			t.Errorf("patience %d: %+v", patience, totals)
		}
		tr = trainerOf(t, plainNet(), ds, ds, Options{Batch: 20, Epochs: 4, Patience: patience, Metric: Loss, Schedule: optim.Constant{Base: 0.01}})
		if totals := run(t, tr, nil); totals.Early || totals.Epochs != 4 || totals.BestEpoch != 4 {
			t.Errorf("patience %d with progress: %+v", patience, totals)
		}
	}
}

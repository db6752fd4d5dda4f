package metrics_test

import (
	"encoding/json"
	"math"
	"os"
	"testing"

	"github.com/residual-ml/residual/metrics"
)

// fixture is what scikit-learn measured; nil stands for NaN.
type fixture struct {
	Labels []struct {
		Labels           int
		Threshold        float64
		Logits, Targets  []float32
		AveragePrecision []*float64 `json:"average_precision"`
		Precision        []*float64
		Recall           []*float64
		F1               []*float64
		Support          []int
		MAP              float64 `json:"map"`
		MacroF1          float64 `json:"macro_f1"`
		MicroF1          float64 `json:"micro_f1"`
		Exact            float64
	}
	Values []struct {
		Values             int
		Predicted, Targets []float64
		MAE, RMSE, R2      []*float64
		Mean               []*float64
	}
	Masks []struct {
		Classes            int
		Predicted, Targets []int
		Accuracy           float64
		IoU                []*float64
	}
}

func read(t *testing.T) (f fixture) {
	t.Helper()
	text, err := os.ReadFile("testdata/metrics.json")
	if err == nil {
		err = json.Unmarshal(text, &f)
	}
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func check(t *testing.T, what string, got float64, want *float64) {
	t.Helper()
	if want == nil {
		if !math.IsNaN(got) {
			t.Errorf("%s is %v, want NaN", what, got)
		}
		return
	}
	if !(math.Abs(got-*want) <= 1e-12*max(1, math.Abs(*want))) {
		t.Errorf("%s is %v, scikit-learn's %v", what, got, *want)
	}
}

func TestLabelsAreScikitLearns(t *testing.T) {
	for _, c := range read(t).Labels {
		m := metrics.NewLabels(c.Labels, c.Threshold)
		half := len(c.Logits) / c.Labels / 2 * c.Labels // in two batches
		m.Add(c.Logits[:half], c.Targets[:half])
		m.Add(c.Logits[half:], c.Targets[half:])
		r := m.Result()
		if r.Count != len(c.Logits)/c.Labels {
			t.Errorf("%d images", r.Count)
		}
		for j, s := range r.Scores {
			check(t, "average precision", s.AveragePrecision, c.AveragePrecision[j])
			check(t, "precision", s.Precision, c.Precision[j])
			check(t, "recall", s.Recall, c.Recall[j])
			check(t, "F1", s.F1, c.F1[j])
			if s.Support != c.Support[j] {
				t.Errorf("label %d has %d images, scikit-learn says %d", j, s.Support, c.Support[j])
			}
		}
		check(t, "mAP", r.MeanAveragePrecision, &c.MAP)
		check(t, "macro F1", r.MacroF1, &c.MacroF1)
		check(t, "micro F1", r.MicroF1, &c.MicroF1)
		check(t, "exact", r.Exact, &c.Exact)
	}
}

func TestValuesAreScikitLearns(t *testing.T) {
	for _, c := range read(t).Values {
		m := metrics.NewValues(c.Values)
		half := len(c.Targets) / c.Values / 2 * c.Values
		m.Add(c.Predicted[:half], c.Targets[:half])
		m.Add(c.Predicted[half:], c.Targets[half:])
		r := m.Result()
		for j, s := range r.Scores {
			check(t, "MAE", s.MAE, c.MAE[j])
			check(t, "RMSE", s.RMSE, c.RMSE[j])
			check(t, "R2", s.R2, c.R2[j])
		}
		check(t, "mean MAE", r.MAE, c.Mean[0])
		check(t, "mean RMSE", r.RMSE, c.Mean[1])
		check(t, "mean R2", r.R2, c.Mean[2])
	}
}

func TestMasksAreScikitLearns(t *testing.T) {
	for _, c := range read(t).Masks {
		m := metrics.NewMasks(c.Classes)
		for i, p := range c.Predicted {
			m.Add(p, c.Targets[i])
		}
		r := m.Result()
		check(t, "accuracy", r.Accuracy, &c.Accuracy)
		sum, n := 0.0, 0.0
		for k, v := range r.IoU {
			check(t, "IoU", v, c.IoU[k])
			if c.IoU[k] != nil {
				sum, n = sum+*c.IoU[k], n+1
			}
		}
		if want := sum / n; math.Abs(r.MeanIoU-want) > 1e-12 {
			t.Errorf("mean IoU %v, want %v", r.MeanIoU, want)
		}
	}
}

// An answer that is not a number is the worst of all and right nowhere.
func TestLabelsOfNaN(t *testing.T) {
	nan := float32(math.NaN())
	if got := metrics.AveragePrecision([]float32{nan, 1, nan}, []bool{true, true, false}); math.Abs(got-(0.5+0.5*2.0/3)) > 1e-15 {
		t.Errorf("average precision %v", got)
	}
	m := metrics.NewLabels(1, 0)
	m.Add([]float32{nan, nan}, []float32{1, 0})
	if r := m.Result(); r.Exact != 0.5 || r.Scores[0].Predicted != 0 {
		t.Errorf("%+v", r)
	}
}

func TestMisfits(t *testing.T) {
	for name, f := range map[string]func(){
		"labels": func() { metrics.NewLabels(2, 0).Add(make([]float32, 3), make([]float32, 3)) },
		"values": func() { metrics.NewValues(1).Add(make([]float64, 3), make([]float64, 2)) },
		"masks":  func() { metrics.NewMasks(2).Add(2, 0) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			f()
		}()
	}
}

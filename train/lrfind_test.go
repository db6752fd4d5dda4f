package train

import (
	"context"
	"errors"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"github.com/residual-ml/residual/engine/cpu"
)

// found runs a range test of a few seconds.
func found(t *testing.T, c Config, o LRFind) (LRCurve, error) {
	t.Helper()
	dev, err := cpu.New(cpu.Options{Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	c.Data, c.TestSize, c.Precision = "garments", 20, "fp32"
	return FindLR(context.Background(), dev, c, o, Callbacks{})
}

// The first steps are those of a training, each rate is the same multiple of the one before,
// and nothing is written.
func TestFindLR(t *testing.T) {
	t.Chdir(t.TempDir())
	c := Config{Batch: 32, TrainSize: 200, Momentum: 0.9, Accumulate: 2, EMA: 0.9, Patience: 1}
	curve, err := found(t, c, LRFind{Steps: 40})
	if err != nil {
		t.Fatal(err)
	}
	n := len(curve.Points)
	if n < 30 || n == 40 && curve.Points[39].LR != 10 || n < 40 && !curve.Diverged {
		t.Errorf("%d points, diverged: %v", n, curve.Diverged)
	}
	for i, p := range curve.Points {
		if want := 1e-4 * math.Pow(1e5, float64(i)/39); math.Abs(float64(p.LR)-want) > 1e-6*want || p.Step != i+1 {
			t.Errorf("step %d has the rate %v, want %v", p.Step, p.LR, want)
		}
		if !(p.Smooth > 0) {
			t.Errorf("step %d: smoothed %v", p.Step, p.Smooth)
		}
	}
	if !(curve.Suggested > 1e-3 && curve.Suggested == 2*curve.Lowest && curve.Lowest < 10) || curve.Config.EMA != 0 || curve.Config.Model != "d2l-bnlenet" {
		t.Errorf("suggested %v, settings %+v", curve.Suggested, curve.Config)
	}
	again, err := found(t, c, LRFind{Steps: 40})
	if err != nil || len(again.Points) != n || again.Points[n-1] != curve.Points[n-1] {
		t.Errorf("a second test gives another curve (%v)", err)
	}
	if left, _ := filepath.Glob("*"); len(left) > 0 {
		t.Errorf("files were left: %v", left)
	}
	wild, err := found(t, Config{Batch: 32, TrainSize: 200, Model: "cifar-plain20", Resize: 14}, LRFind{To: 1000, Steps: 60})
	if err != nil || !wild.Diverged || len(wild.Points) == 60 {
		t.Errorf("up to 1000: %d points, diverged: %v (%v)", len(wild.Points), wild.Diverged, err)
	}
}

func TestFindLRRefuses(t *testing.T) {
	for want, o := range map[string]LRFind{
		"From -1":     {From: -1},
		"To 1e-09":    {To: 1e-9},
		"To 1e+38":    {To: 1e38},
		"Steps 5":     {Steps: 5},
		"Diverged 1:": {Diverged: 1},
	} {
		if _, err := found(t, Config{}, o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
	if _, err := found(t, Config{Batch: -1}, LRFind{}); err == nil || !strings.Contains(err.Error(), "Batch -1") {
		t.Errorf("impossible settings: %v", err)
	}
	dev, err := cpu.New(cpu.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	ctx, cancel := context.WithCancel(context.Background())
	_, err = FindLR(ctx, dev, Config{Data: "garments", TrainSize: 100, TestSize: 20, Batch: 20}, LRFind{}, Callbacks{OnBatch: func(BatchEvent) { cancel() }})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("stopped with %v", err)
	}
}

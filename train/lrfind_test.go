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
// the loss is smoothed as in fastai, and nothing is written.
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
	mean := 0.0
	for i, p := range curve.Points {
		if want := 1e-7 * math.Pow(1e8, float64(i)/39); math.Abs(float64(p.LR)-want) > 1e-6*want || p.Step != i+1 {
			t.Errorf("step %d has the rate %v, want %v", p.Step, p.LR, want)
		}
		mean = 0.98*mean + 0.02*p.Loss
		if want := mean / (1 - math.Pow(0.98, float64(i+1))); math.Abs(p.Smooth-want) > 1e-9 {
			t.Errorf("step %d: smoothed %v, want %v", p.Step, p.Smooth, want)
		}
	}
	if !(curve.Valley > 1e-5 && curve.Valley < 10) || curve.Config.EMA != 0 || curve.Config.Model != "d2l-bnlenet" {
		t.Errorf("valley %v, settings %+v", curve.Valley, curve.Config)
	}
	again, err := found(t, c, LRFind{Steps: 40})
	if err != nil || len(again.Points) != n || again.Points[n-1] != curve.Points[n-1] {
		t.Errorf("a second test gives another curve (%v)", err)
	}
	if left, _ := filepath.Glob("*"); len(left) > 0 {
		t.Errorf("files were left: %v", left)
	}
	wild, err := found(t, Config{Batch: 32, TrainSize: 200, Model: "cifar-plain20"}, LRFind{To: 1000, Steps: 60})
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
	_, err = FindLR(ctx, dev, Config{Data: "garments", TrainSize: 100, TestSize: 20, Batch: 20}, LRFind{}, Callbacks{OnStep: func(Step) { cancel() }})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("stopped with %v", err)
	}
}

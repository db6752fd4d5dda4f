package study

import (
	"context"
	"math"
	"strings"
	"testing"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/train"
	"github.com/residual-ml/residual/train/loop"
)

// The estimate that decides about recomputation is near the memory that the engine plans
// for a training.
func TestActivations(t *testing.T) {
	const images = 32
	for _, kind := range DepthKinds() {
		m, err := models.New(DepthConfig{}.model(kind, 32), models.Config{Channels: 1})
		if err != nil {
			t.Fatal(err)
		}
		table, err := nn.Summary(m, tensor.Shape{1, 1, 28, 28})
		if err != nil {
			t.Fatal(err)
		}
		info := data.Info{Name: "none", Classes: make([]string, 10), Channels: 1, Height: 28, Width: 28}
		for _, p := range precisions {
			tr, err := loop.New(device(t), m, blank{info, images}, nil, loop.Options{Batch: images, Precision: p})
			if err != nil {
				t.Fatal(err)
			}
			planned := float64(tr.Memory().Arena)
			if ratio := float64(activations(table, images, p)) / planned; ratio < 0.6 || ratio > 1.4 {
				t.Errorf("%s in %v: the estimate is %.2f of the %v bytes that are planned", kind, p, ratio, planned)
			}
		}
	}
	if p := (DepthPlan{Nets: []NetPlan{{Kind: "plain", Depth: 8, Left: 2}}}); p.of(Net{"plain", 8, 3}).Left != 2 || p.of(Net{"plain", 14, 1}).Left != 0 {
		t.Error("a plan does not find its nets")
	}
}

// The finding for a kind takes the spread over the seeds into account.
func TestFindings(t *testing.T) {
	run := func(kind string, depth, seed int, trainError Value) DepthRun {
		return DepthRun{Net: Net{kind, depth, seed}, Epochs: []Epoch{{Epoch: 1, TrainError: trainError, TestError: trainError, GradientNorm: 1}}}
	}
	r := DepthResult{Config: DepthConfig{Kinds: []string{"plain", "residual", "preact"}, Depths: []int{8, 20}, Seeds: 2, Train: train.Config{Epochs: 1}}}
	r.Runs = []DepthRun{
		run("plain", 8, 1, 0.1), run("plain", 8, 2, 0.12), run("plain", 20, 1, 0.3), {Net: Net{"plain", 20, 2}, Diverged: true},
		run("residual", 8, 1, 0.1), run("residual", 8, 2, 0.12), run("residual", 20, 1, 0.05), run("residual", 20, 2, 0.06),
		run("preact", 8, 1, 0.1), run("preact", 8, 2, 0.12), run("preact", 20, 1, 0.11), run("preact", 20, 2, 0.13),
	}
	for _, kind := range r.Config.Kinds {
		for _, depth := range r.Config.Depths {
			r.Rows = append(r.Rows, r.row(kind, depth))
		}
	}
	for kind, says := range map[string]string{
		"plain":    "11.0 % at 8 layers, the best of those less deep, and 60.0 % at 20: more depth makes the training error rise",
		"residual": "more depth makes the training error fall", "preact": "makes no difference beyond",
	} {
		if got := r.finding(kind); !strings.Contains(got, says) {
			t.Errorf("%s: %s", kind, got)
		}
	}
	if w := r.Rows[1]; w.Diverged != 1 || w.Seeds != 2 || w.TrainError.Max != guessing || w.FirstGradient.Mean != 1 {
		t.Errorf("%+v", w)
	}
	if s := spreadOf([]Value{Value(math.NaN())}); known(s.Mean) {
		t.Errorf("of nothing: %+v", s)
	}
}

// A training that diverges is recorded, and the study goes on without it.
func TestDepthNotesDivergence(t *testing.T) {
	dev := device(t)
	d, err := NewDepth(dev, DepthConfig{Kinds: []string{"residual"}, Depths: []int{8}, Seeds: 2, Train: train.Config{
		Data: "garments", TrainSize: 96, TestSize: 20, Batch: 32, Epochs: 1, LR: 1000, Schedule: "step,gamma=1e27,at=0.001", Out: t.TempDir(),
	}})
	if err != nil {
		t.Fatal(err)
	}
	ended := 0
	r, err := d.Run(context.Background(), dev, DepthCallbacks{OnNetEnd: func(r DepthRun) {
		if ended++; !r.Diverged {
			t.Errorf("%v did not diverge", r.Net)
		}
	}})
	if err != nil || ended != 2 || r.Rows[0].Diverged != 2 || r.Rows[0].TrainError.Mean != guessing {
		t.Errorf("%d ended, %+v, %v", ended, r.Rows, err)
	}
	if todo, err := d.todo(); err != nil || len(todo) != 0 {
		t.Errorf("still to do: %v, %v", todo, err)
	}
}

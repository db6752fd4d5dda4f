//go:build cuda && !windows

package train_test

import (
	"context"
	"math"
	"strings"
	"testing"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cuda"
	"github.com/residual-ml/residual/engine/cuda/emulate"
	"github.com/residual-ml/residual/inference"
	"github.com/residual-ml/residual/train"
)

// emulated opens a CUDA device on an emulated GPU, or on the one that emulate.Real names, or
// skips the test.
func emulated(t *testing.T) (*cuda.Device, *emulate.GPU) {
	t.Helper()
	return emulate.Open(t, cuda.New)
}

// A training with the optimiser's state, averages, clipping and accumulation gives about the
// CPU's result, and the same bits when it is repeated.
func TestRecipeOnCUDA(t *testing.T) {
	run := func(dev engine.Device) train.Summary {
		s, err := train.Run(context.Background(), dev, train.Config{
			Data: "garments", Model: "d2l-bnlenet", Batch: 32, Epochs: 2, LR: 0.1, Momentum: 0.9, TrainSize: 320, TestSize: 100, Out: t.TempDir(),
			Precision: "fp32", EMA: 0.9, ClipNorm: 1, Accumulate: 2,
		}, train.Callbacks{})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	d, _ := emulated(t)
	ours, again, want := run(d), run(d), run(device(t, 2))
	if ours.Loss != again.Loss || ours.TestAccuracy != again.TestAccuracy {
		t.Errorf("two runs: loss %v and %v, accuracy %v and %v", ours.Loss, again.Loss, ours.TestAccuracy, again.TestAccuracy)
	}
	if math.Abs(ours.Loss-want.Loss) > 0.02*want.Loss || math.Abs(ours.TestAccuracy-want.TestAccuracy) > 0.05 {
		t.Errorf("loss %v and accuracy %v; the CPU's %v and %v", ours.Loss, ours.TestAccuracy, want.Loss, want.TestAccuracy)
	}
	if ours.Device != "cuda:0" {
		t.Errorf("the summary says %q", ours.Device)
	}
}

// A GPU that is lost in the second epoch ends the training with a message of one line. The
// files of the first epoch are complete: the model can be evaluated and the run resumed, also
// on the CPU.
func TestLostCUDALeavesTheLastEpoch(t *testing.T) {
	if emulate.IsReal() {
		t.Skip("a GPU that is not emulated is not to be lost")
	}
	d, gpu := emulated(t)
	out := t.TempDir()
	c := train.Config{
		Data: "garments", Model: "d2l-bnlenet", Batch: 32, Epochs: 2, LR: 0.1, Momentum: 0.9, TrainSize: 160, TestSize: 50, Out: out, Precision: "fp32",
	}
	s, err := train.Run(context.Background(), d, c, train.Callbacks{OnBatch: func(s train.BatchEvent) {
		if s.Epoch == 2 && s.Batch == 3 {
			gpu.Lost = 719
		}
	}})
	if err == nil || !strings.Contains(err.Error(), "epoch 2, batch 4: cuda:0 (emulated) stopped working") || strings.Contains(err.Error(), "\n") {
		t.Fatalf("%v", err)
	}
	dev := device(t, 1)
	m, err := inference.Load(s.Last, dev, engine.FP32)
	if err != nil {
		t.Fatal(err)
	}
	res, err := m.Evaluate(context.Background(), garments(t, data.Test, 50), data.LoaderConfig{Batch: 50}, nil)
	if err != nil || m.Info().Epoch != 1 || res.Accuracy != m.Info().Metrics["test_accuracy"] {
		t.Errorf("the file of epoch %d has accuracy %v and says %v (%v)", m.Info().Epoch, res.Accuracy, m.Info().Metrics["test_accuracy"], err)
	}
	saved, err := train.OpenRun(s.Dir)
	if err != nil {
		t.Fatal(err)
	}
	after, err := saved.Resume(context.Background(), dev, saved.Config, train.Callbacks{})
	if err != nil || after.Epochs != 2 {
		t.Errorf("resumed: %+v (%v)", after, err)
	}
}

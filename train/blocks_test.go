package train_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/inference"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/train"
)

// A model with other blocks is trained as it was asked for, can be resumed with the same bits,
// and can be loaded from its file.
func TestRunWithBlocks(t *testing.T) {
	c := train.Config{
		Model: "cifar-resnet8", Blocks: []int{2, 1, 1}, ZeroInit: true, StochasticDepth: 0.4,
		Data: "garments", Batch: 40, Epochs: 2, LR: 0.1, Momentum: 0.9, TrainSize: 120, TestSize: 40, Out: t.TempDir(), Seed: 5,
	}
	want, err := train.Run(context.Background(), device(t, 0), c, train.Callbacks{})
	if err != nil {
		t.Fatal(err)
	}
	stopped := stopAt(t, c, 1, 4) // in the second epoch
	resume(t, stopped.Dir, 2, train.Callbacks{})
	same(t, stopped.Dir, want.Dir)

	for _, path := range []string{want.Best, want.Last} {
		m, err := inference.Load(path, device(t, 0), engine.FP32)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(m.Info().Blocks, c.Blocks) {
			t.Errorf("%s says that its blocks are %v", path, m.Info().Blocks)
		}
		if n := len(m.Module().(models.Net).Stages()[0].Blocks); n != 2 {
			t.Errorf("%s gives a network of %d blocks in its first stage", path, n)
		}
	}
	settings := read(t, want.Dir+"/settings.yaml")
	for _, line := range []string{"blocks: [2, 1, 1]", "zero_init: true", "stochastic_depth: 0.4"} {
		if !strings.Contains(settings, line) {
			t.Errorf("settings.yaml does not contain %s:\n%s", line, settings)
		}
	}

	r, err := train.OpenRun(want.Dir)
	if err != nil {
		t.Fatal(err)
	}
	other := r.Config
	other.Blocks = []int{1, 1, 1}
	if err := r.Check(other); err == nil || !strings.Contains(err.Error(), "Blocks 1,1,1: ") || !strings.Contains(err.Error(), "with 2,1,1") {
		t.Errorf("another network may resume the run: %v", err)
	}
	c.Blocks = []int{2, 1}
	if _, err := train.Run(context.Background(), device(t, 0), c, train.Callbacks{}); err == nil || !strings.Contains(err.Error(), "has 3 stages") {
		t.Errorf("two stages of blocks: %v", err)
	}
}

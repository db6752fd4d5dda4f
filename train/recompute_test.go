package train_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/residual-ml/residual/train"
)

func TestRunRecordsRecompute(t *testing.T) {
	run := func(recompute bool) train.Summary {
		s, err := train.Run(context.Background(), device(t, 0), train.Config{
			Data: "garments", Batch: 50, Epochs: 1, TrainSize: 200, TestSize: 50, Out: t.TempDir(), Recompute: recompute,
		}, train.Callbacks{})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	without, with := run(false), run(true)
	if with.Loss != without.Loss || with.TestAccuracy != without.TestAccuracy || with.PlannedBytes >= without.PlannedBytes {
		t.Errorf("with recomputation %+v, without %+v", with, without)
	}
	if settings := read(t, filepath.Join(with.Dir, "settings.yaml")); !strings.Contains(settings, "recompute: true") {
		t.Errorf("settings.yaml does not contain it:\n%s", settings)
	}
}

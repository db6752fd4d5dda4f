package train_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/optim"
	"github.com/residual-ml/residual/train"
)

// Recomputation changes no bit of what is trained, running statistics included,
// and takes less memory; the last, smaller batch has a program of its own.
func TestRecompute(t *testing.T) {
	ds := garments(t, data.Train, 50)
	for _, p := range []engine.Precision{engine.FP32, engine.BF16} {
		fit := func(recompute bool) (weights string, bytes int64) {
			m := models.NewD2LResNet18(1, 10)
			nn.Init(m, 1, nn.XavierUniform)
			tr, err := train.New(device(t, 2), m, ds, nil, train.Options{
				Batch: 20, Epochs: 1, Precision: p, Recompute: recompute,
				Optimizer: optim.SGD{Momentum: 0.9}, Schedule: optim.Constant{Base: 0.01},
			})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := tr.Fit(context.Background(), train.Callbacks{}, nil); err != nil {
				t.Fatal(err)
			}
			return hash(m), tr.Memory().Arena
		}
		want, most := fit(false)
		got, bytes := fit(true)
		if got != want {
			t.Errorf("%v: other weights with recomputation", p)
		}
		if bytes >= most {
			t.Errorf("%v: %d bytes of activations with recomputation, %d without", p, bytes, most)
		}
	}
}

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
		t.Errorf("settings.yaml says nothing of it:\n%s", settings)
	}
}

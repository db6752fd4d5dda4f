package study

import (
	"context"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/train"
)

func exists(dir, name string) bool {
	_, err := os.Stat(filepath.Join(dir, name))
	return !errors.Is(err, fs.ErrNotExist)
}

// ended reports whether a training in dir has completed all of its epochs.
func ended(dir string) (bool, error) {
	if !exists(dir, train.StateFile) {
		return false, nil
	}
	run, err := train.OpenRun(dir)
	if err != nil {
		return false, err
	}
	return run.Epochs >= run.Config.Epochs, nil
}

// trainIn trains with c in the folder dir, or resumes the training that was started there
// with that training's settings. It does nothing where the training is complete.
func trainIn(ctx context.Context, dev engine.Device, dir string, c train.Config, cb train.Callbacks) error {
	if done, err := ended(dir); done || err != nil {
		return err
	}
	if !exists(dir, train.StateFile) { // new, or stopped before the end of its first epoch
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
		_, err := train.RunIn(ctx, dev, dir, c, cb)
		return err
	}
	run, err := train.OpenRun(dir)
	if err != nil {
		return err
	}
	was := run.Config
	was.DataDir, was.Offline, was.Workers, was.Threads = c.DataDir, c.Offline, c.Workers, c.Threads
	_, err = run.Resume(ctx, dev, was, cb)
	return err
}

// Epoch is the result of one epoch of a training.
type Epoch struct {
	Epoch        int   `json:"epoch"`
	TrainLoss    Value `json:"train_loss"`  // mean over the epoch, while the net changes
	TrainError   Value `json:"train_error"` // fraction of wrong answers, also over the epoch
	TestLoss     Value `json:"test_loss"`
	TestError    Value `json:"test_error"`
	GradientNorm Value `json:"gradient_norm"` // norm of the gradient of the first layer's weight, mean over the steps; null unless measured
}

// epochsOf reads the metrics of the training in dir; nil where it has not started.
func epochsOf(dir string) (all []Epoch, err error) {
	if !exists(dir, "metrics.jsonl") {
		return nil, nil
	}
	nan := Value(math.NaN())
	rows, err := checkpoint.MetricsRows(&checkpoint.Run{Dir: dir}, struct {
		Epoch     float64
		TrainLoss Value  `json:"train_loss"`
		TrainAcc  Value  `json:"train_acc"`
		TestLoss  Value  `json:"test_loss"`
		TestAcc   *Value `json:"test_acc"`
		Norm      Value  `json:"grad_norm"`
	}{TestLoss: nan, Norm: nan})
	for _, row := range rows {
		if row.TestAcc != nil { // the last row of an epoch
			all = append(all, Epoch{int(row.Epoch), row.TrainLoss, 1 - row.TrainAcc, row.TestLoss, 1 - *row.TestAcc, row.Norm})
		}
	}
	return all, err
}

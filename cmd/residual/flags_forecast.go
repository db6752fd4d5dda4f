package main

import (
	"context"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/report"
	"github.com/residual-ml/residual/train"
	"github.com/residual-ml/residual/train/foresight"
	"github.com/residual-ml/residual/train/settings"
)

type trainer func(context.Context, engine.Device, train.Config, train.Callbacks) (train.Summary, error)

// forecastFlags are the flags about estimates before a training, and a budget of time.
type forecastFlags struct {
	dryRun bool
	budget time.Duration
}

func (f *forecastFlags) add(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.DurationVar(&f.budget, "budget", 0, "time that all may take, such as 10m or 1h30m")
	note(fs, "budget", noteMore, "Model, size of the images and epochs that are not given are chosen to fit.")
	fs.BoolVar(&f.dryRun, "dry-run", false, "show data, settings and an estimate of time and memory, and write nothing")
	inGroup(fs, settings.Run, "budget", "dry-run")
}

func (f *forecastFlags) check(changed func(flag string) bool) error {
	switch {
	case changed("budget") && f.budget <= 0:
		return usagef("--budget %v: must be above 0, such as 10m", f.budget)
	case changed("budget") && changed("resume"):
		return usagef("--budget: a run that goes on keeps the epochs it has; leave the flag out, or give --epochs for more of them")
	}
	return nil
}

// forecast returns a request for an estimate that includes the drawing of curves and the report.
func (f *forecastFlags) forecast(r *reportFlags) *train.Forecast {
	return &train.Forecast{Budget: f.budget, Begun: time.Now(), Epoch: drawing, After: func(e foresight.Estimate) time.Duration {
		if r.none {
			return 0
		}
		return reporting(e)
	}}
}

// instead returns work, or with --dry-run a function that does only what comes before training.
func (f *forecastFlags) instead(work trainer, rehearse func(context.Context, engine.Device, train.Config, train.Callbacks) error) trainer {
	if !f.dryRun {
		return work
	}
	return func(ctx context.Context, dev engine.Device, c train.Config, cb train.Callbacks) (train.Summary, error) {
		return train.Summary{}, rehearse(ctx, dev, c, cb)
	}
}

// drawing measures how long the curves of an epoch take to draw.
func drawing() time.Duration {
	var took time.Duration
	for range 2 { // the first time fonts are read
		start := time.Now()
		curves := report.NewCurves(2)
		for i := range 10 {
			x, y := float64(i+1)/5, 1/float64(i+1)
			curves.Add(report.TrainLoss, x, y)
			curves.Add(report.TrainAcc, x, 1-y)
		}
		if curves.WritePNG(io.Discard) != nil || curves.WriteSVG(io.Discard) != nil {
			return 0
		}
		took = time.Since(start)
	}
	return took
}

// reporting estimates how long a report takes: another evaluation, of a model that is read from
// its file, and the heat maps of mistakes, each as long as a step takes for an image.
func reporting(e foresight.Estimate) time.Duration {
	const mistakes, rest = 24, 100 * time.Millisecond
	return e.Evaluation + mistakes*e.Step/time.Duration(max(e.Batch, 1)) + rest
}

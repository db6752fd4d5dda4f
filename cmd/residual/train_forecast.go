package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/residual-ml/residual/data/folder"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/report"
	"github.com/residual-ml/residual/train"
	"github.com/residual-ml/residual/train/foresight"
)

// forecastHelp is what train says of its time before it begins.
const forecastHelp = `Before the first epoch some steps are tried, which changes no bit of what follows, and
the time and the memory that the whole will take are printed; not for a training of a few
seconds. --dry-run ends there: data, settings and the estimate are shown and nothing is
written (a data set that is not here yet is downloaded).

--budget 10m makes a training that ends in that time, its report included. For images
of your own it chooses a line of the table above, with its batch, rate and crops, and none
below that for their number: the largest net of which half the epochs of the table fit,
else the smallest with a quarter of them. One that needs more memory than is free is
passed over, which is said. For other data, and what you give yourself, it chooses the
epochs alone. There are as many as fit, at most three times those that there would be. The
rate's schedule goes over them, and settings.yaml keeps what was chosen, so that --resume
goes on with that.`

// forecastFlags are those of what is said, or chosen, before a training begins.
type forecastFlags struct {
	dryRun bool
	budget time.Duration
}

func (f *forecastFlags) add(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.BoolVar(&f.dryRun, "dry-run", false, "find the data, choose the settings, estimate time and memory, and write nothing")
	fs.DurationVar(&f.budget, "budget", 0, "time that all may take, such as 10m or 1h30m: model, size of images and epochs that are not given are chosen to fit")
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

// forecast asks for what the command does beside the training to be counted in.
func (f *forecastFlags) forecast(r *reportFlags) *train.Forecast {
	return &train.Forecast{Budget: f.budget, Begun: time.Now(), Epoch: drawing, After: func(e foresight.Estimate) time.Duration {
		if r.none {
			return 0
		}
		return reporting(e)
	}}
}

// instead is what trains, or with --dry-run what does all before.
func (f *forecastFlags) instead(work trainer, rehearse func(context.Context, engine.Device, train.Config, train.Callbacks) error) trainer {
	if !f.dryRun {
		return work
	}
	return func(ctx context.Context, dev engine.Device, c train.Config, cb train.Callbacks) (train.Summary, error) {
		return train.Summary{}, rehearse(ctx, dev, c, cb)
	}
}

// drawing is how long the curves of an epoch take.
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

// reporting is how long a report takes: another evaluation, of a model that is read from
// its file, and the heat maps of the mistakes, each for as much as a step has for an image.
func reporting(e foresight.Estimate) time.Duration {
	const mistakes, rest = 24, 100 * time.Millisecond
	return e.Evaluation + mistakes*e.Step/time.Duration(max(e.Batch, 1)) + rest
}

// estimated is a line about what a training will take.
func estimated(e *foresight.Estimate) string {
	line := fmt.Sprintf("estimated from %s: %s", plural(e.Steps, "trial step"), report.Duration(e.Total))
	if e.Epochs > 1 {
		line += fmt.Sprintf(", %s an epoch", report.Duration(e.Epoch+e.Evaluation+e.Saving))
	}
	if e.After > 0 {
		line += fmt.Sprintf(", %s the report", report.Duration(e.After))
	}
	m := e.Memory
	return line + fmt.Sprintf("; %s of memory: the network %s, its weights %s, images %s, the rest %s",
		report.Bytes(m.Total), report.Bytes(m.Network), report.Bytes(m.Weights), report.Bytes(m.Images), report.Bytes(m.Program))
}

// foreseen is an estimate as JSON has it.
type foreseen struct {
	Seconds           float64 `json:"seconds"` // from the estimate to the end of all
	EpochSeconds      float64 `json:"epoch_seconds"`
	FirstEpochSeconds float64 `json:"first_epoch_seconds"`
	EvaluationSeconds float64 `json:"evaluation_seconds"`
	SavingSeconds     float64 `json:"saving_seconds"`
	ReportSeconds     float64 `json:"report_seconds"`
	Epochs            int     `json:"epochs"`
	TrialSteps        int     `json:"trial_steps"`
	MemoryBytes       int64   `json:"memory_bytes"`
	NetworkBytes      int64   `json:"network_bytes"`
	WeightBytes       int64   `json:"weight_bytes"`
	PictureBytes      int64   `json:"picture_bytes"`
	OtherBytes        int64   `json:"other_bytes"`
}

func foresee(e *foresight.Estimate) *foreseen {
	if e == nil {
		return nil
	}
	m := e.Memory
	return &foreseen{
		Seconds: e.Total.Seconds(), EpochSeconds: e.Epoch.Seconds(), FirstEpochSeconds: e.FirstEpoch.Seconds(), EvaluationSeconds: e.Evaluation.Seconds(),
		SavingSeconds: e.Saving.Seconds(), ReportSeconds: e.After.Seconds(), Epochs: e.Epochs, TrialSteps: e.Steps,
		MemoryBytes: m.Total, NetworkBytes: m.Network, WeightBytes: m.Weights, PictureBytes: m.Images, OtherBytes: m.Program,
	}
}

// rehearsal is what train --dry-run --json prints.
type rehearsal struct {
	DryRun       bool          `json:"dry_run"`
	Model        string        `json:"model"`
	Data         string        `json:"data"`
	Classes      []string      `json:"classes,omitempty"` // of images of the user's own
	TrainImages  int           `json:"train_images"`
	TestImages   int           `json:"test_images"`
	Parts        []folder.Part `json:"parts,omitempty"`
	Untested     []string      `json:"untested_classes,omitempty"`  // which have no test images
	Untrained    []string      `json:"untrained_classes,omitempty"` // which have no training images
	Notes        []string      `json:"notes,omitempty"`
	Skipped      []string      `json:"skipped,omitempty"` // that cannot be read
	Parameters   int64         `json:"parameters"`
	Batches      int           `json:"batches"` // in an epoch
	Chosen       []string      `json:"chosen,omitempty"`
	Device       string        `json:"device"`
	PlannedBytes int64         `json:"planned_memory_bytes"`
	Estimate     *foreseen     `json:"estimate"`
	Settings     train.Config  `json:"settings"`
}

// rehearsed ends a dry run.
func (v *trainView) rehearsed() error {
	fmt.Fprintln(v.w, "a dry run: nothing was written")
	if !v.flags.json {
		return nil
	}
	s := v.begun
	r := rehearsal{
		DryRun: true, Model: s.Config.Model, Data: s.Config.Data, TrainImages: s.Images, TestImages: s.Tests, Parameters: s.Parameters, Batches: s.Batches,
		Chosen: s.Chosen, Device: v.device, PlannedBytes: s.PlannedBytes, Estimate: foresee(s.Estimate), Settings: s.Config,
	}
	if p := s.Photos; p != nil {
		r.Classes, r.Parts, r.Notes = s.Targets.Names, p.Index.Layout, p.Index.Notes
		r.Untested, r.Untrained = p.Untested, p.Untrained
		if p.Report != nil {
			for _, b := range p.Report.Broken {
				r.Skipped = append(r.Skipped, b.Name)
			}
		}
	}
	return printJSON(v.cmd.OutOrStdout(), r)
}

package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/exchange"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/report"
	"github.com/residual-ml/residual/weights/safetensors"
)

// modeWeights measures the reading of weights.
const modeWeights = "weights"

// weightsResult is what bench --mode weights --json prints.
type weightsResult struct {
	Mode         string    `json:"mode"`
	Model        string    `json:"model"`
	Bytes        int64     `json:"bytes"`
	Threads      int       `json:"threads"`
	Repeat       int       `json:"repeat"`
	Warmup       int       `json:"warmup"`
	First        float64   `json:"first_milliseconds"` // of the process, warm-up included
	Median       float64   `json:"load_milliseconds"`
	Min          float64   `json:"load_milliseconds_min"`
	Max          float64   `json:"load_milliseconds_max"`
	Measurements []float64 `json:"measurements"`
}

// loadWeights is bench --mode weights: how long it takes to make a net of a file.
func (f *benchFlags) loadWeights(ctx context.Context, cmd *cobra.Command) error {
	e, err := lookupModel(f.model)
	if err != nil {
		return err
	}
	if f.device.threads > 0 {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(f.device.threads))
	}
	path := f.weights
	if path == "" {
		dir, err := os.MkdirTemp("", "residual-weights")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		path = filepath.Join(dir, e.Name+".safetensors")
		if err := writeWeights(path, e); err != nil {
			return err
		}
	}
	st, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("--weights: %w", err)
	}
	r := weightsResult{Mode: f.mode, Model: e.Name, Bytes: st.Size(), Threads: runtime.GOMAXPROCS(0), Repeat: f.repeat, Warmup: f.warmup}
	for i := range f.warmup + f.repeat {
		if ctx.Err() != nil {
			return fmt.Errorf("interrupted after %d of %d measurements", len(r.Measurements), f.repeat)
		}
		start := time.Now()
		w, err := exchange.OpenWeights(path)
		if err == nil {
			_, err = w.Load(e.New(models.Config{Blank: true}), e)
		}
		if err != nil {
			return err
		}
		took := float64(time.Since(start)) / float64(time.Millisecond)
		if i == 0 {
			r.First = took
		}
		if i >= f.warmup {
			r.Measurements = append(r.Measurements, took)
		}
	}
	r.Median, r.Min, r.Max = median(r.Measurements), slices.Min(r.Measurements), slices.Max(r.Measurements)
	if f.json {
		return printJSON(cmd.OutOrStdout(), r)
	}
	printf(cmd, "%s from %s of weights in the system's cache to a net, %s\n\n", r.Model, report.Bytes(r.Bytes), threadCount(r.Threads))
	t := report.NewTable(report.Column{}, report.Column{Align: report.Right}, report.Column{})
	t.Row("time", fmt.Sprintf("%.1f ms", r.Median), fmt.Sprintf("median of %d, from %.1f to %.1f", r.Repeat, r.Min, r.Max))
	t.Row("the first time", fmt.Sprintf("%.1f ms", r.First), "into new memory")
	return t.Write(cmd.OutOrStdout())
}

// writeWeights leaves a net's first weights in a file.
func writeWeights(path string, e models.Entry) error {
	state := nn.StateDict(e.New(models.Config{}))
	return checkpoint.WriteFile(path, func(w io.Writer) error { return safetensors.Write(w, state, nil) })
}

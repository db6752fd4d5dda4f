package measure

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/modelfile"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/weights/safetensors"
)

// WeightsConfig configures a measurement of how fast weights are loaded.
type WeightsConfig struct {
	Model   models.Entry
	Path    string // file of weights in any format that modelfile.OpenWeights reads; empty: a temporary file
	Threads int    // GOMAXPROCS during the measurement; 0: unchanged
	Repeat  int    // number of measurements, at least 1; the result is their median
	Warmup  int    // loads before the first measurement
}

// WeightsResult says how long it takes to build a model with the weights of a file.
type WeightsResult struct {
	Mode         string    `json:"mode"` // always weights
	Model        string    `json:"model"`
	Bytes        int64     `json:"bytes"` // size of the file
	Threads      int       `json:"threads"`
	Repeat       int       `json:"repeat"`
	Warmup       int       `json:"warmup"`
	First        float64   `json:"first_milliseconds"` // the first load, which may be part of the warmup
	Median       float64   `json:"load_milliseconds"`
	Min          float64   `json:"load_milliseconds_min"`
	Max          float64   `json:"load_milliseconds_max"`
	Measurements []float64 `json:"measurements"`
}

// Weights measures how long it takes to build a model with the weights of a file that is in the
// system's cache. If ctx ends, it returns an error that wraps that of ctx.
func Weights(ctx context.Context, c WeightsConfig) (*WeightsResult, error) {
	if c.Threads > 0 {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(c.Threads))
	}
	path := c.Path
	if path == "" {
		dir, err := os.MkdirTemp("", "residual-weights")
		if err != nil {
			return nil, err
		}
		defer os.RemoveAll(dir)
		path = filepath.Join(dir, c.Model.Name+".safetensors")
		state := nn.StateDict(c.Model.New(models.Config{}))
		if err := checkpoint.WriteFile(path, func(w io.Writer) error { return safetensors.Write(w, state, nil) }); err != nil {
			return nil, err
		}
	}
	path, err := checkpoint.FindModel(path)
	if err != nil {
		return nil, err
	}
	st, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	repeat := max(1, c.Repeat)
	r := &WeightsResult{Mode: "weights", Model: c.Model.Name, Bytes: st.Size(), Threads: runtime.GOMAXPROCS(0), Repeat: repeat, Warmup: c.Warmup}
	for i := range c.Warmup + repeat {
		if ctx.Err() != nil {
			return nil, &interrupted{done: len(r.Measurements), of: repeat, cause: ctx.Err()}
		}
		start := time.Now()
		w, err := modelfile.OpenWeights(path)
		if err == nil {
			_, err = w.Load(c.Model.New(models.Config{Blank: true}), c.Model)
		}
		if err != nil {
			return nil, err
		}
		took := float64(time.Since(start)) / float64(time.Millisecond)
		if i == 0 {
			r.First = took
		}
		if i >= c.Warmup {
			r.Measurements = append(r.Measurements, took)
		}
	}
	r.Median, r.Min, r.Max = median(r.Measurements), slices.Min(r.Measurements), slices.Max(r.Measurements)
	return r, nil
}

package train

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/data/folder"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/internal/host"
	"github.com/residual-ml/residual/nn"
)

// Run trains with c on dev in a new numbered run folder. It writes settings.yaml, metrics.csv
// and metrics.jsonl, and after each epoch last.safetensors, best.safetensors if the epoch is
// the best so far, and state.safetensors, from which OpenRun and Resume continue. All
// settings, the folder and the data are checked first; an error before the first step leaves
// no files.
//
// If ctx ends, Run finishes the step, saves last.safetensors and returns the Summary, with
// Stopped set, and an error that wraps that of ctx. After any other error in the training the
// Summary names the files of the last completed epoch.
func Run(ctx context.Context, dev engine.Device, c Config, cb Callbacks) (Summary, error) {
	p, err := c.planOn(dev)
	if err != nil {
		return Summary{}, err
	}
	_, statErr := os.Stat(p.Out)
	folder, err := checkpoint.NewRun(p.Out, "train")
	if err != nil {
		return Summary{}, err
	}
	return p.runIn(ctx, dev, folder, errors.Is(statErr, os.ErrNotExist), cb)
}

// RunIn is Run in the new folder dir; it only records c.Out. It is for programs that name the
// folders of their runs themselves.
func RunIn(ctx context.Context, dev engine.Device, dir string, c Config, cb Callbacks) (Summary, error) {
	p, err := c.planOn(dev)
	if err != nil {
		return Summary{}, err
	}
	if err := os.Mkdir(dir, 0o777); err != nil {
		return Summary{}, fmt.Errorf("the run's folder cannot be made: %w", err)
	}
	return p.runIn(ctx, dev, &checkpoint.Run{Dir: dir}, false, cb)
}

// Rehearse does everything that Run does before the first step, including
// Callbacks.OnStart, and times some steps for Start.Estimate. It writes nothing and makes no
// folder.
func Rehearse(ctx context.Context, dev engine.Device, c Config, cb Callbacks) error {
	p, err := c.planOn(dev)
	if err != nil {
		return err
	}
	j := &job{plan: p.rehearsing(), dev: dev, cb: cb, begun: time.Now()}
	s, err := j.measured(ctx)
	if err != nil {
		return err
	}
	j.announce(s)
	return nil
}

// rehearsing returns p for a rehearsal, which always has a forecast.
func (p plan) rehearsing() plan {
	if p.Forecast == nil {
		p.Forecast = &Forecast{}
	}
	p.rehearsal = true
	return p
}

// runIn trains in a folder that was just made. madeRoot says that the folder above it was, too.
func (p plan) runIn(ctx context.Context, dev engine.Device, folder *checkpoint.Run, madeRoot bool, cb Callbacks) (Summary, error) {
	j := &job{plan: p, dev: dev, folder: folder, cb: cb, begun: time.Now()}
	s, err := j.measured(ctx)
	if err == nil {
		err = j.start(s)
	}
	if err != nil {
		discard(folder, p.Out, madeRoot)
		return Summary{}, err
	}
	return j.run(ctx)
}

// discard removes the folder of a run that did not begin.
func discard(r *checkpoint.Run, root string, madeRoot bool) {
	for _, name := range []string{"settings.yaml", "metrics.csv", "metrics.jsonl", folder.RecordFile, SkippedFile, RecipeFile} {
		os.Remove(r.Path(name)) // the error that is reported is the one before
	}
	os.Remove(r.Dir)
	if madeRoot {
		os.Remove(root) // only if it is empty
	}
}

// measured makes the training ready, with the estimate or the budget that Config.Forecast
// asks for.
func (j *job) measured(ctx context.Context) (s Start, err error) {
	if j.Forecast != nil && j.Forecast.Budget > 0 {
		return j.fit(ctx)
	}
	if s, err = j.ready(ctx); err != nil {
		return s, err
	}
	s.Estimate, err = j.estimate(ctx, j.Epochs)
	return s, err
}

// run trains, and completes the summary.
func (j *job) run(ctx context.Context) (Summary, error) {
	cb := j.cb
	cb.OnEpoch = func(e Epoch) {
		if j.cb.OnEpoch != nil {
			j.cb.OnEpoch(e)
		}
		j.pace.tested()
	}
	cb.OnPoint = func(p Point) {
		j.pace.point(p)
		if err := j.point(p); err != nil && j.logErr == nil {
			j.logErr = err
		}
	}
	totals, err := j.trainer.Fit(ctx, cb.events(), func(e Epoch) error { return j.epochEnd(ctx, e) })
	j.summary.Totals, j.summary.Config = totals, j.Config
	if err != nil && totals.Stopped != nil {
		err = j.stopped(err)
	}
	j.findMissing()
	if err != nil && totals.Stopped == nil && j.summary.Last != "" {
		err = fmt.Errorf("%w; the weights of epoch %d are in %s", err, j.summary.LastEpoch, j.summary.Last)
	}
	if j.pending != nil {
		err = errors.Join(err, j.metrics.Append(*j.pending))
	}
	err = errors.Join(err, j.logErr, j.metrics.Close())
	j.summary.Elapsed = time.Since(j.begun)
	j.summary.PlannedBytes, j.summary.PeakBytes = j.trainer.Memory().Total(), host.PeakMemory()
	return j.summary, err
}

// findMissing moves files that no longer exist to Summary.Missing.
func (j *job) findMissing() {
	for _, path := range []*string{&j.summary.Best, &j.summary.Last, &j.summary.State} {
		if _, err := os.Stat(*path); *path != "" && errors.Is(err, os.ErrNotExist) {
			j.summary.Missing = append(j.summary.Missing, *path)
			*path = ""
		}
	}
}

// stopped saves the weights of a run that was told to end.
func (j *job) stopped(cause error) error {
	t := j.summary.Totals
	metrics := checkpoint.Metrics{"train_loss": t.Loss, "train_accuracy": t.Accuracy, "steps": float64(t.Steps)}
	if err := j.saveModels(j.about(t.Epochs, metrics), nn.StateDict(j.module), false); err != nil {
		return fmt.Errorf("stopped in epoch %d after batch %d, and the weights are lost: %w", t.Stopped.Epoch, t.Stopped.Batch, err)
	}
	return fmt.Errorf("stopped in epoch %d after batch %d of %d; the weights so far are in %s: %w",
		t.Stopped.Epoch, t.Stopped.Batch, j.trainer.Batches(), j.summary.Last, cause)
}

package train

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/internal/host"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/train/foresight"
)

// worthTelling is the duration of the shortest training for which an estimate is reported
// without being asked for.
const worthTelling = 3 * time.Second

// estimate measures the training that is ready, if Config.Forecast asks for it, and leaves it
// unchanged. It returns nil if nothing can be said, or if the training is too short.
func (j *job) estimate(ctx context.Context, epochs int) (*foresight.Estimate, error) {
	f := j.Forecast
	if f == nil {
		return nil, nil
	}
	least := time.Duration(0)
	asked := j.rehearsal || f.Budget > 0
	if asked {
		least = time.Second
	}
	if f.Budget > 0 {
		least = min(max(f.Budget/150, 100*time.Millisecond), 2*time.Second) // two or three trials, with what they need besides, take 3% of it
	}
	s, err := j.trainer.Measure(ctx, epochs, least)
	if err != nil || s.Steps == 0 || !asked && s.Training(epochs) < worthTelling {
		return nil, err
	}
	e := &foresight.Estimate{Speed: s}
	if e.Saving, err = j.saving(ctx); err != nil {
		return nil, err
	}
	if f.Epoch != nil {
		e.Saving += f.Epoch()
	}
	e.Memory = j.need()
	if f.After != nil {
		e.After = f.After(*e)
	}
	return e.For(epochs), nil
}

// saving measures how long it takes to write the files of an epoch: the state, in the folder
// of the run or, in a rehearsal, among the system's temporary files, and one of the two
// models. Errors of the disk are left to the training.
func (j *job) saving(ctx context.Context) (time.Duration, error) {
	start := time.Now()
	if err := j.photos.unchanged(ctx); err != nil {
		return 0, err
	}
	checking, dir := time.Since(start), ""
	if !j.rehearsal {
		dir = j.folder.Dir
	} else {
		temp, err := os.MkdirTemp("", "residual-trial-")
		if err != nil {
			return checking, nil
		}
		defer os.RemoveAll(temp)
		dir = temp
	}
	path := filepath.Join(dir, ".residual-trial.tmp") // a name of files that may be deleted: see checkpoint.WriteFile
	defer os.Remove(path)
	state, err := j.trainer.State()
	if err != nil {
		return checking, err
	}
	model := j.about(1, checkpoint.Metrics{})
	s := checkpoint.State{Epoch: 1, Steps: 1, BestEpoch: 1, Settings: []byte("{}"), Model: model}
	start = time.Now()
	if err := checkpoint.SaveState(path, s, checkpoint.Values{Model: state.Values, Optimizer: state.Slots}); err != nil {
		return checking, nil
	}
	took := time.Since(start)
	start = time.Now()
	if err := checkpoint.SaveModel(path, model, nn.StateDict(j.module)); err != nil {
		return checking, nil
	}
	return checking + took + 2*time.Since(start), nil
}

// need returns the memory of the training that was just measured: the largest amount that the
// process had, and what will be allocated later.
func (j *job) need() foresight.Need {
	t, m := j.trainer, j.trainer.Memory()
	n := foresight.Need{Network: m.Arena + m.Scratch + m.Own, Weights: m.Variables}
	for _, v := range nn.StateDict(j.module) {
		n.Weights += 4 * int64(v.Tensor.Numel())
	}
	images, coming := t.ImageBytes()
	n.Images = images
	known := n.Network + n.Weights + n.Images
	n.Total = host.PeakMemory() + coming
	if n.Total == coming { // the system does not say
		n.Total = known + program
	}
	n.Total = max(n.Total, known)
	n.Program = n.Total - known
	return n
}

// program is the memory of a process beside its planned memory, in bytes, if the system does
// not report it.
const program = 48 << 20

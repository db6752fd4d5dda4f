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

// Forecast asks Run and Rehearse to say before the start what a training will take, and
// may limit it. The zero value asks for no more than that.
type Forecast struct {
	// Budget, above 0, is how long the program may take in all, from Begun on. Of the
	// settings that are zero in the Config it chooses the epochs, and for images of the
	// user's own the model, their size and the batch, so that it ends in this time; see
	// PhotoRecipes.
	Budget time.Duration
	Begun  time.Time // zero: when Run is called
	// Memory, above 0, is how many bytes there are. A budget chooses nothing that needs more.
	Memory int64

	Epoch func() time.Duration                     // what the caller does after every epoch, such as drawing the curves; may be nil
	After func(e foresight.Estimate) time.Duration // and after the training, such as a report; e has no Total yet; may be nil
}

// worthTelling is the shortest training that is tried before its start. What is shorter
// is over sooner than it is told.
const worthTelling = 3 * time.Second

// estimate measures the training that is ready, if it is asked for, and leaves it as it
// was. It is nil when nothing can be said, or not worth it.
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

// saving tries how long the files of an epoch take: the state where the run will write
// it, or among the system's temporary files where there is no run; the two models beside
// it have the parameters alone. A disk that fails is said when it matters.
func (j *job) saving(ctx context.Context) (time.Duration, error) {
	start := time.Now()
	if err := j.photos.unchanged(ctx); err != nil {
		return 0, err
	}
	watch, dir := time.Since(start), ""
	if !j.rehearsal {
		dir = j.folder.Dir
	} else {
		temp, err := os.MkdirTemp("", "residual-trial-")
		if err != nil {
			return watch, nil
		}
		defer os.RemoveAll(temp)
		dir = temp
	}
	path := filepath.Join(dir, ".residual-trial.tmp") // the name of what may be deleted: see checkpoint.WriteFile
	defer os.Remove(path)
	state, err := j.trainer.State()
	if err != nil {
		return watch, err
	}
	model := j.about(1, checkpoint.Metrics{})
	s := checkpoint.State{Epoch: 1, Steps: 1, BestEpoch: 1, Settings: []byte("{}"), Model: model}
	start = time.Now()
	if err := checkpoint.SaveState(path, s, checkpoint.Values{Model: state.Values, Optimizer: state.Slots}); err != nil {
		return watch, nil
	}
	took := time.Since(start)
	start = time.Now()
	if err := checkpoint.SaveModel(path, model, nn.StateDict(j.module)); err != nil {
		return watch, nil
	}
	return watch + took + 2*time.Since(start), nil
}

// need is the memory of the training that was just tried: what the process had at the
// most, and what is still to come.
func (j *job) need() foresight.Need {
	t, m := j.trainer, j.trainer.Memory()
	n := foresight.Need{Network: m.Arena + m.Scratch + m.Own, Weights: m.Variables}
	for _, v := range nn.StateDict(j.module) {
		n.Weights += 4 * int64(v.Tensor.Numel())
	}
	pictures, coming := t.ImageBytes()
	n.Pictures = pictures
	known := n.Network + n.Weights + n.Pictures
	n.Total = host.PeakMemory() + coming
	if n.Total == coming { // the system does not say
		n.Total = known + rest
	}
	n.Total = max(n.Total, known)
	n.Program = n.Total - known
	return n
}

// rest is what a program takes beside its planned memory, where the system does not say.
const rest = 48 << 20

package train

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/data/folder"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/internal/field"
	"github.com/residual-ml/residual/internal/number"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/train/loop"
	"github.com/residual-ml/residual/train/settings"
)

// The files of a run folder that hold weights: the model of the best epoch, the model of
// the last, and what Resume goes on from.
const (
	BestFile  = "best.safetensors"
	LastFile  = "last.safetensors"
	StateFile = "state.safetensors"
)

// Saved is a run that has completed an epoch and can go on from there.
type Saved struct {
	Dir    string // the run's folder
	Config Config // of its settings.yaml
	Epochs int    // completed
	state  checkpoint.State
}

// OpenRun reads what a run is, from its folder or from the last or state file in
// it. It changes nothing.
func OpenRun(path string) (*Saved, error) {
	dir, err := runDir(path)
	if err != nil {
		return nil, err
	}
	folder := &checkpoint.Run{Dir: dir}
	var c settingsFile
	if err := folder.ReadSettings(&c); err != nil {
		return nil, err
	}
	if _, err := os.Stat(folder.Path(StateFile)); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s has no %s: the run was stopped before the end of its first epoch, or by a version that kept none; start a new run", dir, StateFile)
	}
	state, err := checkpoint.ReadState(folder.Path(StateFile))
	if err != nil {
		return nil, err
	}
	var then Config
	if err := json.Unmarshal(state.Settings, &then); err != nil {
		return nil, fmt.Errorf("%s: its settings cannot be read: %w; put back a copy of the file, or start a new run", folder.Path(StateFile), err)
	}
	for _, c := range []*Config{&c.Config, &then} { // what runs of versions that did not record it had
		c.LastBatch, c.Augment = cmp.Or(c.LastBatch, ShortLast), cmp.Or(c.Augment, "none")
	}
	is, err := asState(c.Config)
	if err != nil {
		return nil, err
	}
	if onPhotos(dir) {
		then.Data = is.Data // they may have been moved; what they are is told by their digests
	}
	if d := settings.Compare(then, is); d != nil {
		return nil, fmt.Errorf("%s: %s is %s, and the training so far was with %s; put that back", folder.Path("settings.yaml"), d.Key, d.Is, d.Was)
	}
	return &Saved{Dir: dir, Config: c.Config, Epochs: state.Epoch, state: state}, nil
}

// asState is c as a state file has it, whose JSON replaces the bytes of a path that are not
// UTF-8; settings.yaml keeps them.
func asState(c Config) (is Config, err error) {
	text, err := number.Marshal(c)
	if err == nil {
		err = json.Unmarshal(text, &is)
	}
	return is, err
}

// onPhotos says whether the run in a folder is on images of the user's own: it has a
// record of them.
func onPhotos(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, folder.RecordFile))
	return err == nil
}

// runDir is the folder of a run from a path to it or to one of its files.
func runDir(path string) (string, error) {
	info, err := os.Stat(path)
	switch name := filepath.Base(path); {
	case err != nil:
		return "", fmt.Errorf("the run cannot be opened: %w; give its folder, such as runs/train-1", err)
	case info.IsDir():
		return filepath.Clean(path), nil
	case name != StateFile && name != LastFile:
		return "", fmt.Errorf("%s is neither a run folder nor its %s; give the folder, such as runs/train-1", path, StateFile)
	}
	return filepath.Dir(path), nil
}

// commas writes blocks as the flag does.
func commas(blocks []int) string {
	if len(blocks) == 0 {
		return "the model's own"
	}
	return strings.ReplaceAll(strings.Trim(fmt.Sprint(blocks), "[]"), " ", ",")
}

// Check reports the first setting of c with which the run cannot go on.
func (s *Saved) Check(c Config) error {
	c.LastBatch = cmp.Or(c.LastBatch, s.Config.LastBatch)
	c = c.Resolved()
	if !slices.Equal(c.OwnParts, s.Config.OwnParts) {
		return fmt.Errorf("%s is a training with a program's own %v, and there is %v; give the same in train.Config", s.Dir, s.Config.OwnParts, c.OwnParts)
	}
	if c.Precision == "auto" {
		c.Precision = s.Config.Precision // Resume asks the device
	}
	was := s.Config
	if onPhotos(s.Dir) {
		if _, err := os.Stat(c.Data); err != nil && c.Data == was.Data {
			return field.Errorf("%s was begun on the images in %s, which cannot be found there (%w); if they were moved, say with {Data} where they are now", s.Dir, was.Data, err)
		}
		if c.IsPhotos() {
			was.Data = c.Data // Resume compares what the images are
		}
	}
	if d := settings.Compare(was, c); d != nil {
		return field.Errorf("%s %s: %s is a training with %s; leave it out, or start a new run", field.Name(d.Field), d.Is, s.Dir, d.Was)
	}
	if c.Epochs < s.Config.Epochs {
		return field.Errorf("{Epochs} %d: %s is a training of %d epochs, which can only become more; leave it out", c.Epochs, s.Dir, s.Config.Epochs)
	}
	return c.Check()
}

// Resume goes on with the run from the end of its last completed epoch, in the
// same folder, by c: its Config, in which Epochs may be raised, Patience, Threads,
// Workers, DataDir and Offline be any, Data be where the user's own images were moved, and Own is given again where the run had some. What was done of the next epoch is cut off
// the metrics and trained again, and the end is to the bit that of a run that was
// never stopped, if the same kernels compute. A schedule that follows the share of the training that is done
// goes by the new number of epochs from here on. An error before the first step
// leaves the state as it was. Only one program may work on a folder at a time.
func (s *Saved) Resume(ctx context.Context, dev engine.Device, c Config, cb Callbacks) (Summary, error) {
	return s.resume(ctx, dev, c, cb, false)
}

// Rehearse is Rehearse for the rest of the run: it does all that Resume does before the
// first step, and changes nothing in the folder. Start.Past has the counts alone.
func (s *Saved) Rehearse(ctx context.Context, dev engine.Device, c Config, cb Callbacks) error {
	_, err := s.resume(ctx, dev, c, cb, true)
	return err
}

func (s *Saved) resume(ctx context.Context, dev engine.Device, c Config, cb Callbacks, rehearsal bool) (Summary, error) {
	if err := s.Check(c); err != nil {
		return Summary{}, err
	}
	c.LastBatch = s.Config.LastBatch
	p, err := c.planOn(dev)
	if err != nil {
		return Summary{}, err
	}
	if err := s.Check(p.Config); err != nil { // the precision that auto stands for
		return Summary{}, err
	}
	if rehearsal {
		p = p.forecasting()
	}
	folder := &checkpoint.Run{Dir: s.Dir}
	state, v, err := checkpoint.LoadState(folder.Path(StateFile))
	if err != nil {
		return Summary{}, err
	}
	j := &job{plan: p, dev: dev, folder: folder, cb: cb, best: bestOf(state, p.Config), called: state.Model.Dataset}
	j.begun = time.Now().Add(-time.Duration(state.Seconds * float64(time.Second)))
	if err := j.over(state, v); err != nil {
		return Summary{}, err
	}
	if err := j.goOn(ctx, state, v); err != nil || rehearsal {
		return Summary{}, err
	}
	return j.run(ctx)
}

// over is an error when the run is at its end. Its folder is then put in order.
func (j *job) over(s checkpoint.State, v checkpoint.Values) (err error) {
	since := s.Epoch - s.BestEpoch
	switch {
	case s.Epoch >= j.Epochs:
		err = field.Errorf("%s has completed all of its %d epochs; give more with {Epochs} to go on", j.folder.Dir, s.Epoch)
	case j.Patience > 0 && since >= j.Patience:
		err = field.Errorf("%s has ended early, after %d of its %d epochs: none of the last %d was better than epoch %d; give more with {Patience} to go on",
			j.folder.Dir, s.Epoch, j.Epochs, since, s.BestEpoch)
	}
	if err == nil || j.rehearsal {
		return err
	}
	_, failed := j.restore(s, v)
	return cmp.Or(failed, err)
}

// bestOf is the best epoch of a state, one of an earlier version included.
func bestOf(s checkpoint.State, c Config) best {
	b := best{s.BestEpoch, s.BestAccuracy, math.NaN()}
	if s.BestScore != nil {
		b.score = float64(*s.BestScore)
	} else if c.Metric == "" || Metric(c.Metric) == loop.Accuracy {
		b.score = b.accuracy
	}
	return b
}

// goOn prepares the rest of a run. The folder is changed only when all fits.
func (j *job) goOn(ctx context.Context, s checkpoint.State, v checkpoint.Values) error {
	train, test, photos, err := j.open(ctx, &recorded{j.folder.Path(folder.RecordFile), s.Model.Classes}, j.cb.OnData)
	if err != nil {
		return err
	}
	j.photos = photos
	if err := j.build(train); err != nil {
		return err
	}
	if err := nn.LoadStateDict(j.module, byName(v.Model)); err != nil {
		return fmt.Errorf("%s: %w; put back the file of this run", j.folder.Path(StateFile), err)
	}
	start, err := j.prepare(train, test)
	if err != nil {
		return err
	}
	if n := j.trainer.Batches(); s.Steps != s.Epoch*n {
		return field.Errorf("%s made %d steps in %d epochs, and with the %d images of %s there are %d in one; give the images it was begun with ({DataDir})",
			j.folder.Dir, s.Steps, s.Epoch, train.Len(), j.Data, n)
	}
	if start.Estimate, err = j.estimate(ctx, j.Epochs-s.Epoch); err != nil {
		return err
	}
	if err := j.trainer.Restore(stateOf(s, j.best, v)); err != nil {
		return fmt.Errorf("%s: %w; put back the file of this run", j.folder.Path(StateFile), err)
	}
	if j.rehearsal {
		start.Past = &Past{Epochs: s.Epoch, Steps: s.Steps}
		j.announce(start)
		return nil
	}
	if start.Past, err = j.restore(s, v); err != nil {
		return err
	}
	return j.start(start)
}

// restore brings the folder to the end of the state's epoch, whatever came after
// it, and returns what its metrics tell. Only the models of this epoch can be
// behind the state: those before it were written before it.
func (j *job) restore(s checkpoint.State, v checkpoint.Values) (*Past, error) {
	if err := j.folder.Sweep(); err != nil {
		return nil, err
	}
	past := &Past{Epochs: s.Epoch, Steps: s.Steps}
	if err := checkpoint.CutMetrics(j.folder, row{}, past.keep); err != nil {
		return nil, err
	}
	model, means := slices.Clone(v.Model), byName(v.Average)
	for i, n := range model {
		if mean := means[n.Name]; mean != nil {
			model[i].Tensor = mean
		}
	}
	if err := j.saveModels(s.Model, model, s.BestEpoch == s.Epoch); err != nil {
		return nil, err
	}
	j.summary.Best, j.summary.State = j.folder.Path(BestFile), j.folder.Path(StateFile)
	return past, nil
}

func byName(all []tensor.Named) map[string]*tensor.Tensor {
	m := make(map[string]*tensor.Tensor, len(all))
	for _, n := range all {
		m[n.Name] = n.Tensor
	}
	return m
}

// keep takes in a row of the metrics, unless it is from after the state.
func (p *Past) keep(r row) bool {
	if r.Step > p.Steps {
		return false
	}
	loss, accuracy, norm := float64(r.TrainLoss), float64(r.TrainAcc), math.NaN()
	if r.GradNorm != nil {
		norm = float64(*r.GradNorm)
	}
	p.Points = append(p.Points, Point{X: r.Epoch, Loss: loss, Accuracy: accuracy, LR: r.LR, GradientNorm: norm})
	if r.TestAcc != nil {
		e := Epoch{Epoch: int(r.Epoch), Loss: loss, Accuracy: accuracy, TestLoss: math.NaN(), TestAccuracy: float64(*r.TestAcc), GradientNorm: norm}
		if r.Rate != nil {
			e.ImagesPerSecond = float64(*r.Rate)
		}
		p.Tests = append(p.Tests, e)
	}
	return true
}

// saveState writes where the run stands at the end of an epoch.
func (j *job) saveState(m checkpoint.Model, seconds float64) error {
	text, err := number.Marshal(j.Config)
	if err != nil {
		return err
	}
	t, err := j.trainer.State()
	if err != nil { // the last state stays
		return err
	}
	s := checkpoint.State{
		Epoch: m.Epoch, Steps: t.Steps, OptimizerSteps: t.OptimizerSteps, BestEpoch: j.best.epoch, BestAccuracy: j.best.accuracy,
		BestScore: number.Known(j.best.score), Seconds: seconds, Settings: text, Model: m,
	}
	path := j.folder.Path(StateFile)
	values := checkpoint.Values{Model: t.Values, Optimizer: t.Slots, Average: t.Averages}
	if err := checkpoint.SaveState(path, s, values); err != nil {
		return err
	}
	j.summary.State = path
	return nil
}

// stateOf is what the trainer goes on from.
func stateOf(s checkpoint.State, b best, v checkpoint.Values) loop.State {
	t := loop.State{
		Totals: loop.Totals{
			Epochs: s.Epoch, Steps: s.Steps, Loss: math.NaN(), Accuracy: math.NaN(), TestAccuracy: math.NaN(),
			BestEpoch: b.epoch, BestAccuracy: b.accuracy, BestScore: b.score,
		},
		OptimizerSteps: s.OptimizerSteps, Values: v.Model, Slots: v.Optimizer, Averages: v.Average,
	}
	if v, ok := s.Model.Metrics["test_accuracy"]; ok {
		t.TestAccuracy = v
	}
	return t
}

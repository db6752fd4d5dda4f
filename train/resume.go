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

// Saved is a run that has completed at least one epoch, from which it can be resumed.
type Saved struct {
	Dir    string // the run's folder
	Config Config // the settings in its settings.yaml
	Epochs int    // completed epochs
	state  checkpoint.State
}

// OpenRun reads a run from its folder, from the last or state file in it, or from
// checkpoint.Last for the newest run. It changes nothing.
func OpenRun(path string) (*Saved, error) {
	path, err := checkpoint.FindRun(path)
	if err != nil {
		return nil, err
	}
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
	for _, c := range []*Config{&c.Config, &then} { // the values of runs by versions that did not record them
		c.LastBatch, c.Augment = cmp.Or(c.LastBatch, ShortLast), cmp.Or(c.Augment, "none")
	}
	if len(then.Length) > 0 { // a crash may have left those of an epoch before
		c.Length, c.Epochs = then.Length, then.Epochs
	}
	is, err := asState(c.Config)
	if err != nil {
		return nil, err
	}
	if onPhotos(dir) {
		then.Data = is.Data // the images may have been moved; their digests identify them
	}
	if d := settings.Compare(then, is); d != nil {
		return nil, fmt.Errorf("%s: %s is %s, and the training so far was with %s; put that back", folder.Path("settings.yaml"), d.Key, d.Is, d.Was)
	}
	return &Saved{Dir: dir, Config: c.Config, Epochs: state.Epoch, state: state}, nil
}

// asState returns c as it comes back from a state file. The JSON there replaces the bytes of a
// path that are not UTF-8, while settings.yaml keeps them.
func asState(c Config) (is Config, err error) {
	text, err := number.Marshal(c)
	if err == nil {
		err = json.Unmarshal(text, &is)
	}
	return is, err
}

// onPhotos reports whether the run in a folder is on a user's own images: it then has a record
// of them.
func onPhotos(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, folder.RecordFile))
	return err == nil
}

// runDir returns the folder of a run, given the path of the folder or of one of its files.
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

// Check returns an error for the first setting of c with which the run cannot be resumed.
func (s *Saved) Check(c Config) error {
	c.LastBatch = cmp.Or(c.LastBatch, s.Config.LastBatch)
	c = c.Resolved()
	if !slices.Equal(c.OwnParts, s.Config.OwnParts) {
		return fmt.Errorf("%s is a training with a program's own %v, and there is %v; give the same in train.Config", s.Dir, s.Config.OwnParts, c.OwnParts)
	}
	if c.Precision == "auto" {
		c.Precision = s.Config.Precision // Resume asks the device for it
	}
	was := s.Config
	if onPhotos(s.Dir) {
		if _, err := os.Stat(c.Data); err != nil && c.Data == was.Data {
			return field.Errorf("%s was begun on the images in %s, which cannot be found there (%w); if they were moved, say with {Data} where they are now", s.Dir, was.Data, err)
		}
		if c.IsPhotos() {
			was.Data = c.Data // Resume compares the images themselves
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

// Resume continues the run from the end of its last completed epoch, in the same folder. An
// epoch that was interrupted is removed from the metrics and trained again. If the same
// kernels compute, the result has the same bits as that of a run that was never stopped.
//
// c is the run's Config with these changes allowed: Epochs may be larger; Patience, Threads,
// Workers, DataDir and Offline may be any; Data may be the place to which the user's own
// images were moved; and Own must be given again if the run had it. With more Epochs a
// schedule that depends on the progress of the training follows the new number from here on.
//
// An error before the first step leaves the state unchanged. Only one program may work in a
// folder at a time.
func (s *Saved) Resume(ctx context.Context, dev engine.Device, c Config, cb Callbacks) (Summary, error) {
	return s.resume(ctx, dev, c, cb, false)
}

// Rehearse does everything that Resume does before the first step, like the function Rehearse,
// and changes nothing in the folder. Start.Past then has only the counts.
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
	if err := s.Check(p.Config); err != nil { // again, with the precision that auto stands for
		return Summary{}, err
	}
	if rehearsal {
		p = p.rehearsing()
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

// over returns an error if the run has ended. It then still completes the files in the folder.
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

// bestOf returns the best epoch of a state, which may be from a version that did not record
// the score.
func bestOf(s checkpoint.State, c Config) best {
	b := best{s.BestEpoch, s.BestAccuracy, math.NaN()}
	if s.BestScore != nil {
		b.score = float64(*s.BestScore)
	} else if c.ofClasses() && (c.Metric == "" || Metric(c.Metric) == loop.Accuracy) {
		b.score = b.accuracy
	}
	if !c.ofClasses() {
		b.accuracy = math.NaN()
	}
	return b
}

// goOn prepares the remaining training. It changes the folder only if everything fits.
func (j *job) goOn(ctx context.Context, s checkpoint.State, v checkpoint.Values) error {
	train, test, photos, err := j.open(ctx, &recorded{j.folder.Path(folder.RecordFile), s.Model.Names()}, j.cb.OnData)
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
	start, err := j.prepare(ctx, train, test)
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

// restore brings the files of the folder to the end of the state's epoch and returns what the
// metrics say of the epochs so far. Of the models, only those of this epoch can be missing or
// older than the state, since an epoch's models are written after its state.
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

// keep adds a row of the metrics to p and returns true, unless the row is from after the
// state.
func (p *Past) keep(r row) bool {
	if r.Step > p.Steps {
		return false
	}
	loss, accuracy, norm := float64(r.TrainLoss), math.NaN(), math.NaN()
	if r.GradNorm != nil {
		norm = float64(*r.GradNorm)
	}
	if r.TrainAcc != nil {
		accuracy = float64(*r.TrainAcc)
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

// stateOf returns the state from which the trainer continues.
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

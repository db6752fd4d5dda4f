package train

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"time"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/data/folder"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/internal/host"
	"github.com/residual-ml/residual/internal/number"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/train/loop"
)

// Summary is what a run ends with. What was not measured is NaN.
type Summary struct {
	Totals
	Config       Config // as resolved
	Device       string
	Test         data.Dataset  // what was tested on
	Dir          string        // the run's folder
	Best, Last   string        // model files; empty when none was written, or when it was removed by something else since
	LastEpoch    int           // whose weights Last has
	Missing      []string      // files of the run that were removed by something else while it trained
	State        string        // what OpenRun goes on from; empty before the end of an epoch
	Elapsed      time.Duration // of a resumed run with what was spent before
	PlannedBytes int64         // of all programs, parameters and buffers
	PeakBytes    int64         // most memory the process had; 0 where the system does not say
}

// Run trains by c on dev and leaves a numbered run folder: settings.yaml,
// metrics.csv and metrics.jsonl, and after each epoch last.safetensors and, when
// it is the best so far, best.safetensors; and state.safetensors, from which
// OpenRun and Resume go on. All settings, the folder and the data are checked
// first; an error before the first step leaves nothing behind.
//
// When ctx ends Run finishes the step, saves last.safetensors and returns the
// Summary, Stopped set, with an error that wraps ctx's. After any other error in
// the training the Summary names the files of the last completed epoch.
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

// Rehearse does all that Run does before the first step, Callbacks.OnStart included, with
// a trial of some steps whose Estimate Start has, and writes nothing: no folder is made.
func Rehearse(ctx context.Context, dev engine.Device, c Config, cb Callbacks) error {
	p, err := c.planOn(dev)
	if err != nil {
		return err
	}
	j := &job{plan: p.forecasting(), dev: dev, cb: cb, begun: time.Now()}
	return j.begin(ctx)
}

// forecasting is p with a forecast, which a rehearsal is for.
func (p plan) forecasting() plan {
	if p.Forecast == nil {
		p.Forecast = &Forecast{}
	}
	p.rehearsal = true
	return p
}

// RunIn is Run in the folder dir, which it makes: c.Out is only noted. A program
// that makes many runs names them itself.
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

// runIn trains in a folder that was just made, as its root was if madeRoot.
func (p plan) runIn(ctx context.Context, dev engine.Device, folder *checkpoint.Run, madeRoot bool, cb Callbacks) (Summary, error) {
	j := &job{plan: p, dev: dev, folder: folder, cb: cb, begun: time.Now()}
	if err := j.begin(ctx); err != nil {
		discard(folder, p.Out, madeRoot)
		return Summary{}, err
	}
	return j.run(ctx)
}

// discard removes the folder of a run that never began.
func discard(r *checkpoint.Run, root string, madeRoot bool) {
	for _, name := range []string{"settings.yaml", "metrics.csv", "metrics.jsonl", folder.RecordFile, SkippedFile} {
		os.Remove(r.Path(name)) // the first error is the one to report
	}
	os.Remove(r.Dir)
	if madeRoot {
		os.Remove(root) // only when empty
	}
}

// job is a run under way.
type job struct {
	plan
	dev     engine.Device
	folder  *checkpoint.Run
	metrics *checkpoint.MetricsLog
	trainer *loop.Trainer
	module  nn.Module
	cb      Callbacks
	begun   time.Time
	native  data.Info
	photos  *Photos // nil for a data set with a name
	summary Summary
	chosen  []string // by Forecast.Budget, and why
	called  string   // of a run that goes on, what its model files call the data
	best    best     // of the completed epochs
	pending *row     // the epoch's last point waits for the test
	logErr  error    // the first failure to write a point

}

type best struct {
	epoch    int
	accuracy float64
	score    float64 // by the metric
}

// settingsFile is what settings.yaml holds.
type settingsFile struct {
	Config   `yaml:",inline"`
	Device   string `yaml:"device"`
	Residual string `yaml:"residual_version"`
	Go       string `yaml:"go_version"`
}

// begin prepares a new run, which begins unless it is a rehearsal.
func (j *job) begin(ctx context.Context) error {
	s, err := j.measured(ctx)
	if err != nil {
		return err
	}
	if j.rehearsal {
		j.announce(s)
		return nil
	}
	return j.start(s)
}

// measured is ready with what Config.Forecast asks for.
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

// ready makes the trainer of a new run, and writes nothing.
func (j *job) ready(ctx context.Context) (Start, error) {
	train, test, photos, err := j.open(ctx, nil, j.cb.OnData)
	if err != nil {
		return Start{}, err
	}
	j.photos = photos
	return j.readyOn(train, test)
}

func (j *job) readyOn(train, test data.Dataset) (Start, error) {
	if err := j.build(train); err != nil {
		return Start{}, err
	}
	if j.Init != "" {
		nn.Init(j.module, j.Seed, j.scheme)
	}
	changes, err := j.startWeights()
	if err != nil {
		return Start{}, err
	}
	s, err := j.prepare(train, test)
	s.Changes = changes
	return s, err
}

// prepare makes the trainer; test is nil where nothing is tested.
func (j *job) prepare(train, test data.Dataset) (s Start, err error) {
	s.Pictures, j.summary.Test = train.Len(), test
	if test != nil {
		s.Tests = test.Len()
	}
	j.trainer, err = j.plan.trainer(j.dev, j.module, train, test)
	return s, err
}

// build makes the module that suits the images.
func (j *job) build(train data.Dataset) (err error) {
	j.native = train.Info()
	j.module, err = j.newModule(j.native, false)
	return err
}

// start writes the settings, opens the metrics and tells what is about to happen.
func (j *job) start(s Start) error {
	residual, goVersion := checkpoint.Versions()
	err := j.folder.WriteSettings(settingsFile{j.Config, j.dev.Name(), residual, goVersion})
	if err != nil {
		return err
	}
	columns := []string{"epoch", "step", "lr", "train_loss", "train_acc", "test_loss", "test_acc", "images_per_second", "seconds"}
	if j.GradientNorm {
		columns = slices.Insert(columns, 7, "grad_norm")
	}
	if name := j.metric().Column(); name != "" {
		columns = slices.Insert(columns, len(columns)-2, name)
	}
	j.metrics, err = j.folder.Metrics(columns...)
	if err != nil {
		return err
	}
	if err := j.photos.record(j.folder); err != nil {
		return err
	}
	j.summary.Config, j.summary.Device, j.summary.Dir = j.Config, j.dev.Name(), j.folder.Dir
	s.Dir = j.folder.Dir
	j.announce(s)
	return nil
}

// announce tells what is about to happen.
func (j *job) announce(s Start) {
	s.Config, s.Parameters = j.Config, nn.Count(j.module)
	s.Photos, s.Chosen = j.photos, j.chosen
	s.Batches, s.Shared, s.PlannedBytes = j.trainer.Batches(), j.trainer.Shared(), j.trainer.Memory().Total()
	if j.cb.OnStart != nil {
		j.cb.OnStart(s)
	}
}

// Open opens the images that Run would train and test on by c, in the size that they
// have before they are resized; test is nil where nothing is tested. Of progress see
// data.Options, and CheckingPictures. Images of the user's own can be read until ctx ends.
func Open(ctx context.Context, c Config, progress func(done, total int64, what string)) (train, test data.Dataset, err error) {
	p, err := c.plan()
	if err != nil {
		return nil, nil, err
	}
	train, test, _, err = p.open(ctx, nil, progress)
	return train, test, err
}

// open returns the images in the data set's own size. A run that goes on has its
// record of them.
func (p plan) open(ctx context.Context, goesOn *recorded, progress func(done, total int64, what string)) (train, test data.Dataset, photos *Photos, err error) {
	switch {
	case p.TrainSet != nil && p.TestSet != nil:
		return data.First(p.TrainSet, p.TrainSize), data.First(p.TestSet, p.TestSize), nil, nil
	case p.TrainSet != nil:
		return data.First(p.TrainSet, p.TrainSize), nil, nil, nil
	case p.IsPhotos():
		return p.openPhotos(ctx, goesOn, progress)
	}
	part := func(split data.Split, size int) (data.Dataset, error) {
		o := data.Options{Dir: p.DataDir, Split: split, Offline: p.Offline, Size: size, Progress: progress}
		ds, err := data.Open(ctx, p.Data, o)
		if err != nil {
			return nil, err
		}
		return data.First(ds, size), nil
	}
	if train, err = part(data.Train, p.TrainSize); err != nil {
		return nil, nil, nil, err
	}
	test, err = part(data.Test, p.TestSize)
	return train, test, nil, err
}

// trainer prepares the training of m on images in their own size.
func (p plan) trainer(dev engine.Device, m nn.Module, train, test data.Dataset) (*loop.Trainer, error) {
	o, err := p.options(train)
	if err != nil {
		return nil, err
	}
	if test != nil {
		test = data.Resize(test, p.Resize)
	}
	return loop.New(dev, m, data.Resize(train, p.Resize), test, o)
}

func (j *job) run(ctx context.Context) (Summary, error) {
	cb := j.cb
	cb.OnPoint = func(p Point) {
		if err := j.point(p); err != nil && j.logErr == nil {
			j.logErr = err
		}
	}
	totals, err := j.trainer.Fit(ctx, cb.events(), func(e Epoch) error { return j.epochEnd(ctx, e) })
	j.summary.Totals = totals
	if err != nil && totals.Stopped != nil {
		err = j.stopped(err)
	}
	j.missing()
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

// missing takes out of the summary the files that are no longer there.
func (j *job) missing() {
	for _, path := range []*string{&j.summary.Best, &j.summary.Last, &j.summary.State} {
		if _, err := os.Stat(*path); *path != "" && errors.Is(err, os.ErrNotExist) {
			j.summary.Missing = append(j.summary.Missing, *path)
			*path = ""
		}
	}
}

// stopped saves what was trained when the run was told to end.
func (j *job) stopped(cause error) error {
	t := j.summary.Totals
	metrics := checkpoint.Metrics{"train_loss": t.Loss, "train_accuracy": t.Accuracy, "steps": float64(t.Steps)}
	if err := j.saveModels(j.about(t.Epochs, metrics), nn.StateDict(j.module), false); err != nil {
		return fmt.Errorf("stopped in epoch %d after batch %d, and the weights are lost: %w", t.Stopped.Epoch, t.Stopped.Batch, err)
	}
	return fmt.Errorf("stopped in epoch %d after batch %d of %d; the weights so far are in %s: %w",
		t.Stopped.Epoch, t.Stopped.Batch, j.trainer.Batches(), j.summary.Last, cause)
}

// epochEnd saves the epoch's metrics, the state and the models. The state, one
// file, is what makes the epoch count: a crash before it leaves rows that Resume
// cuts off, one behind it leaves older models, which Resume writes again.
func (j *job) epochEnd(ctx context.Context, e Epoch) error {
	if j.logErr != nil {
		return j.logErr
	}
	if err := j.photos.unchanged(ctx); err != nil {
		return err
	}
	r := *j.pending
	j.pending = nil
	r.TestLoss, r.TestAcc, r.Rate = number.Known(e.TestLoss), number.Known(e.TestAccuracy), number.Known(e.ImagesPerSecond)
	switch j.metric() {
	case loop.MacroF1:
		r.MacroF1 = number.Known(e.Score)
	case loop.BalancedAccuracy:
		r.Balanced = number.Known(e.Score)
	}
	r.Seconds = time.Since(j.begun).Seconds()
	if err := errors.Join(j.metrics.Append(r), j.metrics.Sync()); err != nil {
		return err
	}
	metrics := checkpoint.Metrics{
		"train_loss": e.Loss, "train_accuracy": e.Accuracy, "test_loss": e.TestLoss, "test_accuracy": e.TestAccuracy,
	}
	if name := j.metric().Column(); name != "" {
		metrics[name] = e.Score
	}
	m := j.about(e.Epoch, metrics)
	if e.Best {
		j.best = best{e.Epoch, e.Measured(), e.Score}
	}
	if err := j.saveState(m, r.Seconds); err != nil {
		return err
	}
	return j.saveModels(m, nn.StateDict(j.module), e.Best)
}

// saveModels writes the model files of an epoch.
func (j *job) saveModels(m checkpoint.Model, values []tensor.Named, best bool) error {
	last := j.folder.Path(LastFile)
	if err := checkpoint.SaveModel(last, m, values); err != nil {
		return err
	}
	j.summary.Last, j.summary.LastEpoch = last, m.Epoch
	if !best {
		return nil
	}
	path := j.folder.Path(BestFile)
	if err := checkpoint.SaveModel(path, m, values); err != nil {
		return err
	}
	j.summary.Best = path
	return nil
}

// row is a line of the metrics: a point of the curves; the last one of an epoch
// carries the test.
type row struct {
	Epoch     float64       `json:"epoch"`
	Step      int           `json:"step"`
	LR        float32       `json:"lr"`
	TrainLoss number.Float  `json:"train_loss"`
	TrainAcc  number.Float  `json:"train_acc"`
	TestLoss  *number.Float `json:"test_loss"` // nil, as those below, where it was not measured or overflowed
	TestAcc   *number.Float `json:"test_acc"`
	GradNorm  *number.Float `json:"grad_norm"`
	MacroF1   *number.Float `json:"macro_f1"`
	Balanced  *number.Float `json:"balanced_accuracy"`
	Rate      *number.Float `json:"images_per_second"`
	Seconds   float64       `json:"seconds"`
}

func (j *job) point(p Point) error {
	r := row{
		Epoch: p.X, Step: j.trainer.Steps(), LR: p.LR, TrainLoss: number.Float(p.Loss), TrainAcc: number.Float(p.Accuracy), GradNorm: number.Known(p.GradientNorm),
		Seconds: time.Since(j.begun).Seconds(),
	}
	if j.cb.OnPoint != nil {
		j.cb.OnPoint(p)
	}
	if p.X == math.Trunc(p.X) {
		j.pending = &r
		return nil
	}
	return j.metrics.Append(r)
}

// about is what a model file says of the module.
func (j *job) about(epoch int, metrics checkpoint.Metrics) checkpoint.Model {
	info := j.native
	return checkpoint.Model{
		Architecture: j.Model, Blocks: j.Blocks, Classes: info.Classes,
		Input: j.input(info), Dataset: cmp.Or(j.called, j.dataset()), Epoch: epoch, Metrics: metrics,
	}
}

package train

import (
	"cmp"
	"context"
	"io"
	"slices"
	"time"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/internal/field"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/task"
	"github.com/residual-ml/residual/train/loop"
)

// job is one training run, from its plan to its summary.
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
	pace    *pace    // of a budget; nil without one
	chosen  []string // what Forecast.Budget chose, and why
	called  string   // the name of the data in the model files of a resumed run
	best    best     // of the completed epochs
	pending *row     // the last point of an epoch, which waits for the test
	logErr  error    // the first failure to write a point
}

// best is the best epoch so far.
type best struct {
	epoch    int
	accuracy float64
	score    float64 // by the metric
}

// ready makes the trainer of a new run, and writes nothing.
func (j *job) ready(ctx context.Context) (Start, error) {
	train, test, photos, err := j.open(ctx, nil, j.cb.OnData)
	if err != nil {
		return Start{}, err
	}
	j.photos = photos
	return j.readyOn(ctx, train, test)
}

// readyOn is ready for images that are open.
func (j *job) readyOn(ctx context.Context, train, test data.Dataset) (Start, error) {
	if err := j.build(train); err != nil {
		return Start{}, err
	}
	if j.Init != "" {
		nn.Init(j.module, j.Seed, j.scheme)
		if err := j.initFromImages(ctx, train); err != nil {
			return Start{}, err
		}
	}
	source, changes, err := j.judge(ctx, train)
	if err != nil {
		return Start{}, err
	}
	s, err := j.prepare(ctx, train, test)
	s.Changes, s.Source = changes, source
	return s, err
}

// build makes the module that suits the images.
func (j *job) build(train data.Dataset) (err error) {
	j.native = train.Info()
	j.module, err = j.newModule(j.native, false)
	return err
}

// prepare makes the trainer; test is nil if nothing is tested.
func (j *job) prepare(ctx context.Context, train, test data.Dataset) (s Start, err error) {
	s.Images, j.summary.Test, s.Targets = train.Len(), test, train.Info().Describes()
	if test != nil {
		s.Tests = test.Len()
	}
	m, of, tests, err := j.probing(ctx, j.module, train, test)
	if err != nil {
		return s, err
	}
	_, s.Probe = m.(*headOnly)
	if j.trainer, err = j.plan.trainer(j.dev, m, of, tests); err != nil {
		return s, err
	}
	return s, j.lengthen()
}

// settingsFile is the content of settings.yaml.
type settingsFile struct {
	Config   `yaml:",inline"`
	Device   string `yaml:"device"`
	Residual string `yaml:"residual_version"`
	Go       string `yaml:"go_version"`
}

// start writes the settings and the record of the images, opens the metrics, and announces
// the run.
func (j *job) start(s Start) error {
	err := j.writeSettings()
	if err != nil {
		return err
	}
	columns := []string{"epoch", "step", "lr", "train_loss", "train_acc", "test_loss", "test_acc", "images_per_second", "seconds"}
	if j.GradientNorm {
		columns = slices.Insert(columns, 7, "grad_norm")
	}
	for _, m := range j.extraMetrics() {
		columns = slices.Insert(columns, len(columns)-2, m.Column())
	}
	if j.Score != nil {
		columns = slices.Insert(columns, len(columns)-2, "score")
	}
	j.metrics, err = j.folder.Metrics(columns...)
	if err != nil {
		return err
	}
	if err := j.photos.record(j.folder); err != nil {
		return err
	}
	if s.Past == nil { // else the file is there
		if err := checkpoint.WriteFile(j.folder.Path(RecipeFile), func(w io.Writer) error { return j.explain(w, s) }); err != nil {
			return err
		}
	}
	j.summary.Config, j.summary.Device, j.summary.Dir = j.Config, j.dev.Name(), j.folder.Dir
	s.Dir = j.folder.Dir
	j.announce(s)
	return nil
}

// writeSettings writes settings.yaml.
func (j *job) writeSettings() error {
	residual, goVersion := checkpoint.Versions()
	return j.folder.WriteSettings(settingsFile{j.Config, j.dev.Name(), residual, goVersion})
}

// announce calls OnStart.
func (j *job) announce(s Start) {
	s.Config, s.Parameters = j.Config, nn.Count(j.module)
	s.Photos, s.Chosen = j.photos, j.chosen
	s.Batches, s.Shared, s.PlannedBytes = j.trainer.Batches(), j.trainer.Shared(), j.trainer.Memory().Total()
	s.FirstBatch = j.trainer.FirstBatch
	if j.cb.OnStart != nil {
		j.cb.OnStart(s)
	}
}

// about returns the description of the module for a model file.
func (j *job) about(epoch int, metrics checkpoint.Metrics) checkpoint.Model {
	info := j.native
	return checkpoint.Model{
		Architecture: j.Model, Blocks: j.Blocks,
		Input: j.input(info), Dataset: cmp.Or(j.called, j.dataset()), Epoch: epoch, Metrics: metrics, Augment: j.augment().Name,
	}.Answering(info.Describes())
}

// extraMetrics lists the metrics that have columns of their own: all for tasks other than
// classes, and for classes only the one that chooses the best epoch.
func (j *job) extraMetrics() (list []Metric) {
	of := j.native.Targets.Task
	for _, m := range loop.MetricsOf(of) {
		if m.Column() != "" && (of.Named() != task.Classes || m == j.metric(of, true)) {
			list = append(list, m)
		}
	}
	return list
}

// lengthen makes the training as long as Config.Length says, if it does.
func (j *job) lengthen() error {
	if len(j.Length) == 0 {
		return nil
	}
	if n := epochsIn(j.Length, j.trainer.Batches()); n != j.Epochs {
		return field.Errorf("{Epochs} %d: the settings have a length of %d batches, decided by a {Budget}, which are %d epochs of these images; leave the epochs out, or start a new training without that length", j.Epochs, j.Length[len(j.Length)-1], n)
	}
	length := j.Length
	j.trainer.SetLength(func(batches int) int { return lengthAfter(length, batches) })
	return nil
}

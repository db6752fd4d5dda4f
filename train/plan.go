package train

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/data/transforms"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/internal/field"
	"github.com/residual-ml/residual/internal/nearest"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/optim"
	"github.com/residual-ml/residual/prepare"
	"github.com/residual-ml/residual/task"
	"github.com/residual-ml/residual/train/loop"
	"github.com/residual-ml/residual/train/settings"
)

// plan is a Config that was resolved and checked, with the values that its names stand for.
type plan struct {
	Config
	entry     models.Entry // zero if the module is the program's own
	scheme    nn.Scheme
	optimizer optim.Optimizer
	schedule  optim.Schedule
	precision engine.Precision
	rehearsal bool // nothing is written
}

// Check returns an error for the first setting that is not possible, before any work.
func (c Config) Check() error {
	p, err := c.plan()
	if err != nil {
		return err
	}
	return p.checkFreeze()
}

func (c Config) plan() (p plan, err error) {
	if err := c.checkValues(); err != nil {
		return p, err
	}
	p = plan{Config: c.Resolved()}
	if err := p.checkOwn(); err != nil {
		return p, err
	}
	if p.Module == nil {
		if p.entry, err = models.Lookup(p.Model); err != nil {
			return p, err
		}
		if err := p.entry.Check(p.model()); err != nil {
			return p, err
		}
	}
	if err := p.checkData(); err != nil {
		return p, err
	}
	if _, err := c.fast(); err != nil {
		return p, err
	}
	if err := settings.Check(p.Config); err != nil {
		return p, err
	}
	if err := checkLength(p.Length); err != nil {
		return p, err
	}
	if err := p.checkAnswers(); err != nil {
		return p, err
	}
	if err := p.checkImages(); err != nil {
		return p, err
	}
	if err := p.checkSizes(); err != nil {
		return p, err
	}
	if p.Init != "" {
		if p.scheme, err = nn.ParseScheme(p.Init); err != nil {
			return p, err
		}
	}
	if p.schedule = p.Own.Schedule; p.schedule == nil {
		if p.schedule, err = optim.ParseSchedule(p.Schedule, p.LR); err != nil {
			return p, err
		}
	}
	if p.optimizer = p.Own.Optimizer; p.optimizer == nil {
		if p.optimizer, err = optim.New(p.Optimizer, optim.Config{Momentum: p.Momentum, WeightDecay: p.WeightDecay, Nesterov: p.Nesterov}); err != nil {
			return p, err
		}
	}
	if err := p.checkSampler(); err != nil {
		return p, err
	}
	if _, err := p.classWeights(); err != nil {
		return p, err
	}
	return p, p.options().Check()
}

// checkValues returns an error for a setting whose place a value of the program's own takes.
func (c Config) checkValues() error {
	switch {
	case c.Own.Optimizer != nil && (c.Optimizer != "" || c.Momentum != 0 || c.WeightDecay != 0 || c.Nesterov):
		return field.Errorf("{Optimizer}, {Momentum}, {WeightDecay} or {Nesterov} beside an Optimizer of the program's own, which has its own settings; leave them out")
	case c.Own.Schedule != nil && (c.Schedule != "" || c.LR != 0):
		return field.Errorf("{Schedule} or {LR} beside a Schedule of the program's own, which gives every rate; leave them out")
	case c.Own.Sampler != nil && c.Sampler != "":
		return field.Errorf("{Sampler} %s beside a Sampler of the program's own; give one of them", c.Sampler)
	case c.Score != nil && c.Metric != "":
		return field.Errorf("{Metric} %s beside a Score of the program's own: both choose the best epoch; give one of them", c.Metric)
	}
	return nil
}

// checkSampler returns an error if Sampler does not suit the other settings.
func (p plan) checkSampler() error {
	switch of := task.Task(p.Task).Named(); {
	case p.Sampler != Balanced:
		return nil
	case of != task.Classes && of != task.Labels:
		return field.Errorf("{Sampler} balanced is for classes and labels, and this training is of %s; leave it out", of)
	case p.ClassWeights == Balanced:
		return field.Errorf("{Sampler} balanced beside {ClassWeights} balanced: rare classes would count twice; give one of them")
	}
	return nil
}

// planOn is plan with the precision that auto stands for on a device.
func (c Config) planOn(dev engine.Device) (p plan, err error) {
	if p, err = c.plan(); err != nil {
		return p, err
	}
	p.precision, err = engine.ParsePrecision(p.Precision, dev, engine.Training)
	p.Precision = p.precision.String()
	return p, err
}

// checkOwn returns an error if the program's own values are missing, or cannot be combined
// with other settings.
func (c Config) checkOwn() error {
	if have := c.Own.list(); !slices.Equal(have, c.OwnParts) {
		return fmt.Errorf("these settings are of a training with a program's own %v, and there is %v; that program resumes it, with the same values in train.Config", c.OwnParts, have)
	}
	switch {
	case c.TrainSet != nil && task.Task(c.Task).Named() != c.TrainSet.Info().Targets.Task.Named():
		return field.Errorf("{Task} %s, and the targets of TrainSet are %s; leave it out", task.Task(c.Task).Named(), c.TrainSet.Info().Targets.Task.Named())
	case c.TeacherModule != nil && c.Teacher != "":
		return fmt.Errorf("Config.TeacherModule beside the file Teacher %s; give one of them", c.Teacher)
	case c.TestSet != nil && c.TrainSet == nil:
		return errors.New("Config.TestSet is given and TrainSet is not; give both, or Data")
	case c.Module == nil:
		return nil
	case c.Weights != "":
		return field.Errorf("{Weights} %s beside a Module: the training starts with the values of the Module; load the weights into it (nn.TakeStateDict) and leave Weights out", c.Weights)
	case c.Blocks != nil || c.ZeroInit || c.StochasticDepth != 0:
		return field.Errorf("{Blocks}, {ZeroInit} and {StochasticDepth} change models that have a name; with a Module leave them out")
	}
	return nil
}

func (p plan) checkData() error {
	if p.ownData() {
		return nil
	}
	if err := p.checkTask(); err != nil {
		return err
	}
	if p.IsPhotos() {
		_, err := os.Stat(p.Data)
		if err != nil {
			return field.Errorf("{Data}: %w; name a folder with one folder for each class, a .csv or .jsonl list, or a data set of `residual data list`", err)
		}
		return nil
	}
	var names []string
	for _, s := range data.Names() {
		if s.Name == p.Data {
			return nil
		}
		names = append(names, s.Name)
	}
	return fmt.Errorf("unknown data set %q, and there is no folder of that name; %schoose one of: %s", p.Data, nearest.Aside(p.Data, names, "%s"), strings.Join(names, ", "))
}

// checkImages returns an error for the first setting of Preparation that contradicts another.
func (p plan) checkImages() error {
	c, photos := p.Preparation, p.IsPhotos()
	if len(c.Mean) != len(c.Std) {
		return field.Errorf("{Mean} of %d and {Std} of %d channels: give both, a number for each channel", len(c.Mean), len(c.Std))
	}
	if s := settings.ForPhotos(p.Config); s != nil && !photos {
		return field.Errorf("%s is for images of your own, a folder or a list as {Data}; a data set with a name has its own", field.Name(s.Field))
	}
	if !photos {
		return nil
	}
	switch {
	case c.Channels != 1 && c.Channels != 3:
		return field.Errorf("{Channels} %d: images have 1 (grey) or 3 (red, green, blue)", c.Channels)
	case c.ResizeShorter < p.evalSize() || c.ResizeShorter > prepare.MaxSide:
		name, size := field.Name("Resize"), p.evalSize()
		if p.EvalSize != 0 {
			name = field.Name("EvalSize")
		}
		return field.Errorf("{ResizeShorter} %d: the middle of %dx%d pixels (%s) is cut out of it; give from %d to %d", c.ResizeShorter, size, size, name, size, prepare.MaxSide)
	case len(c.Mean) != c.Channels:
		return field.Errorf("{Mean} and {Std} of %d channels for images of %d; give a number for each", len(c.Mean), c.Channels)
	}
	return nil
}

// checkFreeze returns an error if the model has none of the parts to freeze, before the data
// are opened.
func (p plan) checkFreeze() error {
	if p.Freeze == "" {
		return nil
	}
	if p.ZeroInit && slices.Contains(p.options().Freeze, FreezeNormWeights) {
		return field.Errorf("{ZeroInit} beside {Freeze} norm-weights: the factors would stay 0, and with them the branches; leave one of them out")
	}
	m, err := p.newModule(data.Info{}, true)
	if err != nil {
		return err
	}
	return loop.CheckFreeze(m, p.options())
}

// newModule returns a new module for images that info describes, or the program's own.
func (p plan) newModule(info data.Info, blank bool) (nn.Module, error) {
	if p.Module != nil {
		return p.Module, nil
	}
	c := p.model()
	if info.Targets.Task == task.Masks {
		return nil, fmt.Errorf("model %s gives an image a class and no mask; give a Module of your own in Config.Own", p.Model)
	}
	c.Channels, c.Classes, c.Blank = info.Channels, len(info.Names()), blank
	return models.New(p.Model, c)
}

// options returns the options of a Trainer that do not depend on the data.
func (p plan) options() loop.Options {
	in := p.trainingInput(p.Resize)
	o := loop.Options{
		Batch: p.Batch, ShortLast: p.LastBatch == ShortLast, Epochs: p.Epochs, Optimizer: p.optimizer, Schedule: p.schedule, Seed: p.Seed, Workers: p.Workers,
		Precision: p.precision, Recompute: p.Recompute, GradientNorm: p.GradientNorm,
		Transform: p.augment().Transform(in, p.Transform), Mix: p.augment().Mix(), Normalize: in.Preprocess.Normalize(),
		LabelSmoothing: p.LabelSmoothing, ClipNorm: p.ClipNorm, Accumulate: p.Accumulate, EMA: p.EMA, Lookahead: p.Lookahead, NormBiasRate: p.NormBiasRate,
		Loss: p.Loss, Sampler: p.Own.Sampler, Score: p.Score,
		Metric: Metric(p.Metric), Patience: p.Patience, BackboneRate: p.BackboneRate, LayerDecay: p.LayerDecay,
	}
	if p.Freeze != "" {
		o.Freeze = strings.Split(p.Freeze, ",")
	}
	o.ClassWeights, _ = p.classWeights()
	return o
}

// classWeights returns the numbers in ClassWeights.
func (p plan) classWeights() (weights []float32, err error) {
	if p.ClassWeights != "" && !p.ofClasses() {
		return nil, field.Errorf("{ClassWeights} %s is of classes, and this training is of %s; leave it out", p.ClassWeights, p.Task)
	}
	if p.ClassWeights == "" || p.ClassWeights == Balanced {
		return nil, nil
	}
	for _, text := range strings.Split(p.ClassWeights, ",") {
		w, err := strconv.ParseFloat(strings.TrimSpace(text), 32)
		if err != nil {
			return nil, field.Errorf("{ClassWeights} %s: %q is no number; give balanced, or a weight for each class, such as 1,1,2.5", p.ClassWeights, text)
		}
		weights = append(weights, float32(w))
	}
	return weights, nil
}

// trainer returns the Trainer of m on images in their own size; test may be nil.
func (p plan) trainer(dev engine.Device, m nn.Module, train, test data.Dataset) (*loop.Trainer, error) {
	o := p.options()
	if p.ClassWeights == Balanced {
		labels, err := data.Labels(context.Background(), train)
		if err != nil {
			return nil, err
		}
		if o.ClassWeights, err = loop.BalancedWeights(labels, train.Info().Classes); err != nil {
			return nil, err
		}
	}
	var err error
	if p.Sampler == Balanced {
		if o.Sampler, err = data.BalancedSampler(context.Background(), train); err != nil {
			return nil, err
		}
	}
	if p.Repeat > 1 {
		o.Sampler = data.RepeatedSampler{Of: o.Sampler, Times: p.Repeat}
	}
	if o.Teacher, err = p.teacher(train); err != nil {
		return nil, err
	}
	if _, ok := m.(*headOnly); ok {
		o.Normalize = transforms.Normalize{}
		return loop.New(dev, m, train, test, o)
	}
	if test != nil {
		test = data.Resize(test, p.evalSize())
	}
	o.Stages = p.stages(train)
	return loop.New(dev, m, data.Resize(train, p.Resize), test, o)
}

package train

import (
	"cmp"
	"context"
	"path/filepath"
	"slices"
	"strings"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/data/folder"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/prepare"
	"github.com/residual-ml/residual/task"
	"github.com/residual-ml/residual/train/loop"
)

// Config has all settings of a training. The zero value is the recipe of the notes: the
// ResNet-18 of Dive into Deep Learning on Fashion-MNIST at 96x96, Xavier-uniform weights,
// batches of 256, and gradient descent at 0.05 without momentum for 10 epochs. A zero field
// stands for the value that suits the data set and the model (see Resolved and package
// recipe), so a field whose default is another value cannot be set to 0. Package settings
// has a row for each field: its range, and whether a resumed run must keep it.
type Config struct {
	Model  string `yaml:"model" json:"model"`
	Data   string `yaml:"data" json:"data"`     // a name, or the path of a folder or list of images (see folder.IsPath)
	Resize int    `yaml:"resize" json:"resize"` // pixels of both sides

	// Progressive, if it is not 0, is the size in pixels of the images with which the training begins. They
	// grow up to Resize: see recipe.ProgressiveSizes. The first epochs then take less time. EvalSize is the
	// size of the images that the model is tested on and for, if it differs from Resize (Touvron et al.
	// 2019, https://arxiv.org/abs/1906.06423: objects in random crops look larger than in test images,
	// so that a model is better on images that are a little larger). The model files say it.
	Progressive int `yaml:"progressive,omitempty" json:"progressive,omitempty"`
	EvalSize    int `yaml:"eval_size,omitempty" json:"eval_size,omitempty"`

	// Recipe names a recipe whose settings take the place of the usual ones where a field is zero:
	// recipe.FastName, for the least time. Empty means the usual ones.
	Recipe string `yaml:"recipe,omitempty" json:"recipe,omitempty"`

	// Task says what the model answers with: classes, labels, values or masks (see package
	// task); empty means classes, or what TrainSet has. Columns names the columns of a list with
	// the labels or values, separated by commas: see folder.Columns.
	Task    string `yaml:"task,omitempty" json:"task,omitempty"`
	Columns string `yaml:"columns,omitempty" json:"columns,omitempty"`

	Preparation `yaml:",inline"`

	// Own holds values of the program's own, which have no name.
	Own      `yaml:"-" json:"-"`
	OwnParts []string `yaml:"own,omitempty" json:"own,omitempty"` // which of its fields are set, with their types; filled in by Resolved

	// How the model differs from the one of that name; see models.Config.
	Blocks          []int   `yaml:"blocks,omitempty,flow" json:"blocks,omitempty"` // in each stage; nil: the model's own
	ZeroInit        bool    `yaml:"zero_init,omitempty" json:"zero_init,omitempty"`
	StochasticDepth float64 `yaml:"stochastic_depth,omitempty" json:"stochastic_depth,omitempty"`

	// Weights is a file with the first weights, in place of Init's. Start.Changes says what
	// exchange.Weights.Load changed of them. An empty Model is the one that the file describes
	// (see modelfile.Describe) or that modelfile.Identify finds, with its blocks. A run folder
	// stands for its model, and checkpoint.Last for that of the newest run.
	Weights string `yaml:"weights,omitempty" json:"weights,omitempty"`

	Batch       int     `yaml:"batch" json:"batch"`
	LastBatch   string  `yaml:"last_batch,omitempty" json:"last_batch,omitempty"` // EvenLast or ShortLast; empty: EvenLast
	LR          float32 `yaml:"lr" json:"lr"`
	Epochs      int     `yaml:"epochs" json:"epochs"`
	Length      []int   `yaml:"length,omitempty,flow" json:"length,omitempty"` // as a budget decided it: pairs of batches made until then, and batches of the whole training, of which the latest counts; Epochs is then these batches in epochs. Empty: Epochs decides
	Repeat      int     `yaml:"repeat,omitempty" json:"repeat,omitempty"`      // passes over the images in an epoch; 0: one, or by the recipe for a user's own images if it chooses Epochs, too
	Optimizer   string  `yaml:"optimizer" json:"optimizer"`
	Momentum    float32 `yaml:"momentum" json:"momentum"`
	WeightDecay float32 `yaml:"weight_decay" json:"weight_decay"`
	Nesterov    bool    `yaml:"nesterov" json:"nesterov"`
	Schedule    string  `yaml:"schedule" json:"schedule"` // as optim.ParseSchedule reads it
	Init        string  `yaml:"init" json:"init"`         // as nn.ParseScheme reads it
	Seed        uint64  `yaml:"seed" json:"seed"`         // of weights and order

	// Teacher is the file of a trained model whose outputs the training also learns from; see
	// loop.Teacher for the temperature and the share.
	Teacher            string  `yaml:"teacher,omitempty" json:"teacher,omitempty"`
	TeacherTemperature float64 `yaml:"teacher_temperature,omitempty" json:"teacher_temperature,omitempty"`
	TeacherShare       float64 `yaml:"teacher_share,omitempty" json:"teacher_share,omitempty"`

	// See loop.Options for the fields of the same names. ClassWeights is Balanced or numbers,
	// and Freeze is words, separated by commas.
	LabelSmoothing float64 `yaml:"label_smoothing,omitempty" json:"label_smoothing,omitempty"`
	ClassWeights   string  `yaml:"class_weights,omitempty" json:"class_weights,omitempty"`
	ClipNorm       float64 `yaml:"clip_norm,omitempty" json:"clip_norm,omitempty"`
	Accumulate     int     `yaml:"accumulate,omitempty" json:"accumulate,omitempty"`
	EMA            float64 `yaml:"ema,omitempty" json:"ema,omitempty"`
	Lookahead      float64 `yaml:"lookahead,omitempty" json:"lookahead,omitempty"`
	NormBiasRate   float64 `yaml:"norm_bias_lr_scale,omitempty" json:"norm_bias_lr_scale,omitempty"`
	Metric         string  `yaml:"metric,omitempty" json:"metric,omitempty"`
	Sampler        string  `yaml:"sampler,omitempty" json:"sampler,omitempty"` // Balanced or Shuffled; empty: Shuffled
	Patience       int     `yaml:"patience,omitempty" json:"patience,omitempty"`
	Freeze         string  `yaml:"freeze,omitempty" json:"freeze,omitempty"`
	BackboneRate   float64 `yaml:"backbone_lr_scale,omitempty" json:"backbone_lr_scale,omitempty"`
	LayerDecay     float64 `yaml:"layer_decay,omitempty" json:"layer_decay,omitempty"`

	Precision string `yaml:"precision" json:"precision"` // auto (the one that suits the device), bf16, tf32 (on GPUs) or fp32
	Recompute bool   `yaml:"recompute" json:"recompute"` // activations for the gradients, which takes less memory and more time for the same result
	Workers   int    `yaml:"workers" json:"workers"`     // goroutines of the loader; 0 chooses. They never change a result
	Threads   int    `yaml:"threads" json:"threads"`     // of the device; only recorded

	DataDir   string `yaml:"data_dir,omitempty" json:"data_dir,omitempty"`
	Offline   bool   `yaml:"offline,omitempty" json:"offline,omitempty"`       // download nothing
	TrainSize int    `yaml:"train_size,omitempty" json:"train_size,omitempty"` // images to train on; 0: all
	TestSize  int    `yaml:"test_size,omitempty" json:"test_size,omitempty"`   // images to test on; 0: all

	// GradientNorm adds the column grad_norm to the metrics: the L2 norm of the gradient of
	// the first layer's weight, as the mean over the epoch's steps so far.
	GradientNorm bool `yaml:"gradient_norm,omitempty" json:"gradient_norm,omitempty"`

	Out string `yaml:"out" json:"out"` // folder of the numbered run folders

	// Forecast, if it is not nil, asks Run to measure before the start how long the training
	// will take. It is not stored in the run folder and changes no bit of a result.
	Forecast *Forecast `yaml:"-" json:"-"`

	chosenFor int    // training images by which Resolved chose settings; 0: nothing was chosen
	sizedFor  int    // median of the shorter sides of the images by which Resolved chose Resize; 0: it was given, or the sides are unknown
	free      *unset // the settings that a budget may choose; nil without a budget

	asked map[string]bool // the fields that were given, by name; nil before Resolved
}

// The values of Config.LastBatch, which says how many images the last batch of an epoch has.
const (
	EvenLast  = "even"  // the last two share their images if the last would have few: see data.LoaderConfig.Even
	ShortLast = "short" // what is left, be it one image, as in runs of versions that did not record it
)

// Balanced is the value of Config.ClassWeights that stands for loop.BalancedWeights, and of
// Config.Sampler that stands for data.BalancedSampler. Shuffled is the value of Sampler with
// which every epoch has each image once.
const (
	Balanced = "balanced"
	Shuffled = "shuffled"
)

// The values of Config.Metric and Config.Freeze.
const (
	Accuracy         = loop.Accuracy
	Loss             = loop.Loss
	MacroF1          = loop.MacroF1
	BalancedAccuracy = loop.BalancedAccuracy

	MeanAveragePrecision = loop.MeanAveragePrecision
	MAE                  = loop.MAE
	RMSE                 = loop.RMSE
	R2                   = loop.R2
	MeanIoU              = loop.MeanIoU

	FreezeStem     = loop.FreezeStem
	FreezeBackbone = loop.FreezeBackbone

	FreezeNormWeights = loop.FreezeNormWeights
)

// The values for which Config.TeacherTemperature and TeacherShare stand if they are 0.
const (
	DefaultTemperature  = loop.DefaultTemperature
	DefaultTeacherShare = loop.DefaultTeacherShare
)

// DefaultMetric returns the metric of a task if Config.Metric is empty; see loop.DefaultMetric.
func DefaultMetric(t task.Task, tested bool) Metric { return loop.DefaultMetric(t, tested) }

// Metric is a way to choose the best epoch; see loop.Metric.
type Metric = loop.Metric

// IsPhotos reports whether Data names a user's own images; see folder.IsPath.
func (c Config) IsPhotos() bool { return !c.ownData() && folder.IsPath(c.Data) }

// ownData reports whether the images are, or were, a data set of the program's own.
func (c Config) ownData() bool {
	return c.TrainSet != nil || slices.ContainsFunc(c.OwnParts, func(part string) bool { return strings.HasPrefix(part, "TrainSet ") })
}

// dataset is the name of the data in a model file. For a user's own images it is the last
// part of the path, with a slash or an ending, which no data set's name has.
func (c Config) dataset() string {
	if !c.IsPhotos() {
		return c.Data
	}
	if name := filepath.Base(c.Data); folder.IsList(c.Data) {
		return name
	}
	return filepath.Base(c.Data) + "/"
}

// model returns how the model differs from the one of its name.
func (c Config) model() models.Config {
	return models.Config{Blocks: c.Blocks, ZeroInit: c.ZeroInit, StochasticDepth: c.StochasticDepth}
}

// metric returns the metric by which the best epoch is chosen, for images of a task.
func (c Config) metric(of task.Task, tested bool) Metric {
	return cmp.Or(Metric(c.Metric), loop.DefaultMetric(of, tested))
}

// input returns the input of the model and how images become it, for images that native
// describes. It is the one place where settings become that value.
func (c Config) input(native data.Info) prepare.Input {
	p, size := prepare.Steps{Mean: c.Mean, Std: c.Std, Grey: native.Channels == 1}, c.evalSize()
	if c.IsPhotos() {
		p.ResizeShorter, p.Interpolation = c.ResizeShorter, c.Interpolation
	} else {
		p.NativeHeight, p.NativeWidth, p.Resize = native.Height, native.Width, size
	}
	return prepare.Input{Channels: native.Channels, Height: size, Width: size, Preprocess: p}
}

// ofClasses reports whether c's images have one class each.
func (c Config) ofClasses() bool { return task.Task(c.Task).Named() == task.Classes }

// columns returns the columns of a list that have the labels or values.
func (c Config) columns() folder.Columns {
	of := folder.Columns{Task: task.Task(c.Task)}
	for _, name := range strings.Split(c.Columns, ",") {
		if name = strings.TrimSpace(name); name != "" {
			of.Names = append(of.Names, name)
		}
	}
	return of
}

// scan lists the user's own images.
func (c Config) scan(ctx context.Context) (*folder.Index, error) {
	if c.ofClasses() {
		return folder.ScanContext(ctx, c.Data)
	}
	return folder.ScanTargets(ctx, c.Data, c.columns())
}

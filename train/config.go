package train

import (
	"cmp"
	"fmt"
	"os"
	"strings"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/internal/field"
	"github.com/residual-ml/residual/internal/nearest"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/optim"
	"github.com/residual-ml/residual/train/settings"
)

// Config is a whole training. The zero value is the recipe of the notes: the
// ResNet-18 of Dive into Deep Learning on Fashion-MNIST at 96x96, Xavier-uniform
// weights, batches of 256, gradient descent at 0.05 without momentum for 10
// epochs. A field left zero takes the value that suits the data set and the model
// (see Resolved); so 0 cannot be asked for where it would mean something else. Package
// settings has a row for each field: what it may be, and whether a run that goes on must
// keep it.
type Config struct {
	Model  string `yaml:"model" json:"model"`
	Data   string `yaml:"data" json:"data"`     // a name, or the path of a folder or list of images (see folder.IsPath)
	Resize int    `yaml:"resize" json:"resize"` // pixels of both sides

	Preparation `yaml:",inline"`

	// Own is what has no name, but is a value of the program's.
	Own      `yaml:"-" json:"-"`
	OwnParts []string `yaml:"own,omitempty" json:"own,omitempty"` // what of it there is, with its types; set by Resolved

	// Changes of the model; see models.Config.
	Blocks          []int   `yaml:"blocks,omitempty,flow" json:"blocks,omitempty"` // in each stage; nil: the model's own
	ZeroInit        bool    `yaml:"zero_init,omitempty" json:"zero_init,omitempty"`
	StochasticDepth float64 `yaml:"stochastic_depth,omitempty" json:"stochastic_depth,omitempty"`

	// Weights is a file whose values are the first weights, in place of Init's; what
	// exchange.Weights.Load changes of them is told. Where it holds weights alone, an
	// empty Model is the one that exchange.Identify finds, with its blocks.
	Weights string `yaml:"weights,omitempty" json:"weights,omitempty"`

	Batch       int     `yaml:"batch" json:"batch"`
	LastBatch   string  `yaml:"last_batch,omitempty" json:"last_batch,omitempty"` // EvenLast or ShortLast; empty: EvenLast
	LR          float32 `yaml:"lr" json:"lr"`
	Epochs      int     `yaml:"epochs" json:"epochs"`
	Optimizer   string  `yaml:"optimizer" json:"optimizer"`
	Momentum    float32 `yaml:"momentum" json:"momentum"`
	WeightDecay float32 `yaml:"weight_decay" json:"weight_decay"`
	Nesterov    bool    `yaml:"nesterov" json:"nesterov"`
	Schedule    string  `yaml:"schedule" json:"schedule"` // as optim.ParseSchedule reads it
	Init        string  `yaml:"init" json:"init"`         // as nn.ParseScheme reads it
	Seed        uint64  `yaml:"seed" json:"seed"`         // of weights and order

	// What Options has under these names; ClassWeights is balanced or numbers and Freeze
	// words, separated by commas.
	LabelSmoothing float64 `yaml:"label_smoothing,omitempty" json:"label_smoothing,omitempty"`
	ClassWeights   string  `yaml:"class_weights,omitempty" json:"class_weights,omitempty"`
	ClipNorm       float64 `yaml:"clip_norm,omitempty" json:"clip_norm,omitempty"`
	Accumulate     int     `yaml:"accumulate,omitempty" json:"accumulate,omitempty"`
	EMA            float64 `yaml:"ema,omitempty" json:"ema,omitempty"`
	Metric         string  `yaml:"metric,omitempty" json:"metric,omitempty"`
	Patience       int     `yaml:"patience,omitempty" json:"patience,omitempty"`
	Freeze         string  `yaml:"freeze,omitempty" json:"freeze,omitempty"`
	BackboneRate   float64 `yaml:"backbone_lr_scale,omitempty" json:"backbone_lr_scale,omitempty"`
	LayerDecay     float64 `yaml:"layer_decay,omitempty" json:"layer_decay,omitempty"`

	Precision string `yaml:"precision" json:"precision"` // auto (what suits the device), bf16, tf32 (of GPUs) or fp32
	Recompute bool   `yaml:"recompute" json:"recompute"` // activations, for the gradients: less memory, more time, the same result
	Workers   int    `yaml:"workers" json:"workers"`     // of the loader; 0 chooses. They never change a result
	Threads   int    `yaml:"threads" json:"threads"`     // of the device, for the record

	DataDir   string `yaml:"data_dir,omitempty" json:"data_dir,omitempty"`
	Offline   bool   `yaml:"offline,omitempty" json:"offline,omitempty"`       // download nothing
	TrainSize int    `yaml:"train_size,omitempty" json:"train_size,omitempty"` // images to train on; 0: all
	TestSize  int    `yaml:"test_size,omitempty" json:"test_size,omitempty"`   // images to test on; 0: all

	// GradientNorm adds the column grad_norm to the metrics: the L2 norm of the loss's
	// gradient by the first layer's weight, as the mean over the epoch's steps so far.
	GradientNorm bool `yaml:"gradient_norm,omitempty" json:"gradient_norm,omitempty"`

	Out string `yaml:"out" json:"out"` // folder of the numbered run folders

	// Forecast, when it is not nil, asks Run to measure before the start what it will take.
	// It is no setting of the run, which does not keep it, and changes no bit of a result.
	Forecast *Forecast `yaml:"-" json:"-"`

	chosenFor int   // images to train on that Resolved chose by; 0: nothing was chosen
	free      *free // what a budget may choose; nil without one
}

// Resolved returns c with every zero field replaced by what it stands for. Of images
// of the user's own it counts how many there are; see PhotoRecipes.
func (c Config) Resolved() Config {
	c = c.resolvedOwn()
	if c.Data == "" {
		c.Data = "fashion-mnist"
	}
	c = c.recognised()
	if c.IsPhotos() {
		c = c.resolvedPhotos()
	}
	c = c.noting()
	set := c.Data
	if c.ownData() {
		set = "" // whatever it is called
	}
	if c.Model == "" {
		c.Model = "d2l-resnet18"
		switch set {
		case "garments", "mnist":
			c.Model = "d2l-bnlenet"
		case "cifar10", "cifar100":
			c.Model = "cifar-resnet20"
		}
	}
	r := recipeOf(c.Model, set)
	c.Resize = cmp.Or(c.Resize, r.resize)
	c.Batch = cmp.Or(c.Batch, r.batch)
	c.LastBatch = cmp.Or(c.LastBatch, EvenLast)
	c.LR = cmp.Or(c.LR, r.lr)
	c.Epochs = cmp.Or(c.Epochs, r.epochs)
	c.Optimizer = cmp.Or(c.Optimizer, "sgd")
	c.Schedule = cmp.Or(c.Schedule, r.schedule)
	if c.Optimizer == "sgd" {
		c.Momentum = cmp.Or(c.Momentum, r.momentum)
		c.WeightDecay = cmp.Or(c.WeightDecay, r.weightDecay)
	}
	if c.Module == nil {
		c.Init = cmp.Or(c.Init, cmp.Or(r.init, nn.XavierUniform).String())
	}
	if strings.HasPrefix(set, "cifar") {
		c.Augment = cmp.Or(c.Augment, "crop")
	}
	c.Augment = cmp.Or(c.Augment, "none")
	c.Precision = cmp.Or(c.Precision, "auto")
	c.Out = cmp.Or(c.Out, "runs")
	return c
}

// What Config.LastBatch may be, of the last batch of an epoch.
const (
	EvenLast  = "even"  // the last two share their images where the last would have few: see data.LoaderConfig.Even
	ShortLast = "short" // it has what is left, be it one image, as in runs of versions that did not record it
)

// recipe is what a model is trained with unless the user says otherwise.
type recipe struct {
	resize, batch int
	lr            float32
	epochs        int
	schedule      string

	momentum, weightDecay float32
	init                  nn.Scheme // PyTorchDefault, its zero value, stands for d2l's
}

// recipeOf gives d2l's settings, for garments, which are fewer and smaller
// images, such as reach 94% and more in about a minute, and for CIFAR those of the
// paper.
func recipeOf(model, set string) recipe {
	small := set == "garments"
	switch {
	case model == "d2l-bnlenet" && small:
		return recipe{resize: 28, batch: 64, lr: 1, epochs: 10, schedule: "cosine"}
	case model == "d2l-bnlenet": // d2l, section 8.5
		return recipe{resize: 28, batch: 256, lr: 1, epochs: 10, schedule: "constant"}
	case strings.HasPrefix(set, "cifar"): // He et al. 2015, section 4.2: 64,000 steps, the rate a tenth from 32,000 and from 48,000
		return recipe{resize: 32, batch: 128, lr: 0.1, epochs: 164, schedule: "step,gamma=0.1,at=0.5,at=0.75",
			momentum: 0.9, weightDecay: 1e-4, init: nn.KaimingNormal}
	case small:
		return recipe{resize: 28, batch: 64, lr: 0.05, epochs: 3, schedule: "cosine"}
	}
	return recipe{resize: 96, batch: 256, lr: 0.05, epochs: 10, schedule: "constant"}
}

// plan is a Config that has been checked, with what its names stand for.
type plan struct {
	Config
	entry     models.Entry // none where the module is the program's own
	scheme    nn.Scheme
	optimizer optim.Optimizer
	schedule  optim.Schedule
	precision engine.Precision
	rehearsal bool // nothing is written
}

// model is what c changes of its model.
func (c Config) model() models.Config {
	return models.Config{Blocks: c.Blocks, ZeroInit: c.ZeroInit, StochasticDepth: c.StochasticDepth}
}

// Check reports the first setting that cannot be, before any work.
func (c Config) Check() error {
	p, err := c.plan()
	if err != nil {
		return err
	}
	return p.checkFreeze()
}

func (c Config) plan() (p plan, err error) {
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
	if err := settings.Check(p.Config); err != nil {
		return p, err
	}
	if err := p.checkImages(p.IsPhotos(), p.Resize); err != nil {
		return p, err
	}
	if e := p.entry; e.FixedSize && (p.Resize != e.Height || p.Resize != e.Width) {
		return p, field.Errorf("model %s takes only %dx%d images, not %dx%d; leave {Resize} out, or choose another {Model}",
			e.Name, e.Height, e.Width, p.Resize, p.Resize)
	}
	if p.Init != "" {
		if p.scheme, err = nn.ParseScheme(p.Init); err != nil {
			return p, err
		}
	}
	if p.schedule, err = optim.ParseSchedule(p.Schedule, p.LR); err != nil {
		return p, err
	}
	if p.optimizer, err = optim.New(p.Optimizer, optim.Config{Momentum: p.Momentum, WeightDecay: p.WeightDecay, Nesterov: p.Nesterov}); err != nil {
		return p, err
	}
	return p, p.checkOptions()
}

// planOn is plan with the precision that auto stands for on a device.
func (c Config) planOn(dev engine.Device) (p plan, err error) {
	if p, err = c.plan(); err != nil {
		return p, err
	}
	p.precision, err = engine.ParsePrecision(p.Precision, dev)
	p.Precision = p.precision.String()
	return p, err
}

func (p plan) checkData() error {
	if p.ownData() {
		return nil
	}
	if p.IsPhotos() {
		_, err := os.Stat(p.Data)
		if err != nil {
			return field.Errorf("{Data}: %w; name a folder with one folder a class, a .csv or .jsonl list, or a data set of `residual data list`", err)
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
	return fmt.Errorf("unknown data set %q, and there is no folder of that name; %schoose one of: %s", p.Data, nearest.Aside(p.Data, names, ""), strings.Join(names, ", "))
}

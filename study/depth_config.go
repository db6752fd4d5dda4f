package study

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/internal/field"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/train"
)

// DepthConfig configures a study of plain and residual nets over depth (He et al. 2015,
// https://arxiv.org/abs/1512.03385, section 4.2): nets of 6n+2 layers for CIFAR that
// differ only in kind and depth. The zero value shows the effect in less than 20 minutes
// on two cores.
type DepthConfig struct {
	Kinds  []string     `yaml:"kinds,flow" json:"kinds"` // any of DepthKinds
	Depths []int        `yaml:"depths,flow" json:"depths"`
	Seeds  int          `yaml:"seeds" json:"seeds"` // number of trainings of each net, with the seeds 1, 2, ...
	Train  train.Config `yaml:"train" json:"train"` // settings of all trainings; the study sets Model, Seed, Recompute and GradientNorm
}

// depthKinds maps the study's name of a kind to the prefix of its models.
var depthKinds = []struct{ name, prefix string }{{"plain", "cifar-plain"}, {"residual", "cifar-resnet"}, {"preact", "cifar-preresnet"}}

// DepthKinds lists the kinds of nets: without shortcuts, with them, and with
// activations before the convolutions (He et al. 2016).
func DepthKinds() (names []string) {
	for _, k := range depthKinds {
		names = append(names, k.name)
	}
	return names
}

// FullDepth is the full-length study: five depths, three seeds, all images.
func FullDepth() DepthConfig {
	return DepthConfig{Depths: []int{8, 20, 32, 56, 110}, Seeds: 3, Train: train.Config{
		TrainSize: 60_000, TestSize: 10_000, Resize: 28, Batch: 128, Epochs: 10, LR: 0.1,
	}}
}

// Resolved returns c with the default in place of every zero field. The optimiser is
// the paper's: momentum 0.9, weight decay 0.0001, weights by He's initialisation, and
// a learning rate of 0.1 for batches of 128, so 0.05 for 64. All nets warm up, as the
// paper's nets of 110 layers do, and the rate follows a cosine. Sizes beyond those of
// the data set mean all of it.
func (c DepthConfig) Resolved() DepthConfig {
	if len(c.Kinds) == 0 {
		c.Kinds = []string{"plain", "residual"}
	}
	if len(c.Depths) == 0 {
		c.Depths = []int{8, 20, 56}
	}
	c.Seeds = cmp.Or(c.Seeds, 3)
	t := &c.Train
	t.Model, t.Seed, t.GradientNorm = c.model(c.Kinds[0], c.Depths[0]), 0, true
	t.Resize, t.Batch, t.Epochs = cmp.Or(t.Resize, 14), cmp.Or(t.Batch, 64), cmp.Or(t.Epochs, 6)
	t.TrainSize, t.TestSize = cmp.Or(t.TrainSize, 6000), cmp.Or(t.TestSize, 1000)
	t.LR, t.Momentum, t.WeightDecay = cmp.Or(t.LR, 0.05), cmp.Or(t.Momentum, 0.9), cmp.Or(t.WeightDecay, 1e-4)
	t.Schedule, t.Init = cmp.Or(t.Schedule, "cosine,warmup=0.1"), cmp.Or(t.Init, "kaiming-normal")
	*t = t.Resolved()
	return c
}

// model returns the net's name; for an unknown kind it is one that models.Lookup refuses.
func (c DepthConfig) model(kind string, depth int) string {
	for _, k := range depthKinds {
		if k.name == kind {
			return k.prefix + strconv.Itoa(depth)
		}
	}
	return kind + strconv.Itoa(depth)
}

// Check returns an error for the first invalid setting.
func (c DepthConfig) Check() error {
	c = c.Resolved()
	for i, k := range c.Kinds {
		if !slices.Contains(DepthKinds(), k) {
			return field.Errorf("{Kinds}: %q is not known; choose from %s", k, strings.Join(DepthKinds(), ", "))
		}
		if slices.Contains(c.Kinds[:i], k) {
			return field.Errorf("{Kinds}: %s is given twice", k)
		}
	}
	for i, d := range c.Depths {
		if _, err := models.Lookup(c.model(c.Kinds[0], d)); err != nil {
			return field.Errorf("{Depths}: %w", err)
		}
		if slices.Contains(c.Depths[:i], d) {
			return field.Errorf("{Depths}: %d is given twice", d)
		}
	}
	const most = 1000
	if c.Seeds < 1 || c.Seeds > most {
		return field.Errorf("{Seeds} %d: must be from 1 to %d", c.Seeds, most)
	}
	return c.Train.Check()
}

// Net is one training of a study.
type Net struct {
	Kind  string `json:"kind"`
	Depth int    `json:"depth"`
	Seed  int    `json:"seed"`
}

// String returns the name of the training's folder.
func (n Net) String() string { return fmt.Sprintf("%s-%d-seed%d", n.Kind, n.Depth, n.Seed) }

// nets lists the trainings in their order. One seed of every net comes first, so that
// the results of an interrupted study can be compared.
func (c DepthConfig) nets() (all []Net) {
	for seed := range c.Seeds {
		for _, depth := range c.Depths {
			for _, kind := range c.Kinds {
				all = append(all, Net{kind, depth, seed + 1})
			}
		}
	}
	return all
}

// Depth is a depth study in its folder.
type Depth struct {
	Dir    string
	Config DepthConfig
	folder *checkpoint.Run
	fresh  bool // nothing has been done in the folder yet
}

// DepthRun is the result of one training.
type DepthRun struct {
	Net
	Diverged bool    `json:"diverged"` // ended in NaN or infinite values
	Epochs   []Epoch `json:"epochs"`
}

// divergedFile records that a training ended in NaN or infinite values.
const divergedFile = "diverged.txt"

// config returns the settings of one training.
func (d *Depth) config(n Net, recompute bool) train.Config {
	c := d.Config.Train
	c.Model, c.Seed, c.Recompute, c.Out = d.Config.model(n.Kind, n.Depth), uint64(n.Seed), recompute, d.Dir
	return c
}

// read returns what a training has measured so far; ok is false when that is nothing.
func (d *Depth) read(n Net) (r DepthRun, ok bool, err error) {
	r.Net, r.Diverged = n, exists(d.folder.Path(n.String()), divergedFile)
	r.Epochs, err = epochsOf(d.folder.Path(n.String()))
	return r, r.Diverged || len(r.Epochs) > 0, err
}

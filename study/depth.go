package study

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/internal/field"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/train"
	"github.com/residual-ml/residual/train/loop"
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

// DepthCallbacks report the progress of a study, from its goroutine. Any may be nil.
type DepthCallbacks struct {
	train.Callbacks // of the current training
	OnPlan          func(DepthPlan)
	OnNet           func(done, total int, n Net, left time.Duration) // called before a net is trained
	OnNetEnd        func(DepthRun)
}

// Depth is a depth study in its folder.
type Depth struct {
	Dir    string
	Config DepthConfig
	folder *checkpoint.Run
	fresh  bool // nothing has been done in the folder yet
}

// NewDepth creates a study in a numbered folder under c.Train.Out. The device decides
// what precision "auto" stands for.
func NewDepth(dev engine.Device, c DepthConfig) (*Depth, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	c = c.Resolved()
	p, err := engine.ParsePrecision(c.Train.Precision, dev)
	if err != nil {
		return nil, err
	}
	c.Train.Precision = p.String()
	folder, err := newFolder(c.Train.Out, "study-depth", c)
	if err != nil {
		return nil, err
	}
	return &Depth{folder.Dir, c, folder, true}, nil
}

// OpenDepth opens an existing study to resume it.
func OpenDepth(dir string) (*Depth, error) {
	folder, c, err := openFolder[DepthConfig](dir, "study-depth")
	if err != nil {
		return nil, err
	}
	if err := c.Check(); err != nil {
		return nil, fmt.Errorf("%s: %w", folder.Path("settings.yaml"), err)
	}
	return &Depth{Dir: folder.Dir, Config: c, folder: folder}, nil
}

// Run trains what has not been trained yet, each net in a run folder below the
// study's, and writes table.csv, epochs.csv, table.json, depth.png and depth.svg
// after each. When a training diverges, the study records that and goes on. When ctx
// ends, Run returns ctx's error; a later Run of the same folder continues from the
// last complete epoch and ends with the same numbers.
func (d *Depth) Run(ctx context.Context, dev engine.Device, cb DepthCallbacks) (DepthResult, error) {
	todo, err := d.todo()
	if err != nil {
		return DepthResult{}, err
	}
	plan, err := d.plan(ctx, dev, todo, cb)
	if err != nil && d.fresh && ctx.Err() == nil {
		discard(d.folder)
	}
	d.fresh = false
	if err != nil {
		return DepthResult{}, err
	}
	total := len(d.Config.nets())
	pace := 1.0 // measured time over planned time
	var planned, took float64
	for i, n := range todo {
		if cb.OnNet != nil {
			left := 0.0
			for _, m := range todo[i:] {
				left += pace * plan.of(m).Run.Seconds()
			}
			cb.OnNet(total-len(todo)+i, total, n, time.Duration(left*float64(time.Second)))
		}
		start := time.Now()
		if err := d.train(ctx, dev, n, plan.of(n).Recompute, cb.Callbacks); err != nil {
			return DepthResult{}, err
		}
		took, planned = took+time.Since(start).Seconds(), planned+plan.of(n).Run.Seconds()
		if planned > 0 {
			pace = took / planned
		}
		r, err := d.write()
		if err != nil {
			return r, err
		}
		if cb.OnNetEnd != nil {
			run, _, err := d.read(n)
			if err != nil {
				return r, err
			}
			cb.OnNetEnd(run)
		}
	}
	return d.write()
}

// todo lists the trainings that are not complete.
func (d *Depth) todo() (nets []Net, err error) {
	for _, n := range d.Config.nets() {
		done, err := d.done(n)
		if err != nil {
			return nil, err
		}
		if !done {
			nets = append(nets, n)
		}
	}
	return nets, nil
}

// divergedFile records that a training ended in NaN or infinite values.
const divergedFile = "diverged.txt"

func (d *Depth) done(n Net) (bool, error) {
	dir := d.folder.Path(n.String())
	if exists(dir, divergedFile) {
		return true, nil
	}
	return ended(dir)
}

// config returns the settings of one training.
func (d *Depth) config(n Net, recompute bool) train.Config {
	c := d.Config.Train
	c.Model, c.Seed, c.Recompute, c.Out = d.Config.model(n.Kind, n.Depth), uint64(n.Seed), recompute, d.Dir
	return c
}

// train starts or resumes a training.
func (d *Depth) train(ctx context.Context, dev engine.Device, n Net, recompute bool, cb train.Callbacks) error {
	err := trainIn(ctx, dev, d.folder.Path(n.String()), d.config(n, recompute), cb)
	if errors.Is(err, loop.ErrNotFinite) {
		return checkpoint.WriteFile(d.folder.Path(n.String()+"/"+divergedFile), func(w io.Writer) error {
			_, err := fmt.Fprintln(w, err)
			return err
		})
	}
	if err != nil && ctx.Err() == nil {
		err = fmt.Errorf("%v: %w", n, err)
	}
	return err
}

// read returns what a training has measured so far; ok is false when that is nothing.
func (d *Depth) read(n Net) (r DepthRun, ok bool, err error) {
	r.Net, r.Diverged = n, exists(d.folder.Path(n.String()), divergedFile)
	r.Epochs, err = epochsOf(d.folder.Path(n.String()))
	return r, r.Diverged || len(r.Epochs) > 0, err
}

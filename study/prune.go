package study

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/inference"
	"github.com/residual-ml/residual/internal/field"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/train"
)

// PruneConfig removes the least important blocks from a trained net: one after the
// other, each time the block without which the loss on training images is lowest.
type PruneConfig struct {
	Source     `yaml:",inline"`
	Drop       int          `yaml:"drop" json:"drop"`               // number of blocks to remove; 0: as many as Budget requires
	Budget     float64      `yaml:"budget" json:"budget"`           // fraction of the multiply-adds that may stay, between 0 and 1
	SelectSize int          `yaml:"select_size" json:"select_size"` // number of training images to choose by; 0: 1000
	Train      train.Config `yaml:"train" json:"train"`             // fine-tuning where Epochs is above 0; the study sets its Model, Blocks, Data and From
	Out        string       `yaml:"out" json:"out"`
}

// Prune is a pruning in its folder.
type Prune struct {
	Dir    string
	Config PruneConfig
	folder *checkpoint.Run
	source *opened
}

// PruneCallbacks report the progress of a pruning. Any may be nil.
type PruneCallbacks struct {
	train.Callbacks // of the fine-tuning
	OnMeasure       func(m Measure)
	OnDrop          func(n int, block string, m Measure) // called for the n-th block that is removed
}

// NewPrune checks c and creates a numbered folder under c.Out.
func NewPrune(ctx context.Context, dev engine.Device, c PruneConfig, cb PruneCallbacks) (*Prune, error) {
	if c.SelectSize == 0 {
		c.SelectSize = 1000
	}
	switch {
	case c.Drop < 0:
		return nil, field.Errorf("{Drop} %d: give a number of blocks above 0", c.Drop)
	case c.SelectSize < 0:
		return nil, field.Errorf("{SelectSize} %d: give a number of images above 0", c.SelectSize)
	case (c.Drop == 0) == (c.Budget == 0):
		return nil, field.Errorf("give either {Drop}, the number of blocks to take out, or {Budget}, the share of the multiply-adds that may stay")
	case c.Drop == 0 && !(c.Budget > 0 && c.Budget < 1):
		return nil, field.Errorf("{Budget} %v: give the share of the multiply-adds that may stay, between 0 and 1", c.Budget)
	}
	o, err := c.Source.open(ctx, dev, engine.Inference, cb.OnData)
	if err != nil {
		return nil, err
	}
	if err := o.canDrop(c); err != nil {
		return nil, err
	}
	if err := o.checkTraining(&c.Train, nil); err != nil {
		return nil, err
	}
	folder, err := newFolder(c.Out, "prune", c)
	if err != nil {
		return nil, err
	}
	return &Prune{folder.Dir, c, folder, o}, o.keepRecord(folder)
}

// OpenPrune opens an existing pruning to resume it.
func OpenPrune(ctx context.Context, dev engine.Device, dir string, change func(*Source), cb PruneCallbacks) (*Prune, error) {
	folder, c, err := openFolder[PruneConfig](dir, "prune")
	if err != nil {
		return nil, err
	}
	change(&c.Source)
	o, err := c.Source.open(ctx, dev, engine.Inference, cb.OnData)
	if err != nil {
		return nil, err
	}
	return &Prune{folder.Dir, c, folder, o}, o.canDrop(c)
}

// canDrop returns an error when c asks for more blocks than can be removed.
func (o *opened) canDrop(c PruneConfig) error {
	_, cannot := o.candidates()
	var can []place
	for {
		more := o.removable(can)
		if len(more) == 0 {
			break
		}
		can = append(can, more[0])
	}
	if c.Drop > len(can) || len(can) == 0 {
		return field.Errorf("{Drop} %d: %d blocks of %s can be taken out; every stage keeps one, and these change the shape: %s", c.Drop, len(can), c.Model, o.names(cannot))
	}
	fullMACs, err := o.macs(nil)
	if err != nil {
		return err
	}
	least, err := o.macs(can)
	if err != nil {
		return err
	}
	if share := float64(least) / float64(fullMACs); c.Drop == 0 && c.Budget < share {
		return field.Errorf("{Budget} %v: even without all %d blocks that can be taken out %.3f of the multiply-adds stay; every stage keeps a block, and these change the shape: %s",
			c.Budget, len(can), share, o.names(cannot))
	}
	return nil
}

// removable returns the blocks that can be removed in addition to lost: every stage
// keeps one block.
func (o *opened) removable(lost []place) (more []place) {
	left := blocksOf(o.net)
	for _, p := range lost {
		left[p.stage]--
	}
	can, _ := o.candidates()
	return slices.DeleteFunc(can, func(p place) bool { return left[p.stage] < 2 || slices.Contains(lost, p) })
}

// macs counts the multiply-adds per image without the blocks of out.
func (o *opened) macs(out []place) (int64, error) {
	stages, l := o.net.Stages(), Ablation{Net: o.net, Out: map[models.Block]bool{}}
	for _, p := range out {
		l.Out[stages[p.stage].Blocks[p.index]] = true
	}
	t, err := nn.Summary(&l, o.oneImage())
	if err != nil {
		return 0, err
	}
	return t.MACs, nil
}

// Run chooses the blocks, writes pruned.safetensors with its table and figure, and
// fine-tunes if epochs were requested. When ctx ends it returns ctx's error; a
// later Run of the folder continues with the next measurement or epoch.
func (p *Prune) Run(ctx context.Context, dev engine.Device, cb PruneCallbacks) (r ChangedResult, err error) {
	r = ChangedResult{Dir: p.Dir, Model: p.folder.Path("pruned.safetensors")}
	lost, err := p.choose(ctx, cb)
	if err != nil {
		return r, err
	}
	for _, q := range lost {
		r.Removed = append(r.Removed, p.source.name(q))
	}
	about := p.source.classifier.Info()
	net, err := rebuilt(about, p.source.net, without(blocksOf(p.source.net), lost), 0)
	if err != nil {
		return r, err
	}
	info := changed(about, net)
	if err := checkpoint.SaveModel(r.Model, info, nn.StateDict(net)); err != nil {
		return r, err
	}
	small := p.source.classifier.Replaced(net, info)
	before, err := p.source.row(ctx, "before", p.source.classifier)
	if err != nil {
		return r, err
	}
	after, err := p.source.row(ctx, "pruned", small)
	if err != nil {
		return r, err
	}
	speeds, err := p.source.speeds(ctx, p.source.classifier, small)
	if err != nil {
		return r, err
	}
	before.ImagesPerSecond, after.ImagesPerSecond = Value(speeds[0]), Value(speeds[1])
	r.Rows = []ChangedRow{before, after}
	c := p.Config.Train
	if c.Epochs > 0 {
		c.Blocks = after.Blocks
	}
	return r, p.source.trainOn(ctx, dev, p.folder, c, cb.Callbacks, &r, "prune")
}

// choose returns the blocks to remove, in the order of removal.
func (p *Prune) choose(ctx context.Context, cb PruneCallbacks) (lost []place, err error) {
	o := p.source
	images, err := o.part(ctx, data.Train, p.Config.SelectSize, cb.OnData)
	if err != nil {
		return nil, err
	}
	l, err := newAblations(o, images, p.folder, cb.OnMeasure)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, l.log.Close()) }()
	fullMACs, err := o.macs(nil)
	if err != nil {
		return nil, err
	}
	for {
		left, err := o.macs(lost)
		if err != nil {
			return nil, err
		}
		if p.Config.Drop > 0 && len(lost) == p.Config.Drop || p.Config.Drop == 0 && float64(left) <= p.Config.Budget*float64(fullMACs) {
			return lost, nil
		}
		var best place
		var found *Measure
		for _, q := range o.removable(lost) {
			m, err := l.without(ctx, append(slices.Clone(lost), q))
			if err != nil {
				return nil, err
			}
			if found == nil || orWorst(m.Loss) < orWorst(found.Loss) {
				best, found = q, &m
			}
		}
		lost = append(lost, best)
		if cb.OnDrop != nil {
			cb.OnDrop(len(lost), o.name(best), *found)
		}
	}
}

// speeds measures images per second of several nets, in turn and on one batch of test
// images: the median of five rounds.
func (o *opened) speeds(ctx context.Context, nets ...*inference.Classifier) ([]float64, error) {
	shape := o.oneImage()
	shape[0] = min(64, o.test.Len())
	x := tensor.New(shape...)
	const turns, atLeast = 5, 100 * time.Millisecond
	rates := make([][]float64, len(nets))
	for turn := range turns + 1 {
		for i, c := range nets {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			start, n := time.Now(), 0
			for n == 0 || time.Since(start) < atLeast {
				if _, err := c.Logits(x); err != nil {
					return nil, err
				}
				n += shape[0]
			}
			if turn > 0 { // the first turn includes compilation
				rates[i] = append(rates[i], float64(n)/time.Since(start).Seconds())
			}
		}
	}
	var out []float64
	for _, r := range rates {
		slices.Sort(r)
		out = append(out, r[len(r)/2])
	}
	return out, nil
}

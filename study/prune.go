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

// PruneConfig takes the blocks that matter least out of a trained net: one after
// the other, each time the one without which the loss on training pictures is
// the least.
type PruneConfig struct {
	Source     `yaml:",inline"`
	Drop       int          `yaml:"drop" json:"drop"`               // blocks to take out; 0: as many as Budget wants
	Budget     float64      `yaml:"budget" json:"budget"`           // share of the multiply-adds that may stay, between 0 and 1
	SelectSize int          `yaml:"select_size" json:"select_size"` // training pictures to choose by; 0: 1000
	Train      train.Config `yaml:"train" json:"train"`             // fine-tuning where Epochs is above 0; of it Model, Blocks, Data and From are the study's
	Out        string       `yaml:"out" json:"out"`
}

// Prune is a pruning in its folder.
type Prune struct {
	Dir    string
	Config PruneConfig
	folder *checkpoint.Run
	source *opened
}

// PruneCallbacks hear of a pruning. Any may be nil.
type PruneCallbacks struct {
	train.Callbacks // of the fine-tuning
	OnMeasure       func(m Measure)
	OnDrop          func(n int, block string, m Measure) // the n-th block that goes
}

// NewPrune checks c, and makes a numbered folder under c.Out.
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
	o, err := c.Source.open(ctx, dev, cb.OnData)
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

// OpenPrune opens one that was begun, to go on with it.
func OpenPrune(ctx context.Context, dev engine.Device, dir string, change func(*Source), cb PruneCallbacks) (*Prune, error) {
	folder, c, err := openFolder[PruneConfig](dir, "prune")
	if err != nil {
		return nil, err
	}
	change(&c.Source)
	o, err := c.Source.open(ctx, dev, cb.OnData)
	if err != nil {
		return nil, err
	}
	return &Prune{folder.Dir, c, folder, o}, o.canDrop(c)
}

// canDrop says when too much is asked for.
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
	whole, err := o.macs(nil)
	if err != nil {
		return err
	}
	least, err := o.macs(can)
	if err != nil {
		return err
	}
	if share := float64(least) / float64(whole); c.Drop == 0 && c.Budget < share {
		return field.Errorf("{Budget} %v: even without all %d blocks that can be taken out %.3f of the multiply-adds stay; every stage keeps a block, and these change the shape: %s",
			c.Budget, len(can), share, o.names(cannot))
	}
	return nil
}

// removable are the blocks that can go besides those that are lost: every stage
// keeps one.
func (o *opened) removable(lost []place) (more []place) {
	left := blocksOf(o.net)
	for _, p := range lost {
		left[p.stage]--
	}
	can, _ := o.candidates()
	return slices.DeleteFunc(can, func(p place) bool { return left[p.stage] < 2 || slices.Contains(lost, p) })
}

// macs counts the multiply-adds of an image without some blocks.
func (o *opened) macs(out []place) (int64, error) {
	stages, l := o.net.Stages(), Lesion{Net: o.net, Out: map[models.Block]bool{}}
	for _, p := range out {
		l.Out[stages[p.stage].Blocks[p.index]] = true
	}
	t, err := nn.Summary(&l, o.oneImage())
	if err != nil {
		return 0, err
	}
	return t.MACs, nil
}

// Run chooses the blocks, writes pruned.safetensors and its table and figure, and
// fine-tunes where that was asked for. When ctx ends it returns ctx's error; a
// later Run of the folder goes on with the next measurement or epoch.
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

// choose returns the blocks to take out, in the order in which they go.
func (p *Prune) choose(ctx context.Context, cb PruneCallbacks) (lost []place, err error) {
	o := p.source
	pictures, err := o.part(ctx, data.Train, p.Config.SelectSize, cb.OnData)
	if err != nil {
		return nil, err
	}
	l, err := newLesions(o, pictures, p.folder, cb.OnMeasure)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, l.log.Close()) }()
	whole, err := o.macs(nil)
	if err != nil {
		return nil, err
	}
	for {
		left, err := o.macs(lost)
		if err != nil {
			return nil, err
		}
		if p.Config.Drop > 0 && len(lost) == p.Config.Drop || p.Config.Drop == 0 && float64(left) <= p.Config.Budget*float64(whole) {
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

// speeds measures the images a second of nets side by side, on one batch of the
// test pictures: the median of five turns.
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
			if turn > 0 { // the first one compiles
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

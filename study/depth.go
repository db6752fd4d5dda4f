package study

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/train"
	"github.com/residual-ml/residual/train/loop"
)

// DepthCallbacks report the progress of a study, from its goroutine. Any may be nil.
type DepthCallbacks struct {
	train.Callbacks // of the current training
	OnPlan          func(DepthPlan)
	OnNet           func(done, total int, n Net, left time.Duration) // called before a net is trained
	OnNetEnd        func(DepthRun)
}

// NewDepth creates a study in a numbered folder under c.Train.Out. The device decides
// what precision "auto" stands for.
func NewDepth(dev engine.Device, c DepthConfig) (*Depth, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	c = c.Resolved()
	p, err := engine.ParsePrecision(c.Train.Precision, dev, engine.Training)
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
	plan, err := d.plan(ctx, dev, todo, cb.Callbacks)
	if err != nil && d.fresh && ctx.Err() == nil {
		discard(d.folder)
	}
	d.fresh = false
	if err != nil {
		return DepthResult{}, err
	}
	if len(todo) > 0 && cb.OnPlan != nil {
		cb.OnPlan(plan)
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

func (d *Depth) done(n Net) (bool, error) {
	dir := d.folder.Path(n.String())
	if exists(dir, divergedFile) {
		return true, nil
	}
	return ended(dir)
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

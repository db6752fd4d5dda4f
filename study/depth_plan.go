package study

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/optim"
	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/train"
	"github.com/residual-ml/residual/train/loop"
)

// DepthPlan estimates a study before it starts.
type DepthPlan struct {
	Nets   []NetPlan
	Pixels int           // height and width
	Images int           // training images in each epoch
	Tests  int           // test images after each epoch
	Total  time.Duration // time for the remaining trainings
}

// NetPlan estimates one training of a net from a measured step.
type NetPlan struct {
	Kind         string
	Depth        int
	Parameters   int64
	MultiplyAdds int64 // of the forward pass of one image
	Bytes        int64 // memory planned for its training
	Recompute    bool  // recompute activations to save memory
	Step         time.Duration
	Run          time.Duration // time for one training
	Left         int           // trainings that remain
}

func (p DepthPlan) of(n Net) NetPlan {
	for _, q := range p.Nets {
		if q.Kind == n.Kind && q.Depth == n.Depth {
			return q
		}
	}
	return NetPlan{}
}

// plan measures a step of every net that remains to be trained.
func (d *Depth) plan(ctx context.Context, dev engine.Device, todo []Net, cb train.Callbacks) (DepthPlan, error) {
	plan := DepthPlan{Pixels: d.Config.Train.Resize}
	if len(todo) == 0 {
		return plan, nil
	}
	t := d.Config.Train
	var size [2]int
	var info data.Info
	var batch *data.Batch
	for i, split := range []data.Split{data.Train, data.Test} {
		cut := []int{t.TrainSize, t.TestSize}[i]
		ds, err := data.Open(ctx, t.Data, data.Options{Dir: t.DataDir, Split: split, Offline: t.Offline, Size: cut, Progress: cb.OnData})
		if err != nil {
			return plan, err
		}
		if size[i] = ds.Len(); cut > 0 {
			size[i] = min(size[i], cut)
		}
		if split == data.Test {
			continue
		}
		l, err := data.NewLoader(data.Resize(ds, t.Resize), data.LoaderConfig{Batch: min(t.Batch, size[0]), Workers: 1})
		if err != nil {
			return plan, err
		}
		e := l.Epoch(ctx, 1)
		defer e.Close()
		if batch, err = e.Next(); err != nil {
			return plan, err
		}
		info = ds.Info()
	}
	plan.Images, plan.Tests = size[0], size[1]
	for _, n := range todo {
		if p := plan.of(n); p.Left > 0 {
			for i := range plan.Nets {
				if q := &plan.Nets[i]; q.Kind == n.Kind && q.Depth == n.Depth {
					q.Left++
				}
			}
			continue
		}
		if err := ctx.Err(); err != nil {
			return plan, err
		}
		p, err := d.measure(dev, n, info, batch)
		if err != nil {
			return plan, fmt.Errorf("%s-%d: %w", n.Kind, n.Depth, err)
		}
		perImage := p.Step.Seconds() / float64(batch.Images.Shape()[0])
		images := float64(plan.Images) + float64(plan.Tests)/3 // testing is forward only
		p.Run, p.Left = time.Duration(perImage*images*float64(t.Epochs)*float64(time.Second)), 1
		plan.Nets = append(plan.Nets, p)
	}
	for _, p := range plan.Nets {
		plan.Total += time.Duration(p.Left) * p.Run
	}
	return plan, nil
}

// maxActivations is how many bytes of activations a net may retain; a larger net
// recomputes them for the gradients, with the same result. The limit is fixed so that a
// study does not depend on the machine.
const maxActivations = 1 << 30

// measure builds a net and times one of its steps.
func (d *Depth) measure(dev engine.Device, n Net, info data.Info, batch *data.Batch) (NetPlan, error) {
	c := d.config(n, false)
	e, err := models.Lookup(c.Model)
	if err != nil {
		return NetPlan{}, err
	}
	m := e.New(models.Config{Channels: info.Channels, Classes: len(info.Classes)})
	shape := batch.Images.Shape()
	table, err := nn.Summary(m, tensor.Shape{1, shape[1], shape[2], shape[3]})
	if err != nil {
		return NetPlan{}, err
	}
	precision, err := engine.ParsePrecision(c.Precision, dev, engine.Training)
	if err != nil {
		return NetPlan{}, err
	}
	p := NetPlan{Kind: n.Kind, Depth: n.Depth, Parameters: table.Params, MultiplyAdds: table.MACs}
	p.Recompute = activations(table, shape[0], precision) > maxActivations
	step, bytes, err := timeStep(dev, m, info, batch, loop.Options{
		Batch: shape[0], Epochs: 1, Optimizer: optim.SGD{Momentum: c.Momentum}, Precision: precision, Recompute: p.Recompute,
	})
	p.Step, p.Bytes = step, bytes
	return p, err
}

// activations estimates the bytes that a training retains for the gradients: the output
// of every convolution, and of the batch norm and ReLU behind it.
func activations(t *nn.Table, images int, p engine.Precision) int64 {
	var n int64
	for _, r := range t.Rows {
		if r.Class == "Conv2d" {
			n += 2 * int64(r.Output.Numel()) * int64(images)
		}
	}
	if p == engine.BF16 {
		return 2 * n
	}
	return 4 * n
}

// timeStep times a training step: the second step, unless steps take long.
func timeStep(dev engine.Device, m nn.Module, info data.Info, batch *data.Batch, o loop.Options) (step time.Duration, bytes int64, err error) {
	info.Height, info.Width = batch.Images.Shape()[2], batch.Images.Shape()[3]
	t, err := loop.New(dev, m, blank{info, o.Batch}, nil, o)
	if err != nil {
		return 0, 0, err
	}
	const long = 2 * time.Second
	for range 3 {
		start := time.Now()
		if _, _, err := t.Step(batch.Images, batch.Labels, 0); err != nil {
			return 0, 0, err
		}
		took := time.Since(start)
		if step = min(cmp.Or(step, took), took); took > long {
			break
		}
	}
	return step, t.Memory().Total(), nil
}

// blank stands for a data set whose images are not read.
type blank struct {
	info data.Info
	n    int
}

func (b blank) Info() data.Info                         { return b.info }
func (b blank) Len() int                                { return b.n }
func (b blank) Get(int, []uint8) (label int, err error) { return 0, nil }

package train

import (
	"context"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/train/loop"
)

// LRFind are the settings of FindLR, as package loop has them.
type LRFind = loop.LRFind

// LRCurve is what FindLR found, with the settings that it trained by.
type LRCurve struct {
	Config Config `json:"settings"` // as resolved
	loop.LRCurve
}

// FindLR is the range test of Smith (https://arxiv.org/abs/1506.01186, section 3.3): it
// trains by c while the rate rises exponentially, a step at a time, and notes the loss. Model,
// data, batches and optimiser are those that Run would take, from the same first weights;
// epochs, schedule, rate, averages and patience of c are of no account. It writes no files,
// and the weights it trained are gone. OnData, OnStart and OnStep of cb are called, the
// latter with the smoothed loss.
func FindLR(ctx context.Context, dev engine.Device, c Config, o LRFind, cb Callbacks) (LRCurve, error) {
	if err := o.Check(); err != nil {
		return LRCurve{}, err
	}
	c.EMA, c.Patience, c.GradientNorm = 0, 0, false
	p, err := c.planOn(dev)
	if err != nil {
		return LRCurve{}, err
	}
	j := &job{plan: p, dev: dev, cb: cb}
	s, err := j.ready(ctx)
	if err != nil {
		return LRCurve{}, err
	}
	s.Config, s.Parameters = j.Config, nn.Count(j.module)
	s.Batches, s.PlannedBytes = j.trainer.Batches(), j.trainer.Memory().Total()
	if cb.OnStart != nil {
		cb.OnStart(s)
	}
	curve, err := j.trainer.FindLR(ctx, o, cb.OnStep)
	return LRCurve{j.Config, curve}, err
}

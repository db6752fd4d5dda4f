package train

import (
	"context"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/train/loop"
)

// LRFind has the settings of FindLR; see package loop.
type LRFind = loop.LRFind

// LRCurve is the result of FindLR, with the settings of the training.
type LRCurve struct {
	Config Config `json:"settings"` // as resolved
	loop.LRCurve
}

// FindLR is the learning rate range test of Smith (https://arxiv.org/abs/1506.01186, section
// 3.3): it trains with c while the learning rate rises exponentially with every step, and
// records the loss. It uses the model, data, batches, optimiser and first weights that Run
// would use, and ignores the epochs, schedule, learning rate, averages and patience of c. It
// writes no files and discards the trained weights. It calls OnData, OnStart and OnBatch of cb,
// the last with a moving average of the loss.
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
	s.Batches, s.Shared, s.PlannedBytes = j.trainer.Batches(), j.trainer.Shared(), j.trainer.Memory().Total()
	if cb.OnStart != nil {
		cb.OnStart(s)
	}
	curve, err := j.trainer.FindLR(ctx, o, cb.OnBatch)
	return LRCurve{j.Config, curve}, err
}

package loop

import (
	"context"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/tensor"
)

// send begins to copy a uint8 batch to the device.
func (t *Trainer) send(b *data.Batch) error {
	p, err := t.program(len(b.Indices), false)
	if err != nil {
		return err
	}
	p.feedUint8.Send(b.Pixels)
	t.sent = append(t.sent, b)
	return nil
}

// dropSent discards the batches that were sent to the device but not used yet.
func (t *Trainer) dropSent() {
	for _, p := range t.programs {
		if p.feedUint8 != nil {
			p.feedUint8.Drop()
		}
	}
	t.sent = t.sent[:0]
}

// targetsOf returns the labels of a batch, or its soft labels or other targets if it has them.
func targetsOf(b *data.Batch) *tensor.Tensor {
	if b.Targets != nil {
		return b.Targets
	}
	return b.Labels
}

// stepOn is Step for a batch of the trainer's loader. A uint8 batch may have been sent to the
// device already.
func (t *Trainer) stepOn(b *data.Batch, lr float32) (loss float64, hits int, err error) {
	if b.Pixels == nil {
		return t.Step(b.Images, targetsOf(b), lr)
	}
	if len(t.sent) == 0 || t.sent[0] != b {
		t.dropSent()
		if err := t.send(b); err != nil {
			return 0, 0, err
		}
	}
	t.sent = append(t.sent[:0], t.sent[1:]...)
	p, err := t.program(len(b.Indices), false)
	if err != nil {
		return 0, 0, err
	}
	p.feedUint8.Use()
	if err := p.feedLabels(targetsOf(b)); err != nil {
		return 0, 0, err
	}
	if err := t.teachOn(p, b); err != nil {
		return 0, 0, err
	}
	return t.step(p, targetsOf(b), lr)
}

// prefetcher iterates over an epoch of the trainer's loader. If batches are uint8, it loads the
// next batch and sends it to the device while the device computes the step of the current one.
type prefetcher struct {
	t *Trainer
	*data.Epoch
	ahead   *data.Batch
	err     error // error of loading or sending ahead
	fetched bool  // ahead is the batch that Next will return
	fetch   func()
}

func (t *Trainer) prefetch(ctx context.Context, epoch int) *prefetcher {
	t.dropSent()
	w := &prefetcher{t: t, Epoch: t.loader.Epoch(ctx, epoch)}
	w.fetch = w.take
	return w
}

// take loads the next batch and sends it to the device.
func (w *prefetcher) take() {
	w.fetched = true
	if w.ahead, w.err = w.Epoch.Next(); w.err == nil {
		w.err = w.t.send(w.ahead)
	}
}

// Next is like data.Epoch.Next.
func (w *prefetcher) Next() (*data.Batch, error) {
	if w.t.loader.Stored() == nil {
		return w.Epoch.Next()
	}
	if !w.fetched { // for the first batch, or if there was no step since the last call
		w.t.fetch = nil
		w.take()
	}
	b, err := w.ahead, w.err
	if err == nil {
		w.ahead, w.fetched = nil, false
		w.t.fetch = w.fetch
	}
	return b, err
}

// Close ends the epoch.
func (w *prefetcher) Close() {
	w.t.fetch = nil
	w.t.dropSent()
	if w.ahead != nil {
		w.ahead.Release()
	}
	w.Epoch.Close()
}

package loop

import (
	"context"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/tensor"
)

// send puts a batch of bytes on its way.
func (t *Trainer) send(b *data.Batch) error {
	p, err := t.program(len(b.Indices), false)
	if err != nil {
		return err
	}
	p.pictures.Send(b.Pixels)
	t.sent = append(t.sent, b)
	return nil
}

// forget drops the batches on their way.
func (t *Trainer) forget() {
	for _, p := range t.programs {
		if p.pictures != nil {
			p.pictures.Drop()
		}
	}
	t.sent = t.sent[:0]
}

// answersOf are the labels of a batch, or the shares of the classes.
func answersOf(b *data.Batch) *tensor.Tensor {
	if b.Targets != nil {
		return b.Targets
	}
	return b.Labels
}

// stepOn is Step on a batch of the trainer's loader, which may have been sent.
func (t *Trainer) stepOn(b *data.Batch, lr float32) (loss float64, hits int, err error) {
	if b.Pixels == nil {
		return t.Step(b.Images, answersOf(b), lr)
	}
	if len(t.sent) == 0 || t.sent[0] != b {
		t.forget()
		if err := t.send(b); err != nil {
			return 0, 0, err
		}
	}
	t.sent = append(t.sent[:0], t.sent[1:]...)
	p, err := t.program(len(b.Indices), false)
	if err != nil {
		return 0, 0, err
	}
	p.pictures.Use()
	if err := p.answers(b.Labels); err != nil {
		return 0, 0, err
	}
	return t.step(p, b.Labels, lr)
}

// walk is an epoch of the trainer's loader. Where batches are bytes, the one behind that which
// next gives is taken from the loader and sent while the device makes a step of this.
type walk struct {
	t *Trainer
	*data.Epoch
	ahead   *data.Batch
	err     error // of ahead
	fetched bool  // ahead is the batch that next gives
	fetch   func()
}

func (t *Trainer) walkOf(ctx context.Context, epoch int) *walk {
	t.forget()
	w := &walk{t: t, Epoch: t.loader.Epoch(ctx, epoch)}
	w.fetch = w.take
	return w
}

// take takes the next batch from the loader and sends it.
func (w *walk) take() {
	w.fetched = true
	if w.ahead, w.err = w.Epoch.Next(); w.err == nil {
		w.err = w.t.send(w.ahead)
	}
}

// Next is that of data.Epoch.
func (w *walk) Next() (*data.Batch, error) {
	if w.t.loader.Stored() == nil {
		return w.Epoch.Next()
	}
	if !w.fetched { // the first one, or there was no step
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

// Close ends the walk.
func (w *walk) Close() {
	w.t.fetch = nil
	w.t.forget()
	if w.ahead != nil {
		w.ahead.Release()
	}
	w.Epoch.Close()
}

package loop

import (
	"math"

	"github.com/residual-ml/residual/internal/number"
	"github.com/residual-ml/residual/tensor"
)

// Step trains on one batch at the learning rate lr: images [N, C, H, W] in [0, 1] with labels
// [N], Int64, with soft labels [N, classes], Float32, or with the targets of another task. It
// returns the mean loss and, for classes, the number of correct predictions before the update. With Options.Accumulate, the optimiser
// makes its step with the last of so many batches, or in Flush.
//
// If the loss or a gradient is NaN or infinite, Step returns the loss with ErrNotFinite and
// does not update the parameters. The running statistics are not updated either, unless the
// device makes whole steps, as a GPU does.
func (t *Trainer) Step(images, labels *tensor.Tensor, lr float32) (loss float64, hits int, err error) {
	p, err := t.program(images.Shape()[0], labels.DType() == tensor.Float32)
	if err != nil {
		return 0, 0, err
	}
	if err := p.feed(images, labels); err != nil {
		return 0, 0, err
	}
	if err := t.teach(p, images); err != nil {
		return 0, 0, err
	}
	return t.step(p, labels, lr)
}

// step is Step with the batch that was fed to p.
func (t *Trainer) step(p *stepProgram, labels *tensor.Tensor, lr float32) (loss float64, hits int, err error) {
	made, of, inOneCall := t.stepInOneCall(p, labels, lr)
	if !inOneCall {
		if err := p.Run(int64(t.steps)); err != nil {
			return math.NaN(), 0, err
		}
		if f := t.takeMeanwhile(); f != nil {
			f()
		}
		for i, n := range p.read {
			p.Read(n, t.scalar)
			t.values[i] = t.scalar.Data()[0]
		}
	}
	if err := t.store.Device().Err(); err != nil {
		return math.NaN(), 0, err
	}
	loss, hits = float64(t.values[0]), int(t.values[1])
	if !number.Finite(loss) {
		return loss, 0, ErrNotFinite
	}
	if t.first != nil {
		p.Gradient(0, t.first)
	}
	switch {
	case inOneCall && made < of:
		err = errGradient
	case inOneCall:
	case t.options.Accumulate > 1:
		if !p.finite() {
			return loss, 0, errGradient // before the gradient of this batch is added to the sum
		}
		p.Assign()
		weight := t.weigh(p, labels)
		p.Apply(&t.sum.Sum, 0)
		if t.sum.add(p, weight); t.sum.batches == t.options.Accumulate {
			err = t.Flush(lr)
		}
	case !p.finite():
		err = errGradient
	default:
		p.Assign() // before the step, which averages the assigned buffers
		t.apply(p, lr, 1)
	}
	if err == nil {
		t.lookAhead(p)
		t.steps++
	}
	return loss, hits, err
}

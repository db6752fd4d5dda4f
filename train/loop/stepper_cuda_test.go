//go:build cuda && !windows

package loop_test

import (
	"errors"
	"testing"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/optim"
	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/train/loop"
)

// A Stepper on CUDA computes the bits of the Trainer there, and takes an optimiser of one's own,
// whose Update runs on the host.
func TestStepperOnCUDA(t *testing.T) {
	ds := garments(t, data.Train, 24)
	images, labels := batches(t, ds, 8)
	for name, o := range map[string]loop.Options{"clipped": {Optimizer: optim.SGD{Momentum: 0.9}, ClipNorm: 0.5}, "own": {Optimizer: &heavy{}}} {
		d, _ := emulated(t)
		m, whole := smallNet(), smallNet()
		s, err := loop.Compile(d, m, crossEntropy, loop.Shapes{Inputs: tensor.Shape{8, 1, 28, 28}}, o)
		if err != nil {
			t.Fatal(err)
		}
		o.Batch = 8
		tr, err := loop.New(d, whole, ds, nil, o)
		if err != nil {
			t.Fatal(err)
		}
		for i := range images {
			loss, err := s.Forward(images[i], labels[i])
			if err = errors.Join(err, s.Backward(), s.Step(0.05)); err != nil {
				t.Fatal(err)
			}
			if want, _, err := tr.Step(images[i], labels[i], 0.05); err != nil || loss != want {
				t.Errorf("%s: the loss is %v, that of the Trainer %v (%v)", name, loss, want, err)
			}
		}
		tr.Store().Pull()
		if err := s.Pull(); err != nil || hash(m) != hash(whole) {
			t.Errorf("%s: the weights differ (%v)", name, err)
		}
	}
}

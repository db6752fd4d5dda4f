package loop

import (
	"context"
	"math"
	"slices"
	"testing"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/optim"
	"github.com/residual-ml/residual/tensor"
)

// ahead are options with lookahead, and 7 steps in an epoch of the 70 images of these tests.
func ahead(of float64) Options {
	return Options{
		Batch: 10, Epochs: 4, Seed: 2, Optimizer: optim.SGD{Momentum: 0.8, Nesterov: true, WeightDecay: 1e-3},
		Schedule: optim.OneCycle{Base: 0.1, Linear: true}, Lookahead: of, NormBiasRate: 8, Freeze: []string{FreezeNormWeights},
	}
}

// Lookahead does what its comment says, by the training without it and slow weights that the test
// keeps.
func TestLookahead(t *testing.T) {
	const decay, every, epoch = 0.9, 5, 7
	ds, tests := someImages(t, data.Train, 70), someImages(t, data.Test, 20)
	plain := trainerOf(t, normalised(), ds, tests, ahead(0))
	var slow []tensor.Named
	step, total, moves := 0, 4*epoch, 0
	move := func(weight float32) {
		moves++
		for i, n := range nn.StateDict(plain.module) {
			for j, v := range n.Tensor.Data() {
				s := slow[i].Tensor.Data()
				switch weight {
				case 0:
				case 1:
					s[j] = v
				default:
					s[j] = float32((1-weight)*s[j]) + float32(weight*v)
				}
				n.Tensor.Data()[j] = s[j]
			}
		}
		plain.store.Push()
	}
	if _, err := plain.Fit(context.Background(), Events{OnBatch: func(BatchEvent) {
		step++
		if step <= 8 { // 30 % of 28 steps
			return
		}
		plain.store.Pull()
		if step%every == 0 && slow == nil {
			slow = copies(nn.StateDict(plain.module))
		} else if step%every == 0 {
			done := float64(step) / float64(total)
			move(float32(1 - float64(math.Pow(decay, every)*math.Pow(done, 3))))
		}
		if slow != nil && step%epoch == 0 {
			move(0)
		}
	}}, nil); err != nil {
		t.Fatal(err)
	}
	if moves != 6 { // after the steps 14, 15, 20, 21, 25 and 28
		t.Fatalf("the test moved the weights %d times", moves)
	}
	looking := trainerOf(t, normalised(), ds, tests, ahead(decay))
	run(t, looking, nil)
	sameValues(t, "lookahead", looking.module, plain.module)
}

func sameValues(t *testing.T, what string, got, want nn.Module) {
	t.Helper()
	other := nn.StateDict(want)
	for i, n := range nn.StateDict(got) {
		if !slices.Equal(n.Tensor.Data(), other[i].Tensor.Data()) {
			t.Errorf("%s: %s is %v, want %v", what, n.Name, n.Tensor.Data()[0], other[i].Tensor.Data()[0])
		}
	}
}

// A training that goes on after an epoch, before or after the first slow weights, and one that was
// rehearsed, end with the same bits.
func TestRestoredLookahead(t *testing.T) {
	ds := someImages(t, data.Train, 70)
	states := map[int]State{}
	first := trainerOf(t, normalised(), ds, nil, ahead(0.95))
	run(t, first, func(e Epoch) error {
		s, err := first.State()
		s.Values, s.Slots = copies(s.Values), copies(s.Slots)
		states[e.Epoch] = s
		return err
	})
	for epoch, s := range states {
		again := trainerOf(t, normalised(), ds, nil, ahead(0.95))
		if err := again.Restore(s); err != nil {
			t.Fatal(err)
		}
		run(t, again, nil)
		if epoch < 4 {
			sameValues(t, "after a break", again.module, first.module)
		}
	}
	rehearsed := trainerOf(t, normalised(), ds, nil, ahead(0.95))
	if _, err := rehearsed.Measure(context.Background(), 4, 0); err != nil {
		t.Fatal(err)
	}
	run(t, rehearsed, nil)
	sameValues(t, "after a rehearsal", rehearsed.module, first.module)
}

// The rate of the biases of batch norms is multiplied, their weight decay is not, and frozen factors
// stay 1.
func TestNormBiasRate(t *testing.T) {
	const factor, lr, decay = 16, 0.01, 0.5
	step := func(rate float64) (before, after []tensor.Named) {
		o := Options{Batch: 70, Optimizer: optim.SGD{WeightDecay: decay}, NormBiasRate: rate, Precision: engine.FP32, Freeze: []string{FreezeNormWeights}}
		tr := trainerOf(t, normalised(), someImages(t, data.Train, 70), nil, o)
		for _, n := range nn.StateDict(tr.module) {
			if n.Name == "1.bias" || n.Name == "4.bias" {
				n.Tensor.Fill(0.3)
			}
		}
		tr.store.Push()
		before = copies(nn.StateDict(tr.module))
		e := tr.loader.Epoch(context.Background(), 1)
		defer e.Close()
		b, err := e.Next()
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := tr.Step(b.Images, b.Labels, lr); err != nil {
			t.Fatal(err)
		}
		tr.store.Pull()
		return before, nn.StateDict(tr.module)
	}
	before, usual := step(0)
	_, scaled := step(factor)
	moved := 0
	for i, n := range before {
		for j, v := range n.Tensor.Data() {
			a, b := usual[i].Tensor.Data()[j], scaled[i].Tensor.Data()[j]
			switch n.Name {
			case "1.bias", "4.bias":
				gradient := float64(v-a)/lr - decay*float64(v)
				want := float64(v) - lr*(factor*gradient+decay*float64(v))
				if math.Abs(want-float64(b)) > 1e-4 {
					t.Errorf("%s[%d] is %v after a step, want %v", n.Name, j, b, want)
				}
				if math.Abs(gradient) > 1e-4 {
					moved++
				}
			case "1.weight", "4.weight":
				if a != 1 || b != 1 {
					t.Errorf("%s[%d] is frozen and became %v and %v", n.Name, j, a, b)
				}
			default:
				if a != b {
					t.Errorf("%s[%d] is %v, and %v without a factor of other parameters", n.Name, j, b, a)
				}
			}
		}
	}
	if moved < 8 {
		t.Errorf("the gradients of %d biases are not 0", moved)
	}
}

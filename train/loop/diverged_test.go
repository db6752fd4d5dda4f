package loop

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/internal/number"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/optim"
	"github.com/residual-ml/residual/tensor"
)

// called is a data set whose images have names.
type called struct{ data.Dataset }

func (c called) Describe(i int) (int, string) { return 0, "shelf/" + string(rune('a'+i%26)) + ".jpg" }

// If a training diverges, the error names the batch, the first layer or parameter, and the
// images; neither weights nor running statistics are changed.
func TestWhereItDiverged(t *testing.T) {
	ds := called{someImages(t, data.Train, 40)}
	for _, precision := range []engine.Precision{engine.FP32, engine.BF16} {
		for _, c := range []struct {
			name  string
			spoil func(m nn.Sequential)
			want  string
		}{
			{"a weight", func(m nn.Sequential) { m[3].(*nn.Conv2d).Weight.Value.Data()[7] = float32(math.NaN()) }, "the values of 3.weight are not finite"},
			{"an output", func(m nn.Sequential) { m[3].(*nn.Conv2d).Weight.Value.Fill(3e38) }, "3 (Conv2d) is the first layer whose output is not finite"},
			{"a batch norm's", func(m nn.Sequential) {
				m[1].(*nn.BatchNorm2d).Weight.Value.Fill(3e38)
			}, "1 (BatchNorm2d) is the first layer whose output is not finite"},
		} {
			m := normalised().(nn.Sequential)
			tr := trainerOf(t, m, ds, nil, Options{Batch: 16, Epochs: 2, Seed: 5, Precision: precision, Optimizer: optim.SGD{Momentum: 0.9}})
			c.spoil(m)
			tr.store.Push()
			before := copies(nn.StateDict(m))
			steps := 0
			_, err := tr.Fit(context.Background(), Events{OnStep: func(Step) { steps++ }}, nil)
			if !errors.Is(err, ErrNotFinite) || steps != 0 {
				t.Fatalf("%s: %v after %d steps", c.name, err, steps)
			}
			first := tr.loader.Epoch(context.Background(), 1)
			b, nextErr := first.Next()
			if nextErr != nil {
				t.Fatal(nextErr)
			}
			var names []string
			for _, i := range b.Indices[:5] {
				_, name := ds.Describe(i)
				names = append(names, name)
			}
			first.Close()
			for _, want := range []string{"epoch 1, batch 1: the loss is ", c.want, "images are " + strings.Join(names, ", ") + " and 11 more", "(LR), or ClipNorm"} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%s in %v: want %q, got %v", c.name, precision, want, err)
				}
			}
			tr.store.Pull()
			for i, n := range nn.StateDict(m) { // running statistics among them
				if !slices.EqualFunc(before[i].Tensor.Data(), n.Tensor.Data(), func(a, b float32) bool { return a == b || a != a && b != b }) {
					t.Errorf("%s in %v: %s was touched", c.name, precision, n.Name)
				}
			}
		}
	}
}

// A gradient that is not finite also stops the step, even if the loss is finite.
func TestGradientThatDiverged(t *testing.T) {
	ds := someImages(t, data.Train, 40)
	for _, o := range []Options{{}, {ClipNorm: 1}, {Accumulate: 2}} {
		o.Batch = 8
		m := plainNet().(nn.Sequential)
		tr := trainerOf(t, m, ds, nil, o)
		m[0].(*nn.Conv2d).Weight.Value.Fill(1e-30)
		m[0].(*nn.Conv2d).Bias.Value.Fill(0)
		m[4].(*nn.Linear).Weight.Value.Data()[0] = 1e30
		tr.store.Push()
		images := tensor.New(8, 1, 28, 28).Fill(1e10)
		labels := tensor.FromInts([]int64{1, 2, 3, 4, 5, 6, 7, 8}, 8)
		loss, _, err := tr.Step(images, labels, 0.1)
		if !errors.Is(err, ErrNotFinite) || !number.Finite(loss) {
			t.Fatalf("%+v: loss %v, %v", o, loss, err)
		}
		if got := tr.firstBad(images, labels, true); got != "the gradient of 0.weight is the first in the backward pass that is not finite" {
			t.Errorf("%+v: %s", o, got)
		}
		tr.store.Pull()
		if w := m[0].(*nn.Conv2d).Weight.Value.Data()[0]; w != 1e-30 || tr.store.Step() != 0 {
			t.Errorf("%+v: the weight is %v after %d steps", o, w, tr.store.Step())
		}
		images.Data()[5*28*28] = float32(math.Inf(1))
		if got := tr.firstBad(images, labels, false); got != "image 6 of the batch has values that are not finite" {
			t.Errorf("%+v: %s", o, got)
		}
	}
}

// So does a gradient that is not finite only in a large layer in the middle, while those of
// the first layer and of all small layers are finite.
func TestGradientInTheMiddleThatDiverged(t *testing.T) {
	ds := someImages(t, data.Train, 40)
	for _, o := range []Options{{}, {ClipNorm: 1}, {Accumulate: 2}, {EMA: 0.9}} {
		o.Batch = 8
		first, middle, last := nn.NewLinear(784, 64), nn.NewLinear(64, 128), nn.NewLinear(128, 10)
		m := nn.Sequential{nn.Flatten{}, first, middle, last}
		tr := trainerOf(t, m, ds, nil, o)
		first.Weight.Value.Fill(0)
		first.Bias.Value.Fill(3e38)
		middle.Weight.Value.Fill(2e-38)
		middle.Bias.Value.Fill(0)
		last.Weight.Value.Fill(0)
		for i := range 128 {
			last.Weight.Value.Data()[i] = 100 // of class 0, which no image has
		}
		tr.store.Push()
		before := copies(nn.StateDict(m))
		images, labels := tensor.New(8, 1, 28, 28).Fill(0.5), tensor.FromInts([]int64{1, 2, 3, 4, 5, 6, 7, 8}, 8)
		loss, _, err := tr.Step(images, labels, 0.1)
		if !errors.Is(err, ErrNotFinite) || !number.Finite(loss) {
			t.Fatalf("%+v: loss %v, %v", o, loss, err)
		}
		if got := tr.firstBad(images, labels, true); got != "the gradient of 2.weight is the first in the backward pass that is not finite" {
			t.Errorf("%+v: %s", o, got)
		}
		tr.store.Pull()
		for i, n := range nn.StateDict(m) {
			if !slices.Equal(n.Tensor.Data(), before[i].Tensor.Data()) {
				t.Errorf("%+v: %s was touched", o, n.Name)
			}
		}
	}
}

// With soft labels, the same.
func TestDivergedOnSoftLabels(t *testing.T) {
	ds := someImages(t, data.Train, 40)
	m := normalised().(nn.Sequential)
	tr := trainerOf(t, m, ds, nil, Options{Batch: 8, Precision: engine.FP32, LabelSmoothing: 0.1, Freeze: []string{"0", "1"}})
	m[8].(*nn.Linear).Weight.Value.Data()[3] = float32(math.Inf(1))
	m[1].(*nn.BatchNorm2d).RunningVar.Value.Data()[0] = float32(math.NaN())
	tr.store.Push()
	images, soft := tensor.New(8, 1, 28, 28).Fill(0.5), tensor.New(8, 10).Fill(0.1)
	if _, _, err := tr.Step(images, soft, 1); err != ErrNotFinite {
		t.Fatal(err)
	}
	if got := tr.firstBad(images, soft, false); got != "the values of 1.running_var are not finite" {
		t.Error(got)
	}
}

//go:build cuda && !windows

package loop_test

import (
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/optim"
	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/train/loop"
)

// smallNet returns a network of few layers, with the same weights every time.
func smallNet() nn.Module {
	m := nn.Sequential{nn.NewConv2d(1, 4, 5, nn.Conv{Stride: 3}), nn.NewBatchNorm2d(4), nn.ReLU{}, nn.Flatten{}, nn.NewLinear(256, 10)}
	nn.Init(m, 7, nn.XavierUniform)
	return m
}

// A Trainer's step is one CUDA graph with any options, and gives the same bits as a step in
// several parts, as it is made when the gradient is read in between.
func TestStepIsOneGraphOnCUDA(t *testing.T) {
	for name, o := range map[string]loop.Options{
		"plain":      {Optimizer: optim.SGD{Momentum: 0.9}},
		"all of it":  {Optimizer: optim.SGD{Momentum: 0.9}, EMA: 0.9, ClipNorm: 0.5, Accumulate: 3, ClassWeights: []float32{1, 2, 1, 1, 3, 1, 1, 1, 1, 1}},
		"AdamW, EMA": {Optimizer: optim.AdamW{WeightDecay: 0.01}, EMA: 0.9},
	} {
		t.Run(name, func(t *testing.T) {
			d, gpu := emulated(t)
			ds := garments(t, data.Train, 80)
			o.Batch = 8
			var nets [2]nn.Module
			var trainers [2]*loop.Trainer
			for i := range nets {
				o.GradientNorm = i == 1
				nets[i] = smallNet()
				var err error
				if trainers[i], err = loop.New(d, nets[i], ds, nil, o); err != nil {
					t.Fatal(err)
				}
			}
			images, labels := tensor.New(8, 1, 28, 28), tensor.FromInts([]int64{0, 1, 2, 3, 4, 5, 6, 7}, 8)
			for b := range 8 {
				nn.NewSource(uint64(b), "x").Uniform(images, 1)
				var losses [2]float64
				for i, tr := range trainers {
					graphs := gpu.Graphs
					loss, _, err := tr.Step(images, labels, 0.1/float32(b+1))
					if err != nil {
						t.Fatal(err)
					}
					losses[i] = loss
					if b == 7 && i == 0 && gpu.Graphs != graphs+1 {
						t.Errorf("%d graphs", gpu.Graphs-graphs)
					}
				}
				if losses[0] != losses[1] {
					t.Fatalf("batch %d: loss %v, in parts %v", b, losses[0], losses[1])
				}
			}
			for i, tr := range trainers {
				if err := tr.Flush(0.01); err != nil {
					t.Fatal(err)
				}
				tr.Store().Pull()
				if i == 0 {
					continue
				}
				other := nn.StateDict(nets[0])
				for k, p := range nn.StateDict(nets[1]) {
					if !slices.Equal(p.Tensor.Data(), other[k].Tensor.Data()) {
						t.Errorf("%s is another than apart", p.Name)
					}
				}
			}
		})
	}
}

// A step that diverges returns an error and does not change the weights.
func TestDivergingStepOnCUDA(t *testing.T) {
	for _, accumulate := range []int{1, 2} {
		d, _ := emulated(t)
		m := smallNet().(nn.Sequential)
		tr, err := loop.New(d, m, garments(t, data.Train, 16), nil, loop.Options{Batch: 8, Optimizer: optim.SGD{}, Accumulate: accumulate})
		if err != nil {
			t.Fatal(err)
		}
		images, labels := tensor.New(8, 1, 28, 28), tensor.FromInts([]int64{0, 1, 2, 3, 4, 5, 6, 7}, 8)
		nn.NewSource(1, "x").Uniform(images, 1)
		for range 4 {
			if _, _, err := tr.Step(images, labels, 0.1); err != nil {
				t.Fatal(err)
			}
		}
		tr.Store().Pull()
		weight := m[4].(*nn.Linear).Weight.Value
		before := slices.Clone(weight.Data())
		images.Data()[5] = float32(math.Inf(1))
		steps := tr.Store().Step()
		for range accumulate {
			if loss, _, err := tr.Step(images, labels, 0.1); !errors.Is(err, loop.ErrNotFinite) || !math.IsNaN(loss) {
				t.Errorf("loss %v: %v", loss, err)
			}
		}
		tr.Store().Pull()
		if !slices.Equal(before, weight.Data()) || tr.Store().Step() != steps {
			t.Errorf("the weights were touched, or %d steps became %d", steps, tr.Store().Step())
		}
	}
}

package loop

import (
	"context"
	"path/filepath"
	"slices"
	"testing"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/data/transforms"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/optim"
	"github.com/residual-ml/residual/prepare"
)

// dropping drops elements depending on the number of the step, so it shows whether a resumed
// training continues counting.
type dropping struct {
	Conv *nn.Conv2d
	BN   *nn.BatchNorm2d
	Drop nn.Dropout
	Head *nn.Linear
}

func (m *dropping) Forward(x *graph.Node) *graph.Node {
	x = nn.ReLU{}.Forward(m.BN.Forward(m.Conv.Forward(x)))
	return m.Head.Forward(m.Drop.Forward(nn.Flatten{}.Forward(nn.AdaptiveAvgPool2d{}.Forward(x))))
}

func newDropping() *dropping {
	return &dropping{nn.NewConv2d(1, 20, 5, nn.Conv{Stride: 2}), nn.NewBatchNorm2d(20), nn.Dropout{P: 0.4}, nn.NewLinear(20, 10)}
}

// A restored trainer continues with the same dropout and the same optimiser state as the
// trainer that saved the state.
func TestRestoredTrainer(t *testing.T) {
	for _, o := range []optim.Optimizer{optim.SGD{}, optim.SGD{Momentum: 0.9, Dampening: 0.5}, optim.AdamW{WeightDecay: 0.01}} {
		for _, precision := range []engine.Precision{engine.FP32, engine.BF16} {
			restored(t, Options{Batch: 30, Epochs: 3, Seed: 2, Optimizer: o, Schedule: optim.Constant{Base: 0.1}, Precision: precision})
		}
	}
}

// So does one with transformed and mixed images, accumulation, an average of the weights and
// frozen layers.
func TestRestoredTrainerWithEverything(t *testing.T) {
	o := Options{
		Batch: 30, Epochs: 3, Seed: 2, Optimizer: optim.AdamW{}, Schedule: optim.OneCycle{Base: 0.1}, Accumulate: 2, EMA: 0.7, ClipNorm: 0.5,
		LabelSmoothing: 0.1, LayerDecay: 0.5, Patience: 5,
		Transform: transforms.RandomHorizontalFlip{P: 0.5}, Mix: transforms.RandomChoice{Of: []transforms.BatchTransform{transforms.Mixup{}, transforms.CutMix{}}},
	}
	restored(t, o)
	o.Mix, o.ClassWeights, o.Metric, o.Freeze, o.LayerDecay = nil, []float32{1, 2, 1, 2, 1, 2, 1, 2, 1, 2}, Loss, []string{"conv"}, 0
	restored(t, o)
}

func restored(t *testing.T, o Options) {
	path := filepath.Join(t.TempDir(), "state.safetensors")
	first := dropper(t, o)
	var totals Totals
	run(t, first, func(e Epoch) error {
		if e.Epoch != 1 {
			return nil
		}
		at, err := first.State()
		if err != nil {
			return err
		}
		totals = at.Totals
		s := checkpoint.State{
			Epoch: 1, Steps: at.Steps, OptimizerSteps: at.OptimizerSteps, BestEpoch: 1, BestAccuracy: 1, Settings: []byte("{}"),
			Model: checkpoint.Model{Architecture: "dropping", Classes: []string{"any"}, Input: prepare.Input{Channels: 1}},
		}
		return checkpoint.SaveState(path, s, checkpoint.Values{Model: at.Values, Optimizer: at.Slots, Average: at.Averages})
	})
	s, v, err := checkpoint.LoadState(path)
	if err != nil {
		t.Fatal(err)
	}
	if s.Steps != totals.Steps || s.Epoch != totals.Epochs || totals.BestEpoch != 1 {
		t.Errorf("saved %d steps in %d epochs, and the state has %+v", s.Steps, s.Epoch, totals)
	}
	totals.BestAccuracy, totals.BestScore = 1, 1
	saved := State{Totals: totals, OptimizerSteps: s.OptimizerSteps, Values: v.Model, Slots: v.Optimizer, Averages: v.Average}
	second := dropper(t, o)
	if err := second.Restore(saved); err != nil {
		t.Fatal(err)
	}
	if totals := run(t, second, nil); o.Metric == "" && totals.BestEpoch != 1 || o.Metric == "" && totals.BestAccuracy != 1 || totals.Epochs != 3 || totals.Steps != 9 {
		t.Errorf("the best epoch, 1, is forgotten: %+v", totals)
	}
	want := nn.StateDict(first.module)
	for i, p := range nn.StateDict(second.module) {
		if !slices.Equal(p.Tensor.Data(), want[i].Tensor.Data()) {
			t.Errorf("%+v in %v: %s is another than without the break", o.Optimizer, o.Precision, p.Name)
		}
	}
	if n, want := len(v.Optimizer), o.Optimizer.Slots()*len(second.trained); n != want {
		t.Errorf("%d buffers of %+v, want %d", n, o.Optimizer, want)
	}
	if err := dropper(t, o).Restore(State{}); err == nil {
		t.Errorf("%+v takes nothing for the module's values", o.Optimizer)
	}
	if err := dropper(t, o).Restore(State{Values: v.Model}); (err == nil) != (o.Optimizer.Slots() == 0 && o.EMA == 0) {
		t.Errorf("%+v without its buffers: %v", o.Optimizer, err)
	}
	if err := dropper(t, o).Restore(State{Values: v.Model, Slots: v.Model}); err == nil {
		t.Errorf("%+v takes the values of parameters for its buffers", o.Optimizer)
	}
}

// dropper returns a trainer of a dropping network.
func dropper(t *testing.T, o Options) *Trainer {
	t.Helper()
	ds, err := data.Open(context.Background(), "garments", data.Options{Size: 70})
	if err != nil {
		t.Fatal(err)
	}
	dev, err := cpu.New(cpu.Options{Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(dev.Close)
	m := newDropping()
	nn.Init(m, 1, nn.XavierUniform)
	tr, err := New(dev, m, ds, nil, o)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

func run(t *testing.T, tr *Trainer, save func(Epoch) error) Totals {
	t.Helper()
	totals, err := tr.Fit(context.Background(), Events{}, save)
	if err != nil {
		t.Fatal(err)
	}
	return totals
}

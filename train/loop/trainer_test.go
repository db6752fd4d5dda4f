package loop_test

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/optim"
	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/train/loop"
)

func device(t *testing.T, threads int) *cpu.Device {
	t.Helper()
	d, err := cpu.New(cpu.Options{Threads: threads})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}

func garments(t *testing.T, split data.Split, size int) data.Dataset {
	t.Helper()
	ds, err := data.Open(context.Background(), "garments", data.Options{Split: split, Size: size})
	if err != nil {
		t.Fatal(err)
	}
	return ds
}

// small is a residual network with all layers of d2l-resnet18, and dropout.
type small struct {
	Stem, Stages nn.Sequential
	Drop         nn.Dropout
	Head         *nn.Linear
}

func newSmall() *small {
	return &small{
		Stem:   nn.Sequential{nn.NewConv2d(1, 8, 5, nn.Conv{Stride: 2, Padding: 2}), nn.NewBatchNorm2d(8), nn.ReLU{}, nn.MaxPool2d{Kernel: 3, Stride: 2, Padding: 1}},
		Stages: append(nn.ResnetBlock(8, 8, 1, true), nn.ResnetBlock(8, 20, 2, false)...),
		Drop:   nn.Dropout{P: 0.2},
		Head:   nn.NewLinear(20, 10),
	}
}

func (m *small) Forward(x *graph.Node) *graph.Node {
	x = m.Stages.Forward(m.Stem.Forward(x))
	return m.Head.Forward(m.Drop.Forward(nn.Flatten{}.Forward(nn.AdaptiveAvgPool2d{}.Forward(x))))
}

func leNet() nn.Module { return models.NewD2LBNLeNet(1, 10) }

// hash returns a hash of all parameters and buffers.
func hash(m nn.Module) string {
	h := sha256.New()
	for _, e := range nn.StateDict(m) {
		fmt.Fprintln(h, e.Name)
		if err := binary.Write(h, binary.LittleEndian, e.Tensor.Data()); err != nil {
			panic(err)
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

// The same seed gives the same bits for any number of threads and of loader
// workers, in both precisions.
func TestSameSeedSameBits(t *testing.T) {
	for name, build := range map[string]func() nn.Module{"d2l-bnlenet": leNet, "residual": func() nn.Module { return newSmall() }} {
		for _, precision := range []engine.Precision{engine.FP32, engine.BF16} {
			t.Run(name+"/"+precision.String(), func(t *testing.T) { sameBits(t, build, precision) })
		}
	}
}

func sameBits(t *testing.T, build func() nn.Module, precision engine.Precision) {
	ds := garments(t, data.Train, 100)
	fit := func(seed uint64, threads, workers int) string {
		m := build()
		nn.Init(m, seed, nn.XavierUniform)
		tr, err := loop.New(device(t, threads), m, ds, garments(t, data.Test, 20), loop.Options{
			Batch: 32, Epochs: 2, Seed: seed, Workers: workers, Precision: precision,
			Optimizer: optim.SGD{Momentum: 0.9, WeightDecay: 1e-4}, Schedule: optim.Constant{Base: 0.02},
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tr.Fit(context.Background(), loop.Events{}, nil); err != nil {
			t.Fatal(err)
		}
		return hash(m)
	}
	want := fit(5, 1, 1)
	for _, c := range [][2]int{{1, 1}, {1, 3}, {2, 1}, {2, 2}, {3, 1}, {3, 4}} {
		if got := fit(5, c[0], c[1]); got != want {
			t.Errorf("%d threads and %d workers give other weights than one of each", c[0], c[1])
		}
	}
	if fit(6, 2, 2) == want {
		t.Error("two seeds give the same weights")
	}
}

func TestTrainerLearns(t *testing.T) {
	m := leNet()
	nn.Init(m, 1, nn.XavierUniform)
	tr, err := loop.New(device(t, 0), m, garments(t, data.Train, 600), nil, loop.Options{Batch: 50, Epochs: 4, Schedule: optim.Constant{Base: 0.5}})
	if err != nil {
		t.Fatal(err)
	}
	var steps []loop.BatchEvent
	var points []loop.Point
	var epochs []loop.Epoch
	totals, err := tr.Fit(context.Background(), loop.Events{
		OnBatch: func(s loop.BatchEvent) { steps = append(steps, s) },
		OnPoint: func(p loop.Point) { points = append(points, p) },
		OnEpoch: func(e loop.Epoch) { epochs = append(epochs, e) },
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(steps) != 48 || len(epochs) != 4 || totals.Steps != 48 || totals.Epochs != 4 || totals.Stopped != nil {
		t.Errorf("%d steps and %d epochs, totals %+v", len(steps), len(epochs), totals)
	}
	if !(epochs[3].Loss < 0.7*epochs[0].Loss) || !(epochs[3].Accuracy > epochs[0].Accuracy) || totals.Loss != epochs[3].Loss {
		t.Errorf("no progress: %+v", epochs)
	}
	if !math.IsNaN(totals.TestAccuracy) || totals.BestAccuracy != epochs[totals.BestEpoch-1].Accuracy {
		t.Errorf("without a test set the totals are %+v", totals)
	}
	var xs []float64 // as d2l's train_ch6: every 12/5 = 2 batches and the last
	for _, p := range points[:6] {
		xs = append(xs, math.Round(p.X*12))
	}
	if len(points) != 24 || !slices.Equal(xs, []float64{2, 4, 6, 8, 10, 12}) || points[5].Loss != epochs[0].Loss {
		t.Errorf("%d points, the first epoch's at batch %v", len(points), xs)
	}
	last := 0.0
	for i, s := range steps[:12] {
		if s.Epoch != 1 || s.Batch != i+1 || !(s.ImagesPerSecond > 0) || s.LR != 0.5 {
			t.Errorf("step %d: %+v", i, s)
		}
		last = s.Loss
	}
	if last != epochs[0].Loss {
		t.Errorf("the last step's running mean is %v, the epoch's %v", last, epochs[0].Loss)
	}
}

func TestLabelsOutOfRange(t *testing.T) {
	tr, err := loop.New(device(t, 1), leNet(), strange{garments(t, data.Train, 20)}, nil, loop.Options{Batch: 10})
	if err != nil {
		t.Fatal(err)
	}
	_, err = tr.Fit(context.Background(), loop.Events{}, nil)
	if err == nil || !strings.Contains(err.Error(), "label 10") || !strings.Contains(err.Error(), "0..9") {
		t.Errorf("got %v", err)
	}
}

func TestSteadyStepAllocatesNothing(t *testing.T) {
	for _, precision := range []engine.Precision{engine.FP32, engine.BF16} {
		steady(t, loop.Options{Batch: 32, Optimizer: optim.SGD{Momentum: 0.9}, Precision: precision})
	}
}

func steady(t *testing.T, o loop.Options) {
	tr, err := loop.New(device(t, 2), newSmall(), garments(t, data.Train, 32), nil, o)
	if err != nil {
		t.Fatal(err)
	}
	x, labels := tensor.New(32, 1, 28, 28), tensor.FromInts(make([]int64, 32), 32)
	nn.NewSource(1, "x").Uniform(x, 1)
	step := func() {
		if _, _, err := tr.Step(x, labels, 0.01); err != nil {
			t.Fatal(err)
		}
	}
	step()
	if n := testing.AllocsPerRun(20, step); n != 0 {
		t.Errorf("a step in %v makes %v allocations", o.Precision, n)
	}
}

// strange is a data set whose labels do not fit its classes.
type strange struct{ data.Dataset }

func (s strange) Info() data.Info {
	info := s.Dataset.Info()
	info.Classes = nil
	return info
}

func (s strange) Get(i int, pix []uint8) (int, error) {
	_, err := s.Dataset.Get(i, pix)
	return 10, err
}

// Recomputation needs less memory and changes no bit of parameters and running statistics,
// also with a smaller last batch.
func TestRecompute(t *testing.T) {
	ds := garments(t, data.Train, 50)
	for _, p := range []engine.Precision{engine.FP32, engine.BF16} {
		fit := func(recompute bool) (weights string, bytes int64) {
			m := models.NewD2LResNet18(1, 10)
			nn.Init(m, 1, nn.XavierUniform)
			tr, err := loop.New(device(t, 2), m, ds, nil, loop.Options{
				Batch: 20, Epochs: 1, Precision: p, Recompute: recompute,
				Optimizer: optim.SGD{Momentum: 0.9}, Schedule: optim.Constant{Base: 0.01},
			})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := tr.Fit(context.Background(), loop.Events{}, nil); err != nil {
				t.Fatal(err)
			}
			return hash(m), tr.Memory().Arena
		}
		want, most := fit(false)
		got, bytes := fit(true)
		if got != want {
			t.Errorf("%v: other weights with recomputation", p)
		}
		if bytes >= most {
			t.Errorf("%v: %d bytes of activations with recomputation, %d without", p, bytes, most)
		}
	}
}

// Measure leaves a Trainer unchanged to the last bit, with dropout, averages, accumulated
// gradients and optimiser state.
func TestMeasureChangesNoBit(t *testing.T) {
	for _, precision := range []engine.Precision{engine.FP32, engine.BF16} {
		for _, measured := range []string{"adamw", "sgd"} {
			fit := func(measure bool) string {
				m := newSmall()
				nn.Init(m, 3, nn.XavierUniform)
				o := loop.Options{Batch: 16, Epochs: 2, EMA: 0.9, Accumulate: 3, ClipNorm: 1, Precision: precision, Optimizer: optim.SGD{Momentum: 0.9}}
				if measured == "adamw" {
					o.Optimizer, o.Accumulate = optim.AdamW{}, 0
				}
				tr, err := loop.New(device(t, 2), m, garments(t, data.Train, 90), garments(t, data.Test, 40), o)
				if err != nil {
					t.Fatal(err)
				}
				if measure {
					s, err := tr.Measure(context.Background(), 100, 20*time.Millisecond)
					if err != nil || s.Steps < 2 || s.Epoch <= 0 || s.Evaluation <= 0 || s.Batch != 16 || s.Step <= 0 {
						t.Fatalf("%+v, %v", s, err)
					}
				}
				if _, err := tr.Fit(context.Background(), loop.Events{}, nil); err != nil {
					t.Fatal(err)
				}
				return hash(m)
			}
			if fit(true) != fit(false) {
				t.Errorf("%v, %s: other weights after a trial", precision, measured)
			}
		}
	}
}

// If an epoch is shorter than a trial, Measure repeats it, and does not judge by the first
// step, which is slower.
func TestMeasureOfFewBatches(t *testing.T) {
	for _, n := range []int{10, 20} {
		tr, err := loop.New(device(t, 2), leNet(), garments(t, data.Train, n), garments(t, data.Test, 5), loop.Options{Batch: 10, Epochs: 1})
		if err != nil {
			t.Fatal(err)
		}
		s, err := tr.Measure(context.Background(), 100, 20*time.Millisecond)
		if err != nil || s.Steps < 3 || s.Epoch <= 0 || s.Evaluation <= 0 || s.FirstEpoch != s.Epoch || s.Step*time.Duration(n/10) > s.Epoch {
			t.Errorf("of %d images: %+v, %v", n, s, err)
		}
	}
}

// Measure panics after a step, which it would undo.
func TestMeasureAfterAStep(t *testing.T) {
	tr, err := loop.New(device(t, 1), leNet(), garments(t, data.Train, 20), nil, loop.Options{Batch: 10, Epochs: 1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tr.Fit(context.Background(), loop.Events{}, nil); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if r := tensor.Recovered(recover()); r == nil || !strings.Contains(r.Error(), "after 2 steps") {
			t.Errorf("panicked with %v", r)
		}
	}()
	tr.Measure(context.Background(), 1, 0)
}

// A step on NaN changes no weight.
func TestStepOnNaN(t *testing.T) {
	m := leNet()
	tr, err := loop.New(device(t, 0), m, garments(t, data.Train, 50), nil, loop.Options{Batch: 50})
	if err != nil {
		t.Fatal(err)
	}
	before := slices.Clone(nn.Parameters(m)[0].Value.Data())
	x := tensor.New(50, 1, 28, 28).Fill(float32(math.NaN()))
	if loss, _, err := tr.Step(x, tensor.FromInts(make([]int64, 50), 50), 0.1); err == nil || !math.IsNaN(loss) {
		t.Errorf("a step on NaN gives loss %v and %v", loss, err)
	}
	tr.Store().Pull()
	if !slices.Equal(before, nn.Parameters(m)[0].Value.Data()) {
		t.Error("the weights have changed")
	}
}

// The branches that stochastic depth drops do not depend on threads, workers or
// recomputation.
func TestStochasticDepthSameBits(t *testing.T) {
	build := func() nn.Module {
		m, err := models.New("cifar-preresnet8", models.Config{Channels: 1, StochasticDepth: 0.5})
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	ds := garments(t, data.Train, 50)
	for _, p := range []engine.Precision{engine.FP32, engine.BF16} {
		sameBits(t, build, p)
		fit := func(recompute bool) string {
			m := build()
			tr, err := loop.New(device(t, 2), m, ds, nil, loop.Options{
				Batch: 20, Epochs: 1, Precision: p, Recompute: recompute, Schedule: optim.Constant{Base: 0.1},
			})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := tr.Fit(context.Background(), loop.Events{}, nil); err != nil {
				t.Fatal(err)
			}
			return hash(m)
		}
		if fit(true) != fit(false) {
			t.Errorf("%v: other weights with recomputation", p)
		}
	}
}

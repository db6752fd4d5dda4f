package loop

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/data/transforms"
	"github.com/residual-ml/residual/engine/cpu"
	"github.com/residual-ml/residual/optim"
)

// growing returns options of a training on images of 12, 20 and 28 pixels in turn.
func growing(t *testing.T, epochs int) (Options, data.Dataset) {
	t.Helper()
	ds := someImages(t, data.Train, 70)
	o := Options{
		Batch: 30, Epochs: epochs, Seed: 2, Optimizer: optim.SGD{Momentum: 0.9}, Schedule: optim.Constant{Base: 0.1}, EMA: 0.7, Accumulate: 2,
		Transform: transforms.RandomResizedCrop{Size: 28, Scale: [2]float64{0.5, 1}},
	}
	for _, size := range []int{12, 20} {
		o.Stages = append(o.Stages, Stage{data.Resize(ds, size), transforms.RandomResizedCrop{Size: size, Scale: [2]float64{0.5, 1}}})
	}
	return o, ds
}

// sized returns a trainer of a dropping network, which is tested on images of 28 pixels.
func sized(t *testing.T, ds data.Dataset, o Options) *Trainer {
	t.Helper()
	return trainerOf(t, newDropping(), ds, someImages(t, data.Test, 20), o)
}

// bitsOf returns the state of a trainer as text.
func bitsOf(t *testing.T, tr *Trainer) string {
	t.Helper()
	s, err := tr.State()
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(s.OptimizerSteps, s.Values, s.Slots, s.Averages)
}

// The images grow from stage to stage, only one stage is in memory, the tests are on images of one
// size, and a training that goes on from any of its epochs has the same bits.
func TestStages(t *testing.T) {
	o, ds := growing(t, 4)
	whole := sized(t, ds, o)
	shown, err := whole.FirstBatch(context.Background())
	if err != nil || shown[0].Image.Height != 12 || shown[0].Image.Width != 12 {
		t.Errorf("the first batch: %v, %v", shown[0].Image.Height, err)
	}
	var sides []int
	var tests []float64
	var states []State
	totals, err := whole.Fit(context.Background(), Events{
		OnBatch: func(BatchEvent) { sides = append(sides, whole.input[1]) },
	}, func(e Epoch) error {
		for _, p := range whole.programs {
			if p.images.Shape[2] != whole.input[1] {
				t.Errorf("epoch %d: a program of images %v among those for %v", e.Epoch, p.images.Shape, whole.input)
			}
		}
		s, err := whole.State()
		s.Values, s.Slots, s.Averages = copies(s.Values), copies(s.Slots), copies(s.Averages)
		states, tests = append(states, s), append(tests, e.TestLoss)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := []int{12, 12, 12, 20, 20, 20, 20, 20, 20, 28, 28, 28}; !slices.Equal(sides, want) {
		t.Errorf("sides %v, want %v", sides, want)
	}
	for i, s := range states[:3] {
		again := sized(t, ds, o)
		if err := again.Restore(s); err != nil {
			t.Fatal(err)
		}
		var losses []float64
		if _, err := again.Fit(context.Background(), Events{OnEpoch: func(e Epoch) { losses = append(losses, e.TestLoss) }}, nil); err != nil {
			t.Fatal(err)
		}
		if bitsOf(t, again) != bitsOf(t, whole) || !slices.Equal(losses, tests[i+1:]) {
			t.Errorf("after epoch %d the training goes on with other bits: losses %v, want %v", i+1, losses, tests[i+1:])
		}
	}
	if totals.Epochs != 4 || totals.Steps != 12 {
		t.Errorf("%+v", totals)
	}
}

// The first stage has the bits of a training on its images.
func TestFirstStage(t *testing.T) {
	o, ds := growing(t, 4)
	end := func(tr *Trainer) (bits string) {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		if _, err := tr.Fit(ctx, Events{OnBatch: func(b BatchEvent) {
			if b.Batch == 2 {
				cancel()
			}
		}}, nil); err == nil {
			t.Fatal("not stopped")
		}
		return bitsOf(t, tr)
	}
	first := o.Stages[0]
	got := end(sized(t, ds, o))
	o.Stages, o.Transform = nil, first.Transform
	if want := end(sized(t, first.Train, o)); got != want {
		t.Error("other bits than a training on images of 12 pixels")
	}
}

// The last epoch has the last images, however few epochs there are, and with a length that is decided
// as the training goes on.
func TestStageOfEpochs(t *testing.T) {
	for epochs, want := range map[int]string{1: "[2]", 2: "[0 2]", 3: "[0 1 2]", 5: "[0 0 1 2 2]", 6: "[0 0 1 1 2 2]"} {
		o, ds := growing(t, epochs)
		tr := sized(t, ds, o)
		var got []int
		for e := range epochs {
			got = append(got, tr.stageOf(e+1))
		}
		if fmt.Sprint(got) != want {
			t.Errorf("%d epochs: stages %v, want %v", epochs, got, want)
		}
	}
	o, ds := growing(t, 1)
	tr := sized(t, ds, o)
	tr.SetLength(func(int) int { return 7 })
	if got := fmt.Sprint(tr.stageOf(1), tr.stageOf(2), tr.stageOf(3)); got != "0 1 2" {
		t.Errorf("stages of 7 batches: %s", got)
	}
}

// The estimate counts every epoch as long as its stage takes, and measuring changes no bit.
func TestMeasureStages(t *testing.T) {
	o, ds := growing(t, 6)
	measured, plain := sized(t, ds, o), sized(t, ds, o)
	s, err := measured.Measure(context.Background(), 6, time.Millisecond)
	if err != nil || s.Steps == 0 {
		t.Fatal(s, err)
	}
	for _, tr := range []*Trainer{measured, plain} {
		if _, err := tr.Fit(context.Background(), Events{}, nil); err != nil {
			t.Fatal(err)
		}
	}
	if bitsOf(t, measured) != bitsOf(t, plain) {
		t.Error("measuring changed the training")
	}
	for remaining, want := range map[int]Speed{
		6: {FirstEpoch: 60, Epoch: (10 + 30 + 30 + 100 + 100) / 5}, 2: {FirstEpoch: 150, Epoch: 100}, 1: {FirstEpoch: 150, Epoch: 100},
	} {
		r, got := trial{Trainer: plain, epochs: remaining}, Speed{FirstEpoch: 150, Epoch: 100}
		if r.staged([]time.Duration{10, 30, 0}, &got); got.FirstEpoch != want.FirstEpoch || got.Epoch != want.Epoch || !slices.Equal(got.Stages, []float64{0.1, 0.3, 1}) {
			t.Errorf("%d epochs: %+v, want %+v", remaining, got, want)
		}
	}
}

// Stages that cannot be are refused before the training.
func TestStagesRefused(t *testing.T) {
	dev, err := cpu.New(cpu.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	for want, change := range map[string]func(o *Options, ds data.Dataset){
		"with which the training begins": func(o *Options, ds data.Dataset) { o.Stages[0] = Stage{Train: data.Resize(ds, 3)} },
		"the same images in another size": func(o *Options, ds data.Dataset) {
			o.Stages[1].Train = data.Resize(data.First(ds, 60), 20)
		},
		"takes images of one size": func(o *Options, _ data.Dataset) { o.Teacher = &Teacher{Module: newDropping()} },
	} {
		o, ds := growing(t, 4)
		change(&o, ds)
		if _, err := New(dev, newDropping(), ds, nil, o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

package train_test

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/data/folder"
	"github.com/residual-ml/residual/optim"
	"github.com/residual-ml/residual/train"
)

// half is a schedule of the program's own.
func half(step, total int) float32 {
	if 2*step > total {
		return 0.05
	}
	return 0.1
}

// An optimiser, a schedule and a sampler given as values train with the bits of the settings
// whose place they take.
func TestOwnValuesTrainLikeSettings(t *testing.T) {
	dev, ctx := device(t, 1), context.Background()
	named, valued := own(t, t.TempDir()), own(t, t.TempDir())
	named.Schedule, named.Optimizer = "step,gamma=0.5,at=0.5", "sgd"
	valued.LR, valued.Momentum = 0, 0
	valued.Own.Optimizer, valued.Own.Schedule, valued.Own.Sampler = optim.SGD{Momentum: 0.9}, optim.ScheduleFunc(half), data.ShuffledSampler{}
	for _, c := range []train.Config{named, valued} {
		if _, err := train.Run(ctx, dev, c, train.Callbacks{}); err != nil {
			t.Fatal(err)
		}
	}
	if hash(named.Module) != hash(valued.Module) {
		t.Error("the weights differ")
	}
}

// last scores the latest epoch highest.
func last(e train.Epoch) float64 { return float64(e.Epoch) }

// A run with values of the program's own has its score in the metrics, says which values it
// needs, and is resumed with the same bits.
func TestResumeOwnValues(t *testing.T) {
	dev, ctx := device(t, 1), context.Background()
	with := func(c train.Config) train.Config {
		c.LR, c.Momentum = 0, 0
		c.Own.Optimizer, c.Own.Schedule, c.Score = optim.AdamW{}, optim.Constant{Base: 0.01}, last
		c.Own.Sampler = data.SamplerFunc(func(epoch int, seed uint64, length int) ([]int, error) {
			order, err := data.ShuffledSampler{}.Sample(epoch, seed, length)
			return order[:40], err
		})
		return c
	}
	uninterrupted := with(own(t, t.TempDir()))
	want, err := train.Run(ctx, dev, uninterrupted, train.Callbacks{})
	if err != nil {
		t.Fatal(err)
	}
	if want.Steps != 9 || want.BestEpoch != 3 || want.BestScore != 3 || want.Config.Optimizer != "" || want.Config.Schedule != "" {
		t.Errorf("%d steps, the best epoch %d with the score %v, optimiser %q, schedule %q", want.Steps, want.BestEpoch, want.BestScore, want.Config.Optimizer, want.Config.Schedule)
	}
	if text := read(t, filepath.Join(want.Dir, "metrics.csv")); !strings.Contains(text, ",score,images_per_second,") || !strings.Contains(text, ",3,") {
		t.Errorf("the metrics are %s", text)
	}
	if text := read(t, filepath.Join(want.Dir, "settings.yaml")); !strings.Contains(text, "Optimizer optim.AdamW") || !strings.Contains(text, "Sampler data.SamplerFunc") {
		t.Errorf("the settings are %s", text)
	}
	dir := filepath.Join(t.TempDir(), "cut")
	short := with(own(t, ""))
	short.Epochs = 2
	if _, err := train.RunIn(ctx, dev, dir, short, train.Callbacks{}); err != nil {
		t.Fatal(err)
	}
	run, err := train.OpenRun(dir)
	if err != nil {
		t.Fatal(err)
	}
	run.Config.Epochs = 3
	lacking := run.Config
	lacking.Own = with(own(t, "")).Own
	lacking.Own.Sampler = nil
	if _, err := run.Resume(ctx, dev, lacking, train.Callbacks{}); err == nil || !strings.Contains(err.Error(), "Sampler data.SamplerFunc") || !strings.Contains(err.Error(), "give the same in train.Config") {
		t.Errorf("without the sampler: %v", err)
	}
	c := run.Config
	c.Own = with(own(t, "")).Own
	if _, err := run.Resume(ctx, dev, c, train.Callbacks{}); err != nil {
		t.Fatal(err)
	}
	if hash(c.Module) != hash(uninterrupted.Module) {
		t.Error("the resumed run ended with other weights")
	}
}

func TestOwnValuesReplaceSettings(t *testing.T) {
	for says, change := range map[string]func(*train.Config){
		"beside an Optimizer": func(c *train.Config) { c.Own.Optimizer = optim.SGD{} },
		"beside a Schedule":   func(c *train.Config) { c.Own.Schedule = optim.Constant{Base: 1} },
		"beside a Sampler":    func(c *train.Config) { c.Own.Sampler, c.Sampler = data.ShuffledSampler{}, train.Balanced },
		"beside a Score":      func(c *train.Config) { c.Score, c.Metric = last, "loss" },
		"would count twice":   func(c *train.Config) { c.Sampler, c.ClassWeights = train.Balanced, train.Balanced },
	} {
		c := own(t, t.TempDir())
		if change(&c); c.Check() == nil || !strings.Contains(c.Check().Error(), says) {
			t.Errorf("want %q, got %v", says, c.Check())
		}
	}
}

// Balanced epochs have as many batches as others, the test has every image once, and a run that
// is resumed has the same bits. Folders and lists of labels are balanced, too.
func TestBalancedSampler(t *testing.T) {
	ctx := context.Background()
	dir := photos(t, folder.MakeConfig{PerClass: 6, Seed: 2})
	labels, prices := lists(t, dir)
	for name, c := range map[string]train.Config{
		"set":    {Data: "garments", TrainSize: 100, TestSize: 30, Model: "d2l-bnlenet", Batch: 32, Epochs: 2},
		"folder": {Data: dir, Model: "cifar-resnet8", Resize: 16, Batch: 20, Epochs: 2},
		"labels": {Data: labels, Task: "labels", Model: "cifar-resnet8", Resize: 16, Batch: 20, Epochs: 2},
	} {
		c.Sampler, c.Out = train.Balanced, t.TempDir()
		plain := c
		plain.Sampler, plain.Out = train.Shuffled, t.TempDir()
		var start, plainly train.Start
		var steps []train.BatchEvent
		var tested []int
		uninterrupted, err := train.Run(ctx, device(t, 1), c, train.Callbacks{
			OnStart: func(s train.Start) { start = s }, OnBatch: func(s train.BatchEvent) { steps = append(steps, s) },
			OnEpoch: func(e train.Epoch) { tested = append(tested, e.Test.Count) },
		})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		shuffled, err := train.Run(ctx, device(t, 1), plain, train.Callbacks{OnStart: func(s train.Start) { plainly = s }})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if start.Batches != plainly.Batches || len(steps) != 2*start.Batches || steps[len(steps)-1].Batch != start.Batches || tested[0] != start.Tests || tested[1] != start.Tests {
			t.Errorf("%s: %d and %d batches, %d steps, %d of %d images tested", name, start.Batches, plainly.Batches, len(steps), tested, start.Tests)
		}
		if sameValues(t, uninterrupted.Last, shuffled.Last) || shuffled.Config.Sampler != "" {
			t.Errorf("%s: balanced and shuffled give the same weights", name)
		}
		c.Epochs = 1
		c.Out = t.TempDir()
		c.Schedule = "constant"
		first, err := train.Run(ctx, device(t, 2), c, train.Callbacks{})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		run, err := train.OpenRun(first.Dir)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		run.Config.Epochs = 2
		resumed, err := run.Resume(ctx, device(t, 1), run.Config, train.Callbacks{})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		c.Epochs, c.Out = 2, t.TempDir()
		if uninterrupted, err = train.Run(ctx, device(t, 1), c, train.Callbacks{}); err != nil || !sameValues(t, uninterrupted.Last, resumed.Last) {
			t.Errorf("%s: the resumed run has other weights (%v)", name, err)
		}
	}
	refused := train.Config{Data: prices, Task: "values", Model: "cifar-resnet8", Resize: 16, Sampler: train.Balanced}
	if err := refused.Check(); err == nil || !strings.Contains(err.Error(), "Sampler balanced is for classes and labels") {
		t.Errorf("values: %v", err)
	}
}

// sameValues reports whether two model files have the same weights.
func sameValues(t *testing.T, a, b string) bool {
	t.Helper()
	x, y := values(t, a), values(t, b)
	for name, v := range x {
		if y[name] == nil || !slices.Equal(v.Data(), y[name].Data()) {
			return false
		}
	}
	return len(x) == len(y)
}

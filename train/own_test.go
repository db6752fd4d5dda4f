package train_test

import (
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/data/transforms"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/inference"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/train"
)

// darker subtracts the same amount from every pixel.
type darker struct{ calls *int }

func (d darker) Apply(m transforms.Image, r rand.Source) transforms.Image {
	if d.calls != nil {
		*d.calls++
	}
	out, less := transforms.NewImage(m.Channels, m.Height, m.Width), uint8(r.Uint64()%50)
	for i, v := range m.Pix {
		out.Pix[i] = max(v, less) - less
	}
	return out
}

// own is a training of the program's own module, data set and transform.
func own(t *testing.T, out string) train.Config {
	return train.Config{
		Own: train.Own{
			Module: newSmall(), TrainSet: garments(t, data.Train, 96), TestSet: garments(t, data.Test, 32), Transform: darker{},
		},
		Batch: 16, Epochs: 3, LR: 0.1, Momentum: 0.9, Init: "kaiming-normal", Out: out,
	}
}

// A run of a program's own module, data set and transform can be resumed with the same bits,
// and its model file can be loaded into such a module.
func TestResumeOwn(t *testing.T) {
	dev, ctx := device(t, 1), context.Background()
	uninterrupted := own(t, t.TempDir())
	want, err := train.Run(ctx, dev, uninterrupted, train.Callbacks{})
	if err != nil {
		t.Fatal(err)
	}
	if want.Config.Data != "garments" || want.Config.Model != "small" || want.Config.Resize != 28 {
		t.Errorf("the settings are %s of %s at %d", want.Config.Model, want.Config.Data, want.Config.Resize)
	}

	dir := filepath.Join(t.TempDir(), "cut")
	short := own(t, "")
	short.Epochs = 2
	if _, err := train.RunIn(ctx, dev, dir, short, train.Callbacks{}); err != nil {
		t.Fatal(err)
	}
	run, err := train.OpenRun(dir)
	if err != nil {
		t.Fatal(err)
	}
	run.Config.Epochs = 3
	if _, err := run.Resume(ctx, dev, run.Config, train.Callbacks{}); err == nil || !strings.Contains(err.Error(), "Transform train_test.darker") {
		t.Errorf("without the program's own values: %v", err)
	}
	lacking := run.Config
	lacking.Own = own(t, "").Own
	lacking.Transform = nil
	if _, err := run.Resume(ctx, dev, lacking, train.Callbacks{}); err == nil || !strings.Contains(err.Error(), "Transform train_test.darker") {
		t.Errorf("without the transform: %v", err)
	}
	c := run.Config
	c.Own = own(t, "").Own
	got, err := run.Resume(ctx, dev, c, train.Callbacks{})
	if err != nil {
		t.Fatal(err)
	}
	if hash(c.Module) != hash(uninterrupted.Module) {
		t.Error("the resumed run ended with other weights")
	}
	m, err := inference.LoadInto(newSmall(), got.Last, dev, engine.Auto)
	if err != nil {
		t.Fatal(err)
	}
	if hash(m.Module()) != hash(c.Module) {
		t.Error("the file has other weights than the module")
	}
	if _, err := inference.Load(got.Last, dev, engine.Auto); err == nil || !strings.Contains(err.Error(), "inference.LoadInto") {
		t.Errorf("loading a network that has no name: %v", err)
	}
	if _, err := inference.LoadInto(leNet(), got.Last, dev, engine.Auto); err == nil || !strings.Contains(err.Error(), got.Last) {
		t.Errorf("loading into another network: %v", err)
	}
}

// The program's own transform is applied to every image, after the others or alone.
func TestOwnTransformSeesEveryImage(t *testing.T) {
	dev := device(t, 1)
	for _, augment := range []string{"", "flip"} {
		calls := 0
		c := own(t, t.TempDir())
		c.Transform, c.Augment, c.Epochs, c.Workers = darker{&calls}, augment, 2, 1
		if _, err := train.Run(context.Background(), dev, c, train.Callbacks{}); err != nil {
			t.Fatal(err)
		}
		if calls != 2*96 {
			t.Errorf("augment %q: the transform saw %d images of 2 epochs of 96", augment, calls)
		}
	}
}

// The program's own module keeps its values unless Init is given. Without a test set there is
// a best epoch, too.
func TestOwnModuleKeepsItsValues(t *testing.T) {
	dev := device(t, 1)
	c := own(t, t.TempDir())
	c.Init, c.TestSet, c.Epochs = "", nil, 1
	nn.Init(c.Module, 7, nn.KaimingNormal)
	was := hash(c.Module)
	c.LR, c.Optimizer, c.Momentum, c.Freeze = 1e-30, "sgd", 0, "stem,stages"
	var began string
	s, err := train.Run(context.Background(), dev, c, train.Callbacks{OnStart: func(train.Start) { began = hash(c.Module) }})
	if err != nil {
		t.Fatal(err)
	}
	if began != was {
		t.Error("the module got new values")
	}
	if s.Best == "" || s.BestEpoch != 1 {
		t.Errorf("best epoch %d in %q", s.BestEpoch, s.Best)
	}
}

func TestOwnRefuses(t *testing.T) {
	for _, c := range []struct {
		change func(*train.Config)
		says   string
	}{
		{func(c *train.Config) { c.TrainSet = nil }, "TestSet is given and TrainSet is not"},
		{func(c *train.Config) { c.Weights = "some.safetensors" }, "beside a Module"},
		{func(c *train.Config) { c.Blocks = []int{1, 1} }, "with a Module leave them out"},
		{func(c *train.Config) { c.Init = "ones" }, "ones"},
		{func(c *train.Config) { c.Freeze = "nothing" }, `"nothing" is no part of small`},
		{func(c *train.Config) { c.Module = nn.Sequential{nn.Flatten{}, nn.NewLinear(784, 3)} }, "tells 3 classes apart"},
	} {
		out := filepath.Join(t.TempDir(), "runs")
		conf := own(t, out)
		c.change(&conf)
		_, err := train.Run(context.Background(), device(t, 1), conf, train.Callbacks{})
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("want %q, got %v", c.says, err)
		}
		if _, err := os.Stat(out); err == nil {
			t.Errorf("%q: a folder was left", c.says)
		}
	}
}

package train_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/residual-ml/residual/data/folder"
	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/train"
	"github.com/residual-ml/residual/weights/safetensors"
)

// The recipe fills in what is not given, and nothing else.
func TestFastRecipe(t *testing.T) {
	c := train.Config{Data: "cifar10", Recipe: "fast"}.Resolved()
	if c.Model != "whitened-resnet8" || c.Resize != 32 || c.Batch != 1024 || c.LR != 1.5 || c.Momentum != 0.85 || !c.Nesterov || c.WeightDecay != 0.00133 ||
		c.LabelSmoothing != 0.2 || c.Augment != "shift" || c.Freeze != "whiten.weight,norm-weights" || c.NormBiasRate != 64 || c.Lookahead != 0.95 || c.Init != "pytorch" || len(c.Mean) != 3 {
		t.Errorf("cifar10: %+v", c)
	}
	if again := c.Resolved(); again.LR != c.LR || again.Epochs != c.Epochs || again.Repeat != 0 || again.Freeze != c.Freeze {
		t.Errorf("resolved twice: %+v", again)
	}
	c = train.Config{Data: "cifar100", Recipe: "fast", Batch: 256, Optimizer: "adamw", Epochs: 3, EMA: 0.9, Freeze: "stem", Preparation: train.Preparation{Augment: "flip"}}.Resolved()
	if c.Batch != 256 || c.LR != 0.375 || c.Momentum != 0 || c.Nesterov || c.NormBiasRate != 0 || c.Epochs != 3 || c.Lookahead != 0 || c.Augment != "flip" || c.Freeze != "stem" {
		t.Errorf("with settings that were given: %+v", c)
	}
	c = train.Config{Recipe: "fast"}.Resolved()
	if c.Data != "fashion-mnist" || c.Model != "d2l-resnet18" || c.Resize != 96 || c.Batch != 256 || c.Epochs != 3 || c.Freeze != "" || c.Lookahead != 0 || !strings.HasPrefix(c.Schedule, "onecycle") || c.Init != "xavier-uniform" {
		t.Errorf("fashion-mnist: %+v", c)
	}
	if c = (train.Config{Recipe: "fast", Model: "whitened-resnet8"}).Resolved(); c.Resize != 32 || len(c.Mean) != 1 {
		t.Errorf("whitened-resnet8 on fashion-mnist: %+v", c)
	}
	if c = (train.Config{Recipe: "fast", Data: "garments"}).Resolved(); c.Batch != 256 || c.Epochs != 16 || c.Check() != nil {
		t.Errorf("garments: %+v, %v", c, c.Check())
	}
	if plain := (train.Config{Data: "cifar10"}).Resolved(); plain.Model != "cifar-resnet20" || plain.Lookahead != 0 || plain.Freeze != "" {
		t.Errorf("without the recipe: %+v", plain)
	}
}

func TestFastRecipeRefused(t *testing.T) {
	for want, c := range map[string]train.Config{
		"resnet18": {Data: "cifar10", Recipe: "fast", Model: "resnet18"},
		"labels":   {Data: t.TempDir() + "/", Recipe: "fast", Task: "labels"},
		"stay 0":   {Data: "cifar10", Recipe: "fast", ZeroInit: true},
		"slow":     {Data: "cifar10", Recipe: "slow"},
		"EMA":      {Data: "cifar10", EMA: 0.9, Lookahead: 0.9},
		"sgd":      {Data: "cifar10", Optimizer: "adamw", NormBiasRate: 2},
	} {
		if err := c.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", c, err, want)
		}
	}
}

// On a folder the first layer whitens the training images: it does not depend on the seed, and is not
// trained. The bits of all do not depend on the number of threads.
func TestFastOnPhotos(t *testing.T) {
	dir := photos(t, folder.MakeConfig{PerClass: 3})
	values := func(threads int, seed uint64) map[string]*tensor.Tensor {
		t.Helper()
		c := train.Config{Data: dir, Recipe: "fast", Resize: 12, Batch: 10, Epochs: 2, Seed: seed, Precision: "fp32", Out: t.TempDir()}
		s, err := train.Run(context.Background(), device(t, threads), c, train.Callbacks{})
		if err != nil {
			t.Fatal(err)
		}
		f, err := safetensors.Open(s.Last)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		all := map[string]*tensor.Tensor{}
		for _, name := range f.Names() {
			v, err := f.Tensor(name)
			if err != nil {
				t.Fatal(err)
			}
			all[name] = v.Clone()
		}
		return all
	}
	one, two, other := values(1, 5), values(2, 5), values(2, 6)
	for name, v := range one {
		if !slices.Equal(v.Data(), two[name].Data()) {
			t.Errorf("%s is another on two threads", name)
		}
		for i, x := range v.Data() {
			if strings.Contains(name, ".bn1.weight") && x != 1 {
				t.Errorf("%s[%d] is %v and was not to be trained", name, i, x)
			}
		}
	}
	const white = 24 * 12 // the filters that follow from the images
	a, b := one["whiten.weight"].Data(), other["whiten.weight"].Data()
	if !slices.Equal(a[:white], b[:white]) || slices.Equal(a[white:], b[white:]) {
		t.Error("the filters of the first layer depend on the seed where they should not, or the others do not")
	}
	for i := range white / 2 {
		if a[i] != -a[white/2+i] {
			t.Fatalf("weight %d of the first layer is %v, and its negative is %v", i, a[i], a[white/2+i])
		}
	}
}

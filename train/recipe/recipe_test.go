package recipe_test

import (
	"fmt"
	"reflect"
	"slices"
	"testing"

	"github.com/residual-ml/residual/data/transforms"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/optim"
	"github.com/residual-ml/residual/prepare"
	"github.com/residual-ml/residual/train/recipe"
)

func Example() {
	cifar := recipe.For(recipe.Model("cifar10"), "cifar10")
	fmt.Println(recipe.Model("cifar10"), cifar.Epochs, cifar.Batch, cifar.LR, cifar.Augment)
	photos := recipe.ForPhotos(2500)
	fmt.Println(photos.Model, photos.Resize, photos.LR(photos.Batch, false), photos.LR(photos.Batch, true))
	// Output:
	// cifar-resnet20 164 128 0.1 crop
	// resnet18 128 0.025 0.0025
}

// Every data set and model gets the recipe of its source, and every schedule can be read.
func TestFor(t *testing.T) {
	d2l := recipe.Recipe{Resize: 96, Batch: 256, LR: 0.05, Epochs: 10, Schedule: "constant", Optimizer: "sgd", Init: nn.XavierUniform, Augment: "none"}
	with := func(change func(r *recipe.Recipe)) recipe.Recipe {
		r := d2l
		change(&r)
		return r
	}
	for _, c := range []struct {
		model, set string
		want       recipe.Recipe
	}{
		{"d2l-resnet18", "fashion-mnist", d2l},
		{"resnet50", "", d2l},
		{"resnet18", "garments", with(func(r *recipe.Recipe) { r.Resize, r.Batch, r.Epochs, r.Schedule = 28, 64, 3, "cosine" })},
		{"d2l-bnlenet", "mnist", with(func(r *recipe.Recipe) { r.Resize, r.LR = 28, 1 })},
		{"d2l-bnlenet", "garments", with(func(r *recipe.Recipe) { r.Resize, r.Batch, r.LR, r.Schedule = 28, 64, 1, "cosine" })},
		{"d2l-bnlenet", "cifar10", with(func(r *recipe.Recipe) { r.Resize, r.LR, r.Augment = 28, 1, "crop" })},
		{"cifar-resnet56", "cifar100", recipe.Recipe{
			Resize: 32, Batch: 128, LR: 0.1, Epochs: 164, Schedule: "step,gamma=0.1,at=0.5,at=0.75", Optimizer: "sgd",
			Momentum: 0.9, WeightDecay: 1e-4, Init: nn.KaimingNormal, Augment: "crop",
		}},
	} {
		got := recipe.For(c.model, c.set)
		if got != c.want {
			t.Errorf("%s on %s: %+v, want %+v", c.model, c.set, got, c.want)
		}
		if _, err := optim.ParseSchedule(got.Schedule, got.LR); err != nil {
			t.Error(err)
		}
	}
	for set, want := range map[string]string{"garments": "d2l-bnlenet", "mnist": "d2l-bnlenet", "cifar100": "cifar-resnet20", "fashion-mnist": "d2l-resnet18", "": "d2l-resnet18"} {
		if got := recipe.Model(set); got != want {
			t.Errorf("%s for %q, want %s", got, set, want)
		}
	}
}

// The recipes for a user's own images are ordered by size, and the last is for any number.
func TestPhotos(t *testing.T) {
	all := recipe.AllPhotos()
	for i, r := range all {
		if last := i == len(all)-1; last != (r.MaxImages == 0) || i > 0 && !last && r.MaxImages <= all[i-1].MaxImages || r.TunedEpochs >= r.Epochs {
			t.Errorf("recipe %d: %+v", i, r)
		}
	}
	for images, want := range map[int]int{0: 96, 1000: 96, 1001: 128, 10_000: 128, 10_001: 224, 1 << 40: 224} {
		if got := recipe.ForPhotos(images).Resize; got != want {
			t.Errorf("%d images are resized to %d, want %d", images, got, want)
		}
	}
	colour, grey := recipe.PhotoSteps(224, 3), recipe.PhotoSteps(96, 1)
	if colour.ResizeShorter != 256 || grey.ResizeShorter != 110 || !slices.Equal(colour.Mean, []float64{0.485, 0.456, 0.406}) || !slices.Equal(grey.Mean, []float64{0.449}) {
		t.Errorf("%+v and %+v", colour, grey)
	}
}

// Augment makes of each name the transforms of its source, of an input that is resized whole
// and of one whose centre is cropped.
func TestAugmentTransform(t *testing.T) {
	named := prepare.Input{Height: 32, Width: 32, Preprocess: prepare.Steps{Resize: 32}}
	photos := prepare.Input{Height: 32, Width: 32, Preprocess: prepare.Steps{ResizeShorter: 37, Interpolation: "bicubic", Mean: []float64{0.5, 0.2, 0}}}
	flip, resize := transforms.RandomHorizontalFlip{}, transforms.Resize{Height: 32, Width: 32}
	centre := []transforms.Transform{transforms.Resize{Size: 37, Interpolation: transforms.Bicubic}, transforms.CenterCrop{Size: 32}}
	for _, c := range []struct {
		augment recipe.Augment
		in      prepare.Input
		own     transforms.Transform
		want    transforms.Compose
	}{
		{recipe.Augment{Name: "none"}, named, nil, nil},
		{recipe.Augment{Name: "none"}, named, flip, transforms.Compose{resize, flip}},
		{recipe.Augment{Name: "flip"}, photos, nil, append(slices.Clone(centre), flip)},
		{recipe.Augment{Name: "none", RandomErasing: 0.5}, photos, nil, append(slices.Clone(centre), transforms.RandomErasing{P: 0.5, Fill: []uint8{128, 51, 0}})},
		{recipe.Augment{Name: "crop"}, named, nil, transforms.Compose{resize, transforms.RandomCrop{Size: 32, Padding: 4}, flip}},
		{recipe.Augment{Name: "standard"}, named, nil, transforms.Compose{transforms.RandomResizedCrop{Size: 32, Scale: [2]float64{0.08, 1}}, flip}},
		{recipe.Augment{Name: "trivial", CropScale: 0.5}, photos, nil, transforms.Compose{
			transforms.RandomResizedCrop{Size: 32, Scale: [2]float64{0.5, 1}, Interpolation: transforms.Bicubic}, flip, transforms.TrivialAugmentWide{Sampling: transforms.SampleBilinear}}},
		{recipe.Augment{Name: "rand", CropScale: 0.5}, named, nil, transforms.Compose{
			transforms.RandomResizedCrop{Size: 32, Scale: [2]float64{0.5, 1}}, flip, transforms.RandAugment{Sampling: transforms.SampleBilinear}}},
	} {
		got := c.augment.Transform(c.in, c.own)
		if c.want == nil && got != nil || c.want != nil && !reflect.DeepEqual(got, c.want) {
			t.Errorf("%+v: %#v, want %#v", c.augment, got, c.want)
		}
	}
	for _, a := range recipe.Augmentations() {
		if got, want := (recipe.Augment{Name: a.Name}).Crops(), slices.Contains([]string{"standard", "trivial", "rand"}, a.Name); got != want {
			t.Errorf("%s crops: %v", a.Name, got)
		}
	}
}

func TestAugmentMix(t *testing.T) {
	for want, a := range map[string]recipe.Augment{
		"<nil>":                   {},
		"transforms.Mixup":        {Mixup: 0.2},
		"transforms.CutMix":       {CutMix: 1},
		"transforms.RandomChoice": {Mixup: 0.2, CutMix: 1},
	} {
		if got := fmt.Sprintf("%T", a.Mix()); got != want {
			t.Errorf("%+v mixes by %s, want %s", a, got, want)
		}
	}
}

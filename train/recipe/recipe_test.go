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
	rule := recipe.Tuned()
	epochs, repeat := rule.Epochs(100, rule.Batch, 0)
	fmt.Println(photos.Model, photos.Resize, rule.LR("sgd", rule.Batch), epochs, repeat)
	// Output:
	// cifar-resnet20 164 128 0.1 crop
	// resnet18 128 0.05 10 20
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
		if last := i == len(all)-1; last != (r.MaxImages == 0) || i > 0 && !last && r.MaxImages <= all[i-1].MaxImages {
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

// Images keep their size up to the next of the list, but for the largest size of a recipe. Images
// that are no larger than the size are not cut, and tiny ones are shifted.
func TestPhotoSizes(t *testing.T) {
	for _, c := range []struct {
		images, side, size, shorter int
		augment                     string
	}{
		{500, 0, 96, 110, "standard"},
		{500, 28, 32, 32, "crop"},
		{500, 32, 32, 32, "crop"},
		{500, 33, 40, 40, "crop"},
		{500, 41, 48, 48, "standard"},
		{500, 96, 96, 96, "standard"},
		{500, 97, 96, 110, "standard"},
		{5000, 97, 112, 112, "standard"},
		{5000, 4000, 128, 146, "standard"},
		{20_000, 170, 192, 192, "standard"},
		{20_000, 1 << 20, 224, 256, "standard"},
	} {
		size := recipe.ForPhotos(c.images).SizeFor(c.side)
		if shorter, augment := recipe.PhotoShorter(size, c.side), recipe.PhotoAugment(size, c.side); size != c.size || shorter != c.shorter || augment != c.augment {
			t.Errorf("%d images of %d: %d, resized to %d, %s; want %d, %d, %s", c.images, c.side, size, shorter, augment, c.size, c.shorter, c.augment)
		}
	}
	if got := recipe.PhotoAugment(32, 500); got != "standard" {
		t.Errorf("large images at 32 pixels are augmented by %s", got)
	}
}

// A rule counts steps: small sets are gone over until there are enough, large ones less often,
// and the display has epochs of at least 60 steps. What is given is kept.
func TestRule(t *testing.T) {
	rule := recipe.Rule{Batch: 32, Rate: 0.05, Steps: 600, Passes: 24, Large: 5000}
	for _, c := range []struct{ images, batch, given, steps, epochs, repeat int }{
		{100, 32, 0, 600, 10, 20},
		{5, 5, 0, 600, 10, 60},
		{320, 32, 0, 600, 10, 6},
		{800, 32, 0, 600, 8, 3},
		{2500, 32, 0, 1875, 24, 1},
		{5000, 32, 0, 3750, 24, 1},
		{20_000, 32, 0, 7500, 12, 1},
		{100, 32, 1, 600, 150, 1},
		{2500, 32, 2, 1875, 12, 2},
		{100, 64, 0, 600, 10, 39},
		{0, 0, 0, 600, 10, 60},
	} {
		if got := rule.StepsFor(c.images, c.batch); got != c.steps {
			t.Errorf("%d images by %d: %d steps, want %d", c.images, c.batch, got, c.steps)
		}
		if epochs, repeat := rule.Epochs(c.images, c.batch, c.given); epochs != c.epochs || repeat != c.repeat {
			t.Errorf("%d images by %d: %d epochs of %d passes, want %d of %d", c.images, c.batch, epochs, repeat, c.epochs, c.repeat)
		}
	}
	for _, r := range []recipe.Rule{recipe.Scratch(), recipe.Tuned()} {
		for images := 1; images < 200_000; images += 1 + images/3 {
			batch := min(r.Batch, images)
			epochs, repeat := r.Epochs(images, batch, 0)
			steps := epochs * ((repeat*images + batch - 1) / batch)
			if want := r.StepsFor(images, batch); steps < want*9/10 || steps > want*5/4 {
				t.Errorf("%d images: %d steps in %d epochs of %d passes, want %d", images, steps, epochs, repeat, want)
			}
		}
	}
}

// The rate is proportional to the batch, and adamw's to its square root.
func TestRuleLR(t *testing.T) {
	rule := recipe.Rule{Rate: 0.05}
	for _, c := range []struct {
		optimizer string
		batch     int
		want      float32
	}{{"sgd", 32, 0.05}, {"", 128, 0.2}, {"sgd", 8, 0.0125}, {"adamw", 32, 0.001}, {"adamw", 128, 0.002}, {"lars", 32, 1}} {
		if got := rule.LR(c.optimizer, c.batch); got != c.want {
			t.Errorf("%s by %d: %v, want %v", c.optimizer, c.batch, got, c.want)
		}
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

// A small set gets smaller batches, and passes enough for the steps.
func TestFast(t *testing.T) {
	for _, c := range []struct{ images, batch, repeat int }{{0, 1024, 0}, {50000, 1024, 0}, {12000, 256, 0}, {2000, 64, 0}, {100, 64, 15}} {
		q, err := recipe.Fast("", "", c.images, 3)
		if err != nil || q.Batch != c.batch || q.Repeat != c.repeat {
			t.Errorf("%d images: batches of %d, %d passes in an epoch, %v; want %d and %d", c.images, q.Batch, q.Repeat, err, c.batch, c.repeat)
		}
		if _, err := optim.ParseSchedule(q.Schedule, recipe.FastLR(q.Batch)); err != nil {
			t.Error(err)
		}
	}
	if got := recipe.FastLR(512); got != 0.75 {
		t.Errorf("the rate of batches of 512 is %v", got)
	}
}

// The sizes grow in equal steps, rounded to the sizes that the recipes choose from, and are distinct.
func TestProgressiveSizes(t *testing.T) {
	for _, c := range []struct {
		first, last int
		want        []int
	}{
		{48, 96, []int{48, 64, 80, 96}},
		{32, 64, []int{32, 40, 48, 64}},
		{128, 224, []int{128, 160, 192, 224}},
		{24, 28, []int{24, 25, 26, 28}},
		{32, 40, []int{32, 40}},
		{40, 48, []int{40, 48}},
		{16, 32, []int{16, 21, 26, 32}},
		{31, 32, []int{31, 32}},
		{224, 512, []int{224, 320, 416, 512}},
	} {
		if got := recipe.ProgressiveSizes(c.first, c.last); !slices.Equal(got, c.want) {
			t.Errorf("from %d to %d: %v, want %v", c.first, c.last, got, c.want)
		}
	}
}

package recipe

import (
	"slices"

	"github.com/residual-ml/residual/data/transforms"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/prepare"
)

// Photos is the part of the recipe for a user's own images that depends on how many there
// are to train on.
type Photos struct {
	MaxImages int // the largest number of images that it is for; 0 for any number
	Model     string
	Blocks    []int // in each stage; nil: the model's own
	Resize    int
	CropScale float64 // the least share of an image's area that RandomResizedCrop takes
}

// AllPhotos returns the recipes for a user's own images, the smallest first: the more images
// there are to train on, the larger are the network and the images, and the smaller may the
// crops be. Rule says how long and at which rate to train.
func AllPhotos() []Photos {
	return []Photos{
		{MaxImages: 1000, Model: "resnet18", Blocks: []int{1, 1, 1, 1}, Resize: 96, CropScale: 0.5},
		{MaxImages: 10_000, Model: "resnet18", Resize: 128, CropScale: 0.35},
		{Model: "resnet18", Resize: 224, CropScale: 0.08},
	}
}

// ForPhotos returns the recipe for so many images to train on.
func ForPhotos(images int) Photos {
	all := AllPhotos()
	i := slices.IndexFunc(all, func(p Photos) bool { return images <= p.MaxImages })
	if i < 0 {
		i = len(all) - 1
	}
	return all[i]
}

// PhotoHoldout is the share of each class to test on.
const PhotoHoldout = 0.2

// PhotoBase returns what the recipe for a user's own images has for any number of them.
func PhotoBase() Recipe {
	return Recipe{
		Schedule: "cosine,warmup=0.05", Optimizer: "sgd", Momentum: 0.9, WeightDecay: 5e-4, Nesterov: true, LabelSmoothing: 0.1,
		Init: nn.KaimingNormal, Augment: "standard",
	}
}

// PhotoSteps returns how a user's own images become the input of a model that takes size by
// size pixels: as in torchvision's reference training, 256 pixels of the shorter side for
// every 224 of the size, and the mean and std of ImageNet. For grey images the mean and std
// are those of the three channels together, as in timm.
func PhotoSteps(size, channels int) prepare.Steps {
	n := transforms.ImageNet()
	if channels == 1 {
		n = transforms.Normalize{Mean: []float64{0.449}, Std: []float64{0.226}}
	}
	return prepare.Steps{ResizeShorter: (size*256 + 112) / 224, Interpolation: "bilinear", Mean: n.Mean, Std: n.Std}
}

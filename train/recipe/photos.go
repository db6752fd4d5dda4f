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

// sizes are the sizes of images that a recipe chooses from: those that the stages of the nets
// halve without much of a rest.
var sizes = []int{32, 40, 48, 64, 80, 96, 112, 128, 160, 192, 224, 256, 288}

// SizeFor returns the size for images whose shorter sides have the median side, in pixels: the
// first of a list of sizes from 32 to 288 that is not below side, and at most Resize. Small images
// are not blown up by more than the rounding. A side of 0 is unknown.
func (p Photos) SizeFor(side int) int {
	i, _ := slices.BinarySearch(sizes, side)
	if side == 0 || i == len(sizes) {
		return p.Resize
	}
	return min(sizes[i], p.Resize)
}

// ModelFor returns the model for images of a size, and its blocks: resnet9-32 below 48 pixels, where
// the stem of resnet18 would leave maps of a few pixels, and resnet18-s2, whose stem halves only once, up to 64.
func (p Photos) ModelFor(size int) (model string, blocks []int) {
	switch {
	case size < tinySize:
		return "resnet9-32", nil
	case size <= 64:
		return p.Model + "-s2", p.Blocks
	}
	return p.Model, p.Blocks
}

// tinySize is the size in pixels from which on PhotoAugment takes parts of different sizes out of
// images: parts of smaller images show too little.
const tinySize = 48

// PhotoAugment returns the augmentation, one of Augmentations, of images whose shorter sides have
// the median side, for a size: crop for tiny images in their own size, and else standard.
func PhotoAugment(size, side int) string {
	if size < tinySize && side > 0 && side <= size {
		return "crop"
	}
	return PhotoBase().Augment
}

// PhotoShorter returns the pixels of the shorter side that images are resized to for evaluation
// before the middle is cut out: as in torchvision's reference training 256 for every 224 of the
// size, and the size itself for images that are no larger, since they have nothing to lose.
func PhotoShorter(size, side int) int {
	if side > 0 && side <= size {
		return size
	}
	return (size*256 + 112) / 224
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
	return prepare.Steps{ResizeShorter: PhotoShorter(size, 0), Interpolation: "bilinear", Mean: n.Mean, Std: n.Std}
}

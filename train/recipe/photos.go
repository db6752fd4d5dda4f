package recipe

import (
	"math"
	"slices"

	"github.com/residual-ml/residual/data/transforms"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/prepare"
)

// Photos is the part of the recipe for a user's own images that depends on how many there
// are to train on.
type Photos struct {
	MaxImages     int // the largest number of images that it is for; 0 for any number
	Model         string
	Blocks        []int // in each stage; nil: the model's own
	Resize, Batch int
	Epochs        int
	TunedEpochs   int     // epochs from the weights of a file
	CropScale     float64 // the least share of an image's area that RandomResizedCrop takes
	BaseLR        float64 // learning rate for a batch of 256 images
}

// AllPhotos returns the recipes for a user's own images, the smallest first: the more images
// there are to train on, the larger are the network and the images, and the fewer the epochs.
// The learning rate is 0.1 for a batch of 256 and proportional to the batch (Goyal et al.,
// https://arxiv.org/abs/1706.02677, section 2.1); from the weights of a file it is a tenth of
// that. Few images make few steps, so their steps are longer, and a crop takes at least half
// of an image: docs/photos.md says what that was measured to gain.
func AllPhotos() []Photos {
	return []Photos{
		{MaxImages: 1000, Model: "resnet18", Blocks: []int{1, 1, 1, 1}, Resize: 96, Batch: 32, Epochs: 60, TunedEpochs: 20, CropScale: 0.5, BaseLR: 0.24},
		{MaxImages: 10_000, Model: "resnet18", Resize: 128, Batch: 64, Epochs: 40, TunedEpochs: 15, CropScale: 0.08, BaseLR: 0.1},
		{Model: "resnet18", Resize: 224, Batch: 128, Epochs: 30, TunedEpochs: 10, CropScale: 0.08, BaseLR: 0.1},
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

// tunedLR is the learning rate from the weights of a file, for a batch of 256 images.
const tunedLR = 0.01

// LR returns the learning rate for a batch of so many images. tuned says that the training
// starts from the weights of a file.
func (p Photos) LR(batch int, tuned bool) float32 {
	rate := p.BaseLR
	if tuned {
		rate = tunedLR
	}
	return float32(math.Round(rate*float64(batch)/256*1e5) / 1e5)
}

// PhotoHoldout is the share of each class to test on.
const PhotoHoldout = 0.2

// PhotoBase returns what the recipe for a user's own images has for any number of them.
func PhotoBase() Recipe {
	return Recipe{
		Schedule: "cosine,warmup=0.05", Optimizer: "sgd", Momentum: 0.9, WeightDecay: 1e-4, Nesterov: true, LabelSmoothing: 0.1,
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

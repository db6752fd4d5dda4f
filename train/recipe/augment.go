package recipe

import (
	"math"

	"github.com/residual-ml/residual/data/transforms"
	"github.com/residual-ml/residual/prepare"
)

// Augmentation describes a choice of random transforms.
type Augmentation struct{ Name, About string }

// Augmentations lists what Augment.Name may be. standard, trivial and rand are those of
// torchvision's reference training
// (https://github.com/pytorch/vision/blob/main/references/classification/presets.py), and
// crop is that of He et al. for CIFAR (https://arxiv.org/abs/1512.03385, section 4.2): a
// random part of 32 by 32 pixels from an image with 4 black pixels on each side, and flips.
// shift is that of Jordan for CIFAR-10 (https://arxiv.org/abs/2404.00498).
func Augmentations() []Augmentation {
	return []Augmentation{
		{"none", "every epoch sees the same images"},
		{"flip", "RandomHorizontalFlip"},
		{"crop", "RandomCrop with a padding of an eighth, and flip"},
		{"shift", "RandomCrop with a reflected padding of a sixteenth, and AlternatingFlip"},
		{"standard", "RandomResizedCrop and flip"},
		{"trivial", "standard and TrivialAugmentWide"},
		{"rand", "standard and RandAugment"},
	}
}

// Augment says how the images of a training are changed at random. Images that a model is
// tested on are never changed.
type Augment struct {
	Name          string  // one of Augmentations
	CropScale     float64 // the least share of an image's area that RandomResizedCrop takes; 0: 0.08
	RandomErasing float64 // probability with which a part of an image is erased
	Mixup, CutMix float64 // alpha of the Beta distribution; 0: none
}

// Crops reports whether the images are parts cut out by RandomResizedCrop.
func (a Augment) Crops() bool {
	return a.Name == "standard" || a.Name == "trivial" || a.Name == "rand"
}

// Transform returns the transform that makes the training's images from decoded ones, for a
// square input. It ends with own, which may be nil. It returns nil if images need no more
// than the preparation that in describes.
func (a Augment) Transform(in prepare.Input, own transforms.Transform) transforms.Transform {
	size, steps := in.Height, in.Preprocess
	var all transforms.Compose
	switch {
	case a.Crops():
		scale := [2]float64{a.CropScale, 1}
		if a.CropScale == 0 {
			scale[0] = 0.08
		}
		all = transforms.Compose{transforms.RandomResizedCrop{Size: size, Scale: scale, Interpolation: steps.Filter()}}
	case steps.ResizeShorter > 0:
		all = transforms.Compose{transforms.Resize{Size: steps.ResizeShorter, Interpolation: steps.Filter()}, transforms.CenterCrop{Size: size}}
	default:
		all = transforms.Compose{transforms.Resize{Height: size, Width: size}}
	}
	switch a.Name {
	case "none":
		if a.RandomErasing == 0 && own == nil {
			return nil
		}
	case "crop":
		all = append(all, transforms.RandomCrop{Size: size, Padding: max(size/8, 1)}, transforms.RandomHorizontalFlip{})
	case "shift":
		all = append(all, transforms.RandomCrop{Size: size, Padding: max(size/16, 1), Mode: transforms.PadReflect}, transforms.AlternatingFlip{})
	case "trivial":
		all = append(all, transforms.RandomHorizontalFlip{}, transforms.TrivialAugmentWide{Sampling: transforms.SampleBilinear})
	case "rand":
		all = append(all, transforms.RandomHorizontalFlip{}, transforms.RandAugment{Sampling: transforms.SampleBilinear})
	default:
		all = append(all, transforms.RandomHorizontalFlip{})
	}
	if a.RandomErasing > 0 {
		all = append(all, transforms.RandomErasing{P: a.RandomErasing, Fill: meanBytes(steps.Mean)})
	}
	if own != nil {
		all = append(all, own)
	}
	return all
}

// meanBytes returns the pixel that the normalisation turns into zeros.
func meanBytes(mean []float64) (fill []uint8) {
	for _, v := range mean {
		fill = append(fill, uint8(min(max(math.Round(v*255), 0), 255)))
	}
	return fill
}

// Mix returns the transform that mixes the images of a batch, and their labels; nil if it
// mixes nothing. With both Mixup and CutMix each batch gets one of the two.
func (a Augment) Mix() transforms.BatchTransform {
	var of []transforms.BatchTransform
	if a.Mixup > 0 {
		of = append(of, transforms.Mixup{Alpha: a.Mixup})
	}
	if a.CutMix > 0 {
		of = append(of, transforms.CutMix{Alpha: a.CutMix})
	}
	switch len(of) {
	case 0:
		return nil
	case 1:
		return of[0]
	}
	return transforms.RandomChoice{Of: of}
}

package train

import (
	"math"

	"github.com/residual-ml/residual/data/transforms"
	"github.com/residual-ml/residual/internal/field"
	"github.com/residual-ml/residual/prepare"
	"github.com/residual-ml/residual/train/settings"
)

// Preparation says what is made of the pictures before the model sees them. Zero values
// are those that suit the data set: pictures of a user's own are augmented and
// normalised as in torchvision's reference training, those of CIFAR are cropped and flipped
// as in its paper, and others are only resized.
type Preparation struct {
	// Holdout is the share of each class to test on, where a folder or a list of pictures
	// says nothing of it. Which pictures it takes hangs on HoldoutSeed and their names.
	Holdout     float64 `yaml:"holdout,omitempty" json:"holdout,omitempty"`
	HoldoutSeed uint64  `yaml:"holdout_seed,omitempty" json:"holdout_seed,omitempty"`
	Channels    int     `yaml:"channels,omitempty" json:"channels,omitempty"` // of a user's own pictures: 1 for grey, 3 for colour

	// ResizeShorter is what the shorter side of a user's own pictures is resized to for
	// evaluation, before the middle of Resize by Resize pixels is cut out.
	ResizeShorter int    `yaml:"resize_shorter,omitempty" json:"resize_shorter,omitempty"`
	Interpolation string `yaml:"interpolation,omitempty" json:"interpolation,omitempty"` // bilinear or bicubic

	// Mean and Std, by channel, are those by which the pixels, from 0 to 1, are normalised.
	Mean []float64 `yaml:"mean,omitempty,flow" json:"mean,omitempty"`
	Std  []float64 `yaml:"std,omitempty,flow" json:"std,omitempty"`

	Augment       string  `yaml:"augment,omitempty" json:"augment,omitempty"`       // one of Augmentations
	CropScale     float64 `yaml:"crop_scale,omitempty" json:"crop_scale,omitempty"` // the least share of the area that RandomResizedCrop takes
	RandomErasing float64 `yaml:"random_erasing,omitempty" json:"random_erasing,omitempty"`
	Mixup         float64 `yaml:"mixup,omitempty" json:"mixup,omitempty"`   // alpha; 0 is none
	CutMix        float64 `yaml:"cutmix,omitempty" json:"cutmix,omitempty"` // alpha; 0 is none

	// Cache says where a user's own pictures are kept as they are once decoded and shrunk:
	// CacheAuto in the user's cache folder when they are large enough for that to help,
	// CacheOff nowhere, or the path of a folder, always. CacheSize is the most it takes, in
	// GB; 0 means half of what the disk has free. Neither changes a result.
	Cache     string  `yaml:"cache,omitempty" json:"cache,omitempty"`
	CacheSize float64 `yaml:"cache_size,omitempty" json:"cache_size,omitempty"`

	// MostPixels is the size beyond which a user's own picture is left out, as one that cannot
	// be read; 0 means photo.DefaultMaxPixels, 50 million.
	MostPixels int64 `yaml:"max_pixels,omitempty" json:"max_pixels,omitempty"`
}

// Augmentation is a choice of random transforms.
type Augmentation struct{ Name, About string }

// Augmentations lists what Preparation.Augment may be. standard, trivial and rand are
// those of torchvision's reference training
// (https://github.com/pytorch/vision/blob/main/references/classification/presets.py),
// crop that of He et al. for CIFAR (https://arxiv.org/abs/1512.03385, section 4.2): 4 black
// pixels round 32, a part of 32 by 32, and flips. What is tested on is left as it is.
func Augmentations() []Augmentation {
	return []Augmentation{
		{"none", "every epoch sees the same images"},
		{"flip", "RandomHorizontalFlip"},
		{"crop", "RandomCrop with a padding of an eighth, and flip"},
		{"standard", "RandomResizedCrop and flip"},
		{"trivial", "standard and TrivialAugmentWide"},
		{"rand", "standard and RandAugment"},
	}
}

// checkImages reports the first setting that does not go with the others; photos says that
// the images are of the user's own.
func (p plan) checkImages(photos bool, resize int) error {
	c := p.Preparation
	if len(c.Mean) != len(c.Std) {
		return field.Errorf("{Mean} of %d and {Std} of %d channels: give both, a number for each channel", len(c.Mean), len(c.Std))
	}
	if s := settings.ForPhotos(p.Config); s != nil && !photos {
		return field.Errorf("%s is for images of your own, a folder or a list as {Data}; a data set with a name has its own", field.Name(s.Field))
	}
	if !photos {
		return nil
	}
	switch {
	case c.Channels != 1 && c.Channels != 3:
		return field.Errorf("{Channels} %d: images have 1 (grey) or 3 (red, green, blue)", c.Channels)
	case c.ResizeShorter < resize || c.ResizeShorter > prepare.MaxSide:
		return field.Errorf("{ResizeShorter} %d: the middle of %dx%d pixels ({Resize}) is cut out of it; give from %d to %d", c.ResizeShorter, resize, resize, resize, prepare.MaxSide)
	case len(c.Mean) != c.Channels:
		return field.Errorf("{Mean} and {Std} of %d channels for images of %d; give a number for each", len(c.Mean), c.Channels)
	}
	return nil
}

// steps are the settings that models keep of how images become their input.
func (c Preparation) steps() prepare.Steps {
	return prepare.Steps{ResizeShorter: c.ResizeShorter, Interpolation: c.Interpolation, Mean: c.Mean, Std: c.Std}
}

func (c Preparation) normalize() transforms.Normalize { return c.steps().Normalize() }

func (c Preparation) interpolation() transforms.Interpolation { return c.steps().Filter() }

// crops says whether a training cuts parts of pictures out by RandomResizedCrop.
func (c Preparation) crops() bool {
	return c.Augment == "standard" || c.Augment == "trivial" || c.Augment == "rand"
}

// transform makes the pictures of a training, size by size pixels, with a step of the
// program's own behind the others or nil; nil leaves them as the evaluation has them.
func (c Preparation) transform(photos bool, size int, own transforms.Transform) transforms.Transform {
	var steps transforms.Compose
	switch {
	case c.crops():
		scale := [2]float64{c.CropScale, 1}
		if c.CropScale == 0 {
			scale[0] = 0.08
		}
		steps = transforms.Compose{transforms.RandomResizedCrop{Size: size, Scale: scale, Interpolation: c.interpolation()}}
	default:
		steps = transforms.Compose{transforms.Resize{Height: size, Width: size}}
		if photos {
			steps = transforms.Compose{transforms.Resize{Size: c.ResizeShorter, Interpolation: c.interpolation()}, transforms.CenterCrop{Size: size}}
		}
	}
	switch c.Augment {
	case "none":
		if c.RandomErasing == 0 && own == nil {
			return nil
		}
	case "crop":
		steps = append(steps, transforms.RandomCrop{Size: size, Padding: max(size/8, 1)}, transforms.RandomHorizontalFlip{})
	case "trivial":
		steps = append(steps, transforms.RandomHorizontalFlip{}, transforms.TrivialAugmentWide{Sampling: transforms.SampleBilinear})
	case "rand":
		steps = append(steps, transforms.RandomHorizontalFlip{}, transforms.RandAugment{Sampling: transforms.SampleBilinear})
	default:
		steps = append(steps, transforms.RandomHorizontalFlip{})
	}
	if c.RandomErasing > 0 {
		steps = append(steps, transforms.RandomErasing{P: c.RandomErasing, Fill: c.meanBytes()})
	}
	if own != nil {
		steps = append(steps, own)
	}
	return steps
}

// meanBytes are the pixels that become 0.
func (c Preparation) meanBytes() (fill []uint8) {
	for _, v := range c.Mean {
		fill = append(fill, uint8(min(max(math.Round(v*255), 0), 255)))
	}
	return fill
}

// mix mixes the batches of a training; nil leaves them.
func (c Preparation) mix() transforms.BatchTransform {
	var of []transforms.BatchTransform
	if c.Mixup > 0 {
		of = append(of, transforms.Mixup{Alpha: c.Mixup})
	}
	if c.CutMix > 0 {
		of = append(of, transforms.CutMix{Alpha: c.CutMix})
	}
	switch len(of) {
	case 0:
		return nil
	case 1:
		return of[0]
	}
	return transforms.RandomChoice{Of: of}
}

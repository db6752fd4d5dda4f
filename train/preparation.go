package train

import "github.com/residual-ml/residual/train/recipe"

// Preparation says how images are prepared before the model sees them. Zero values are
// replaced by those that suit the data: a user's own images are augmented and normalised as
// in torchvision's reference training, those of CIFAR are cropped and flipped as in its
// paper, and others are only resized.
//
// The fields are settings, each with a flag and a key of its own in settings.yaml, so they
// are not a prepare.Input, which also has what only the data set knows: the size and the
// channels of its images. Config.input, and nothing else, makes that one value of them.
type Preparation struct {
	// Holdout is the share of each class to test on if a folder or a list of images does not
	// say which. The choice depends only on HoldoutSeed and the names of the images.
	Holdout     float64 `yaml:"holdout,omitempty" json:"holdout,omitempty"`
	HoldoutSeed uint64  `yaml:"holdout_seed,omitempty" json:"holdout_seed,omitempty"`
	Channels    int     `yaml:"channels,omitempty" json:"channels,omitempty"` // of a user's own images: 1 for grey, 3 for colour

	// ResizeShorter is the length in pixels to which the shorter side of a user's own images
	// is resized for evaluation, before the centre of Resize by Resize pixels is cropped.
	ResizeShorter int    `yaml:"resize_shorter,omitempty" json:"resize_shorter,omitempty"`
	Interpolation string `yaml:"interpolation,omitempty" json:"interpolation,omitempty"` // bilinear or bicubic

	// Mean and Std normalise the pixels, which are from 0 to 1, with a number per channel.
	Mean []float64 `yaml:"mean,omitempty,flow" json:"mean,omitempty"`
	Std  []float64 `yaml:"std,omitempty,flow" json:"std,omitempty"`

	// How training images are changed at random; see recipe.Augment.
	Augment       string  `yaml:"augment,omitempty" json:"augment,omitempty"`
	CropScale     float64 `yaml:"crop_scale,omitempty" json:"crop_scale,omitempty"`
	RandomErasing float64 `yaml:"random_erasing,omitempty" json:"random_erasing,omitempty"`
	Mixup         float64 `yaml:"mixup,omitempty" json:"mixup,omitempty"`
	CutMix        float64 `yaml:"cutmix,omitempty" json:"cutmix,omitempty"`

	// Cache says where a user's own images are stored after they were decoded and shrunk once:
	// CacheAuto, in the user's cache folder if they are large enough for that to help;
	// CacheOff, nowhere; or the path of a folder, always. CacheSize is the largest size of the
	// cache in GB; 0 means half of the free space of the disk. Neither changes a result.
	Cache     string  `yaml:"cache,omitempty" json:"cache,omitempty"`
	CacheSize float64 `yaml:"cache_size,omitempty" json:"cache_size,omitempty"`

	// MaxPixels is the largest size of a user's own image; a larger one is left out like one
	// that cannot be read. 0 means photo.DefaultMaxPixels, 50 million.
	MaxPixels int64 `yaml:"max_pixels,omitempty" json:"max_pixels,omitempty"`
}

// The values of Preparation.Cache beside the path of a folder.
const (
	CacheAuto = "auto"
	CacheOff  = "off"
)

// augment returns how training images are changed at random.
func (c Preparation) augment() recipe.Augment {
	return recipe.Augment{Name: c.Augment, CropScale: c.CropScale, RandomErasing: c.RandomErasing, Mixup: c.Mixup, CutMix: c.CutMix}
}

package folder

import (
	"context"
	"fmt"

	"github.com/residual-ml/residual/data/photo"
	"github.com/residual-ml/residual/data/transforms"
)

// Options says what is made of the images. The zero value is colour at 224 pixels,
// prepared as torchvision prepares them for evaluation.
type Options struct {
	Channels      int // 1 for grey, 3 for colour; 0 means 3
	Size          int // pixels of both sides; 0 means 224
	ResizeSize    int // of the shorter side before the middle is cut out; 0 means 256 for every 224 of Size
	Interpolation transforms.Interpolation

	// Shrink, when not 0, is what the shorter side of an image is resized to, if it is
	// longer, as soon as it is decoded: a photo of 12 megapixels takes 36 MB, one of 512
	// by 683 pixels one. It changes what the transforms of a training see.
	Shrink int

	Holdout  float64 // the share of each class to test on where no folder is; 0 means 0.2
	Seed     uint64  // of that choice
	Together bool    // near-duplicates stay on one side of it: Open reads every image to find them

	MaxImages int // images of a part, spread evenly over it and so over the classes; 0 means all

	CacheBytes int64       // memory for decoded images; 0 means 1 GiB for each part, below 0 none
	Cache      *ImageCache // of decoded images on the disk, opened with these options; nil for none
	MaxPixels  int64       // of an image; 0 means photo.MaxPixels, 50 million

	// Memory bounds what images take while they are decoded and made smaller, at once by
	// all that share it; nil means a budget of its own, photo.NewBudget(0).
	Memory *photo.Budget
	// Context, when it is not nil, ends the reading of images when it ends, also inside of
	// one: what asks for an image then gets its error. Check goes by its own.
	Context context.Context

	// Broken hears of an image that cannot be read, once. Its place is taken by the next
	// of its class that can. When Broken is nil, such an image ends the epoch.
	Broken func(name string, err error)
}

func (o Options) defaults() Options {
	set := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	set(&o.Channels, 3)
	set(&o.Size, 224)
	set(&o.ResizeSize, (o.Size*256+112)/224)
	if o.Holdout == 0 {
		o.Holdout = 0.2
	}
	if o.CacheBytes == 0 {
		o.CacheBytes = 1 << 30
	}
	if o.Memory == nil {
		o.Memory = photo.NewBudget(0)
	}
	return o
}

// photo is how a file is read.
func (o Options) photo() photo.Options {
	return photo.Options{Channels: o.Channels, MaxPixels: o.MaxPixels, Context: o.Context}
}

// ended is the error of the context, if it has ended.
func (o Options) ended() error {
	if o.Context == nil {
		return nil
	}
	return o.Context.Err()
}

func (o Options) check() error {
	switch {
	case o.Channels != 1 && o.Channels != 3:
		return fmt.Errorf("images of %d channels; use 1 for grey or 3 for colour", o.Channels)
	case o.Size < 1 || o.Size > 1<<14:
		return fmt.Errorf("images of %d pixels a side; use 1 to %d", o.Size, 1<<14)
	case o.ResizeSize < o.Size:
		return fmt.Errorf("images resized to %d pixels and cut to %d; the cut cannot be larger", o.ResizeSize, o.Size)
	case o.Shrink < 0:
		return fmt.Errorf("images shrunk to %d pixels; use 0 for none", o.Shrink)
	}
	return nil
}

// format returns the options on which the pixels of prepared images depend.
func (o Options) format() imageFormat {
	return imageFormat{
		channels: o.Channels, size: o.Size, resizeSize: o.ResizeSize, shrink: o.Shrink,
		interpolation: o.Interpolation, maxPixels: o.MaxPixels,
	}
}

package folder

import (
	"context"
	"fmt"

	"github.com/residual-ml/residual/data/photo"
	"github.com/residual-ml/residual/data/transforms"
)

// Options says how images are read and prepared. The zero value gives colour images of 224 by
// 224 pixels, prepared as torchvision prepares them for evaluation.
//
// Channels, Size, ResizeSize and Interpolation are the part of a prepare.Input that concerns
// the pixels of an image; a Set returns bytes, and the rest is done with them later. They are
// plain fields so that a program can give a Size alone. Package train sets them from the one
// prepare.Input of a training, in one place.
type Options struct {
	Channels      int // 1 for grey, 3 for colour; 0 means 3
	Size          int // height and width of prepared images in pixels; 0 means 224
	ResizeSize    int // pixels of the shorter side before the middle is cut out; 0 means Size*256/224
	Interpolation transforms.Interpolation

	// Shrink, when not 0, is the largest shorter side of a decoded image in pixels. A larger
	// image is resized to it immediately after decoding, which saves memory: a photo of 12
	// megapixels takes 36 MB, one of 512 by 683 pixels 1 MB. The transforms of a training then
	// get the smaller image.
	Shrink int

	Holdout  float64 // the fraction of each class that is held out for testing when the user has no test images; 0 means 0.2
	Seed     uint64  // the seed of that choice
	Together bool    // keep near-duplicates in one split; Open reads every image to find them

	MaxImages int // the most images of a split, spread evenly over the classes; 0 means all

	CacheBytes int64       // memory for decoded images in each split; 0 means 1 GiB, below 0 none
	Cache      *ImageCache // decoded images on disk, opened with these options; nil for none
	MaxPixels  int64       // the most pixels of an image; 0 means photo.MaxPixels, 50 million

	// Memory bounds the memory of images while they are decoded and resized, over all Sets
	// that share it; nil means photo.NewBudget(0) for each.
	Memory *photo.Budget
	// Context, when not nil, stops the reading of images when it ends, even in the middle of
	// one. Methods of Set then return its error. Check uses its own context instead.
	Context context.Context

	// Broken, when set, is called once for each image that cannot be read, and the next
	// readable image of its class takes its place. When it is nil, such an image is an error.
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

// photo returns the options for reading a file.
func (o Options) photo() photo.Options {
	return photo.Options{Channels: o.Channels, MaxPixels: o.MaxPixels, Context: o.Context}
}

// ended returns the error of the context if it has ended.
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
		return fmt.Errorf("images resized to %d pixels and cropped to %d; the crop cannot be larger", o.ResizeSize, o.Size)
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

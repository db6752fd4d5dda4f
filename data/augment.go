package data

import (
	"fmt"

	"github.com/residual-ml/residual/data/transforms"
)

// Images is a data set whose images have sizes of their own, larger than what Get
// makes of them: the transforms of a training work on these.
type Images interface {
	Dataset
	// Image returns image i in its own size, with Info().Channels channels, and its
	// label. The pixels must not be changed. It is safe for concurrent use and gives the
	// same image every time.
	Image(i int) (transforms.Image, int, error)
}

// ImageParts is Images that can be read in part, for less than the whole.
type ImageParts interface {
	Images
	// Part returns the part of image i that choose, told its height and width, wants:
	// with the pixels that Image has there. choose may be called more than once, for
	// this image or for another that takes its place.
	Part(i int, choose func(height, width int) transforms.Crop) (transforms.Image, int, error)
}

// ImageLender is Images that lends an image for as long as it is used in its own size, so that
// there is a bound to the memory of those that are used at once.
type ImageLender interface {
	Images
	// Lend calls use with what Image returns, unless there is an error, and returns the
	// label. use must not keep the pixels.
	Lend(i int, use func(m transforms.Image)) (label int, err error)
}

// croppable is a transform that begins with a crop whose position depends on the size alone.
type croppable struct {
	crop      transforms.RandomResizedCrop
	remaining transforms.Compose
}

func croppableOf(t transforms.Transform) *croppable {
	steps, ok := t.(transforms.Compose)
	if !ok {
		steps = transforms.Compose{t}
	}
	if len(steps) == 0 {
		return nil
	}
	if cut, ok := steps[0].(transforms.RandomResizedCrop); ok {
		return &croppable{cut, steps[1:]}
	}
	return nil
}

// croppedImage returns an image of which only the crop is decoded.
func (b *Batch) croppedImage(epoch, i int) (m transforms.Image, label int, err error) {
	c, from := b.loader.croppable, &b.loader.originals
	var drawn transforms.ResizedCrop
	var failed error
	m, label, err = from.parts.Part(from.index(i), func(height, width int) (part transforms.Crop) {
		defer func() { // the transform's panic is no fault of the image's
			if r := recover(); r != nil {
				part, failed = transforms.Crop{Height: height, Width: width}, fmt.Errorf("its transform failed: %v", r)
			}
		}()
		b.rand.Image(b.loader.c.Seed, epoch, i)
		drawn = c.crop.DrawFor(height, width, &b.rand)
		return drawn.Crop
	})
	if err == nil {
		err = failed
	}
	if err == nil {
		m, err = apply(append(transforms.Compose{drawn.Resize()}, c.remaining...), m, &b.rand)
	}
	return m, label, err
}

// image returns the bytes of image i, transformed if the loader says so. They are
// valid until the next call.
func (b *Batch) image(epoch, i int) (pix []uint8, label int, err error) {
	l := b.loader
	if l.c.Transform == nil {
		label, err = l.source.Get(i, b.pix)
		return b.pix, label, err
	}
	m, label, err := b.transformed(epoch, i)
	if err == nil && (m.Channels != l.info.Channels || m.Height != l.info.Height || m.Width != l.info.Width) {
		err = fmt.Errorf("the transforms made [%d, %d, %d] of it, where [%d, %d, %d] is wanted; end them with RandomResizedCrop, Resize or CenterCrop",
			m.Channels, m.Height, m.Width, l.info.Channels, l.info.Height, l.info.Width)
	}
	return m.Pix, label, err
}

func (b *Batch) transformed(epoch, i int) (m transforms.Image, label int, err error) {
	l := b.loader
	if l.targets.areMasks() {
		return b.transformedMask(epoch, i)
	}
	if l.originals.parts != nil && l.croppable != nil {
		return b.croppedImage(epoch, i)
	}
	var failed error
	label, err = l.originals.lend(i, func(in transforms.Image) {
		b.rand.Image(l.c.Seed, epoch, i)
		m, failed = apply(l.c.Transform, in, &b.rand)
	})
	if err == nil {
		err = failed
	}
	return m, label, err
}

// apply turns a transform's panic, as over an image smaller than its crop, into an
// error: it happens on a worker, to an image of the user's.
func apply(t transforms.Transform, m transforms.Image, lots *transforms.Rand) (out transforms.Image, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("its transform failed: %v", r)
		}
	}()
	return t.Apply(m, lots), nil
}

package data

import (
	"fmt"

	"github.com/residual-ml/residual/data/transforms"
	"github.com/residual-ml/residual/tensor"
)

// leadingCrop is a transform split into its first step, a crop whose position depends only
// on the image size and the random generator, and the remaining steps.
type leadingCrop struct {
	crop      transforms.RandomResizedCrop
	remaining transforms.Compose
}

func leadingCropOf(t transforms.Transform) *leadingCrop {
	steps, ok := t.(transforms.Compose)
	if !ok {
		steps = transforms.Compose{t}
	}
	if len(steps) == 0 {
		return nil
	}
	if crop, ok := steps[0].(transforms.RandomResizedCrop); ok {
		return &leadingCrop{crop, steps[1:]}
	}
	return nil
}

// croppedImage returns image i transformed. Only the part inside the leading crop is decoded.
func (b *Batch) croppedImage(epoch, i int) (m transforms.Image, label int, err error) {
	c, from := b.loader.leadingCrop, &b.loader.originals
	var drawn transforms.ResizedCrop
	var failed error
	m, label, err = from.parts.Part(from.index(i), func(height, width int) (part transforms.Crop) {
		defer func() { // a misuse of the transform is not an error of the image file
			if m := tensor.Recovered(recover()); m != nil {
				part, failed = transforms.Crop{Height: height, Width: width}, fmt.Errorf("its transform failed: %w", m)
			}
		}()
		b.rand.Image(b.loader.c.Seed, epoch, b.key)
		drawn = c.crop.DrawFor(height, width, &b.rand)
		return drawn.Crop
	})
	if err == nil {
		err = failed
	}
	if err == nil {
		m, err = apply(append(transforms.Compose{drawn.Resize()}, c.remaining...), m, &b.rand)
	}
	return m, from.labelled(i, label), err
}

// image returns the pixels of image i, transformed if the loader has a transform. They are
// valid until the next call.
func (b *Batch) image(epoch, i int) (pix []uint8, label int, err error) {
	l := b.loader
	if l.c.Transform == nil {
		label, err = l.source.Get(i, b.pix)
		return b.pix, label, err
	}
	m, label, err := b.transformed(epoch, i)
	if err == nil && (m.Channels != l.info.Channels || m.Height != l.info.Height || m.Width != l.info.Width) {
		err = fmt.Errorf("the transforms return [%d, %d, %d] where [%d, %d, %d] is required; end them with RandomResizedCrop, Resize or CenterCrop",
			m.Channels, m.Height, m.Width, l.info.Channels, l.info.Height, l.info.Width)
	}
	return m.Pix, label, err
}

func (b *Batch) transformed(epoch, i int) (m transforms.Image, label int, err error) {
	l := b.loader
	if l.targets.areMasks() {
		return b.transformedMask(epoch, i)
	}
	if l.originals.parts != nil && l.leadingCrop != nil {
		return b.croppedImage(epoch, i)
	}
	var failed error
	label, err = l.originals.lend(i, func(in transforms.Image) {
		b.rand.Image(l.c.Seed, epoch, b.key)
		m, failed = apply(l.c.Transform, in, &b.rand)
	})
	if err == nil {
		err = failed
	}
	return m, label, err
}

// apply calls t.Apply and returns a tensor.Misuse as an error. A transform panics with one, for
// example, when a user's image is smaller than its crop. Any other panic is a mistake in the
// transform, and passes.
func apply(t transforms.Transform, m transforms.Image, rnd *transforms.Rand) (out transforms.Image, err error) {
	defer func() {
		if m := tensor.Recovered(recover()); m != nil {
			err = fmt.Errorf("its transform failed: %w", m)
		}
	}()
	return t.Apply(m, rnd), nil
}

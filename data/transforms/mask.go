package transforms

import (
	"fmt"
	"math/rand/v2"
)

// MaskTransform is a user's own Transform that also transforms the mask of an image, which holds
// the class of every pixel.
type MaskTransform interface {
	Transform
	// ApplyMasked transforms an image and its mask, which have the same size. A transform that
	// moves pixels moves those of both in the same way; one that changes colours does not change
	// the mask.
	ApplyMasked(m, mask Image, r rand.Source) (image, masked Image)
}

// ApplyMasked applies t to an image and its mask with the same random numbers. Transforms that
// crop, pad, flip, rotate or resize do the same to the mask, but with the nearest pixel instead of
// an interpolation, and 0 outside the image. Transforms that change only colours do not change
// the mask. The mask has the size of the image and any number of channels. A user's own transform
// that is not a MaskTransform is an error.
func ApplyMasked(t Transform, m, mask Image, r rand.Source) (image, masked Image, err error) {
	m.check("ApplyMasked")
	if mask.check("ApplyMasked"); mask.Height != m.Height || mask.Width != m.Width {
		return m, mask, fmt.Errorf("a mask of %d by %d pixels for an image of %d by %d", mask.Height, mask.Width, m.Height, m.Width)
	}
	switch t := t.(type) {
	case Compose:
		for _, step := range t {
			if m, mask, err = ApplyMasked(step, m, mask, r); err != nil {
				return m, mask, err
			}
		}
		return m, mask, nil
	case MaskTransform:
		m, mask = t.ApplyMasked(m, mask, r)
		return m, mask, nil
	case Random:
		return ApplyMasked(t.Draw(m, r), m, mask, nil)
	}
	ofMask, err := forMask(t)
	if err != nil {
		return m, mask, err
	}
	return t.Apply(m, nil), ofMask.Apply(mask, nil), nil
}

// forMask returns the transform of a mask that belongs to a transform without random numbers.
func forMask(t Transform) (Transform, error) {
	switch t := t.(type) {
	case Crop, CenterCrop, HorizontalFlip, Orient:
		return t, nil
	case Pad:
		t.Fill = nil
		return t, nil
	case Resize:
		t.Interpolation = Nearest
		return t, nil
	case ResizedCrop:
		t.Interpolation = Nearest
		return t, nil
	case Rotate:
		t.Sampling, t.Fill = SampleNearest, nil
		return t, nil
	case Affine:
		t.Sampling, t.Fill = SampleNearest, nil
		return t, nil
	case AdjustBrightness, AdjustContrast, AdjustSaturation, AdjustHue, AdjustSharpness, Posterize, Solarize, Invert, Equalize, AutoContrast, Erase:
		return noChange, nil
	}
	return nil, fmt.Errorf("the transform %T does not say what it does to a mask; implement transforms.MaskTransform, or leave it out", t)
}

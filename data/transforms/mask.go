package transforms

import (
	"fmt"
	"math/rand/v2"
)

// MaskTransform is a Transform of a program's own that says what it does to the mask of an
// image: the class of every pixel, or whether it belongs to something.
type MaskTransform interface {
	Transform
	// ApplyMasked makes an image and its mask of others, which have the same size. What moves
	// pixels moves those of both alike, and what changes colours leaves the mask.
	ApplyMasked(m, mask Image, r rand.Source) (image, masked Image)
}

// ApplyMasked applies t to an image and its mask alike: what crops, pads, flips, turns or resizes
// the image does so to the mask, with the same random numbers, the nearest pixel in place of an
// interpolation, and 0 outside; what changes only colours leaves it. The mask has the size of
// the image and any number of channels. A transform of a program's own that is no MaskTransform
// is an error.
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

// forMask is what a transform without random numbers does to a mask.
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
	return nil, fmt.Errorf("the transform %T does not say what it does to a mask; give it a method ApplyMasked, as transforms.MaskTransform has it, or leave it out", t)
}

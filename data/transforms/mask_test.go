package transforms_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/residual-ml/residual/data/transforms"
)

// coordinates returns an image whose pixels encode their positions, and an equal mask.
func coordinates(h, w int) (m, mask transforms.Image) {
	m, mask = transforms.NewImage(3, h, w), transforms.NewImage(1, h, w)
	for i := range h * w {
		v := uint8(1 + i%255)
		mask.Pix[i] = v
		for c := range 3 {
			m.Pix[c*h*w+i] = v
		}
	}
	return m, mask
}

// Transforms move the pixels of a mask to the same positions as those of its image, with the same
// random numbers.
func TestMasksMoveWithImages(t *testing.T) {
	nearest := []transforms.Transform{
		transforms.RandomHorizontalFlip{}, transforms.RandomCrop{Size: 9, Padding: 3}, transforms.CenterCrop{Size: 7},
		transforms.RandomResizedCrop{Size: 8, Interpolation: transforms.Nearest}, transforms.RandomRotation{Degrees: 40, Expand: true},
		transforms.Resize{Height: 5, Width: 23, Interpolation: transforms.Nearest}, transforms.Affine{Angle: 12, Translate: [2]int{2, -1}},
		transforms.Pad{Left: 2, Top: 1, Mode: transforms.PadReflect}, transforms.Orient{Orientation: 6}, transforms.Crop{Top: -1, Left: 3, Height: 20, Width: 5},
		transforms.Compose{transforms.RandomResizedCrop{Size: 12, Interpolation: transforms.Nearest}, transforms.RandomHorizontalFlip{}, transforms.RandomRotation{Degrees: 90}},
	}
	moved := 0
	for _, transform := range nearest {
		for seed := range 8 {
			m, mask := coordinates(13, 17)
			var r, again transforms.Rand
			r.Image(uint64(seed), 0, seed)
			again.Image(uint64(seed), 0, seed)
			image, masked, err := transforms.ApplyMasked(transform, m, mask, &r)
			if err != nil {
				t.Fatal(err)
			}
			alone := transform.Apply(m, &again)
			if image.Height != masked.Height || image.Width != masked.Width || !slices.Equal(image.Pix, alone.Pix) {
				t.Fatalf("%T: an image of %dx%d and a mask of %dx%d", transform, image.Height, image.Width, masked.Height, masked.Width)
			}
			if !slices.Equal(image.Pix[:len(masked.Pix)], masked.Pix) {
				t.Errorf("%T, seed %d: the mask is elsewhere than the image", transform, seed)
			}
			if !slices.Equal(masked.Pix, mask.Pix) {
				moved++
			}
		}
	}
	if moved < 4*len(nearest) {
		t.Errorf("only %d transforms moved anything", moved)
	}
}

// Changes of colours do not change the mask, and classes are never interpolated.
func TestMasksKeepTheirClasses(t *testing.T) {
	m, _ := coordinates(16, 16)
	mask := transforms.NewImage(1, 16, 16)
	for i := range mask.Pix {
		mask.Pix[i] = uint8(i % 2 * 7)
	}
	for _, transform := range []transforms.Transform{
		transforms.ColorJitter{Brightness: 0.5, Hue: 0.2}, transforms.RandomErasing{P: 1, Fill: []uint8{9}}, transforms.Invert{}, transforms.AutoContrast{},
	} {
		var r transforms.Rand
		r.Image(1, 2, 3)
		image, masked, err := transforms.ApplyMasked(transform, m, mask, &r)
		if err != nil || !slices.Equal(masked.Pix, mask.Pix) || slices.Equal(image.Pix, m.Pix) {
			t.Errorf("%T: %v", transform, err)
		}
	}
	for i := range 40 {
		var r transforms.Rand
		r.Image(1, 2, i)
		policies := transforms.Compose{transforms.RandomResizedCrop{Size: 11}, transforms.TrivialAugmentWide{Sampling: transforms.SampleBilinear, Fill: []uint8{128}}, transforms.RandAugment{}}
		image, masked, err := transforms.ApplyMasked(policies, m, mask, &r)
		if err != nil || image.Height != 11 || masked.Width != 11 {
			t.Fatal(err)
		}
		for _, v := range masked.Pix {
			if v != 0 && v != 7 {
				t.Fatalf("a pixel of class %d", v)
			}
		}
	}
}

// plain is a user's own transform, and masked one that also implements MaskTransform.
type plain struct{}

func (plain) Apply(m transforms.Image, _ rand.Source) transforms.Image { return m }

type masked struct{ plain }

func (masked) ApplyMasked(m, mask transforms.Image, _ rand.Source) (transforms.Image, transforms.Image) {
	return transforms.Invert{}.Apply(m, nil), mask
}

func TestOwnTransformsOfMasks(t *testing.T) {
	m, mask := coordinates(4, 4)
	if _, _, err := transforms.ApplyMasked(transforms.Compose{plain{}}, m, mask, nil); err == nil || !strings.Contains(err.Error(), "transforms_test.plain does not say what it does to a mask") {
		t.Error(err)
	}
	if image, _, err := transforms.ApplyMasked(masked{}, m, mask, nil); err != nil || image.Pix[0] != 254 {
		t.Error(err)
	}
	if _, _, err := transforms.ApplyMasked(masked{}, m, transforms.NewImage(1, 3, 4), nil); err == nil || !strings.Contains(err.Error(), "a mask of 3 by 4 pixels for an image of 4 by 4") {
		t.Error(err)
	}
}

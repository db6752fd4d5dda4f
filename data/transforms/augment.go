package transforms

import (
	"cmp"
	"math"
	"math/rand/v2"

	"github.com/residual-ml/residual/internal/rng"
	"github.com/residual-ml/residual/tensor"
)

// These are the operations of RandAugment and TrivialAugmentWide, in torchvision's order.
const (
	opIdentity = iota
	opShearX
	opShearY
	opTranslateX
	opTranslateY
	opRotate
	opBrightness
	opColor
	opContrast
	opSharpness
	opPosterize
	opSolarize
	opAutoContrast
	opEqualize
	opCount // the number of operations
)

// space holds the largest magnitude of each operation.
type space struct {
	shear, translateX, translateY, rotate, enhance float64
	posterize                                      int // the most bits that are removed
}

// randSpace returns the magnitudes of RandAugment for images of height by width.
func randSpace(height, width int) space {
	return space{shear: 0.3, translateX: 150.0 / 331 * float64(width), translateY: 150.0 / 331 * float64(height), rotate: 30, enhance: 0.9, posterize: 4}
}

// trivialSpace holds the magnitudes of TrivialAugmentWide.
var trivialSpace = space{shear: 0.99, translateX: 32, translateY: 32, rotate: 135, enhance: 0.99, posterize: 6}

// magnitude returns the magnitude of an operation at the given bin of bins, as torchvision's
// _augmentation_space does. When signed is true, the negated magnitude is equally likely.
func (s space) magnitude(op, bin, bins int) (magnitude float64, signed bool) {
	end := 0.0
	switch op {
	case opShearX, opShearY:
		end = s.shear
	case opTranslateX:
		end = s.translateX
	case opTranslateY:
		end = s.translateY
	case opRotate:
		end = s.rotate
	case opBrightness, opColor, opContrast, opSharpness:
		end = s.enhance
	case opPosterize:
		perBit := float64(bins-1) / float64(s.posterize)
		return float64(8 - int(math.RoundToEven(float64(float32(bin)/float32(perBit))))), false
	case opSolarize:
		return linspace(255, 0, bin, bins), false
	default:
		return 0, false
	}
	return linspace(0, end, bin, bins), true
}

// linspace returns element i of torch.linspace(from, to, n) in float32, which computes the
// first half from the start and the second half from the end.
func linspace(from, to float64, i, n int) float64 {
	a, b := float32(from), float32(to)
	step := (b - a) / float32(n-1)
	if i < n/2 {
		return float64(a + float32(step*float32(i)))
	}
	return float64(b - float32(step*float32(n-i-1)))
}

// operation returns the transform of an operation, as torchvision's _apply_op applies it.
func operation(op int, magnitude float64, s Sampling, fill []uint8) Transform {
	shear := func() float64 { return math.Atan(magnitude) * (180 / math.Pi) }
	switch op {
	case opIdentity:
		return noChange
	case opShearX:
		return Affine{Shear: [2]float64{shear(), 0}, Center: []float64{0, 0}, Sampling: s, Fill: fill}
	case opShearY:
		return Affine{Shear: [2]float64{0, shear()}, Center: []float64{0, 0}, Sampling: s, Fill: fill}
	case opTranslateX:
		return Affine{Translate: [2]int{int(magnitude), 0}, Sampling: s, Fill: fill}
	case opTranslateY:
		return Affine{Translate: [2]int{0, int(magnitude)}, Sampling: s, Fill: fill}
	case opRotate:
		return Rotate{Angle: magnitude, Sampling: s, Fill: fill}
	case opBrightness:
		return AdjustBrightness{1 + magnitude}
	case opColor:
		return AdjustSaturation{1 + magnitude}
	case opContrast:
		return AdjustContrast{1 + magnitude}
	case opSharpness:
		return AdjustSharpness{1 + magnitude}
	case opPosterize:
		return Posterize{int(magnitude)}
	case opSolarize:
		return Solarize{magnitude}
	case opAutoContrast:
		return AutoContrast{}
	case opEqualize:
		return Equalize{}
	}
	panic(tensor.Misusef("transforms: augmentation %d of %d", op, opCount))
}

// draw chooses an operation at random; bin returns the bin of its magnitude.
func (s space) draw(bin func() int, bins int, sampling Sampling, fill []uint8, r rand.Source) Transform {
	op := rng.IntN(r, opCount)
	magnitude, signed := s.magnitude(op, bin(), bins)
	if signed && rng.IntN(r, 2) == 1 {
		magnitude = -magnitude
	}
	return operation(op, magnitude, sampling, fill)
}

// RandAugment applies NumOps operations chosen uniformly from fourteen, all with the same
// magnitude (Cubuk et al., https://arxiv.org/abs/1909.13719;
// https://pytorch.org/vision/stable/generated/torchvision.transforms.RandAugment.html).
type RandAugment struct {
	NumOps           int // 0 means 2
	Magnitude        int // a bin in 1..NumMagnitudeBins-1; 0 means 9
	NumMagnitudeBins int // 0 means 31
	Sampling         Sampling
	Fill             []uint8 // the colour outside the image; nil means black
}

// Apply implements Transform.
func (t RandAugment) Apply(m Image, r rand.Source) Image { return t.Draw(m, r).Apply(m, nil) }

// Draw implements Random.
func (t RandAugment) Draw(m Image, r rand.Source) Transform {
	m.check("RandAugment")
	bins, bin := cmp.Or(t.NumMagnitudeBins, 31), cmp.Or(t.Magnitude, 9)
	if bin < 0 || bin >= bins || bins < 2 || t.NumOps < 0 {
		panic(tensor.Misusef("transforms.RandAugment: magnitude %d of %d bins and %d operations: at least 2 bins, and the magnitude one of them", bin, bins, t.NumOps))
	}
	s := randSpace(m.Height, m.Width)
	var steps Compose
	for range cmp.Or(t.NumOps, 2) {
		steps = append(steps, s.draw(func() int { return bin }, bins, t.Sampling, t.Fill, r))
	}
	return steps
}

// TrivialAugmentWide applies one operation chosen uniformly from fourteen, with a magnitude
// chosen uniformly (Müller and Hutter, https://arxiv.org/abs/2103.10158;
// https://pytorch.org/vision/stable/generated/torchvision.transforms.TrivialAugmentWide.html).
type TrivialAugmentWide struct {
	NumMagnitudeBins int // 0 means 31
	Sampling         Sampling
	Fill             []uint8 // the colour outside the image; nil means black
}

// Apply implements Transform.
func (t TrivialAugmentWide) Apply(m Image, r rand.Source) Image { return t.Draw(m, r).Apply(m, nil) }

// Draw implements Random.
func (t TrivialAugmentWide) Draw(_ Image, r rand.Source) Transform {
	bins := cmp.Or(t.NumMagnitudeBins, 31)
	if bins < 2 {
		panic(tensor.Misusef("transforms.TrivialAugmentWide: %d bins; at least 2", bins))
	}
	return trivialSpace.draw(func() int { return rng.IntN(r, bins) }, bins, t.Sampling, t.Fill, r)
}

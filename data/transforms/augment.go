package transforms

import (
	"cmp"
	"math"
	"math/rand/v2"

	"github.com/residual-ml/residual/internal/rng"
	"github.com/residual-ml/residual/tensor"
)

// The operations of RandAugment and TrivialAugmentWide, in torchvision's order.
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
	ops // how many
)

// space is how far the operations go.
type space struct {
	shear, translateX, translateY, rotate, enhance float64
	posterize                                      int // bits taken away at most
}

// randSpace is RandAugment's, for images of height by width.
func randSpace(height, width int) space {
	return space{shear: 0.3, translateX: 150.0 / 331 * float64(width), translateY: 150.0 / 331 * float64(height), rotate: 30, enhance: 0.9, posterize: 4}
}

// trivialSpace is TrivialAugmentWide's.
var trivialSpace = space{shear: 0.99, translateX: 32, translateY: 32, rotate: 135, enhance: 0.99, posterize: 6}

// magnitude is what bin of bins an operation is done with, torchvision's
// _augmentation_space; signed says that its opposite is as likely.
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

// linspace is element i of torch.linspace(from, to, n) in float32: its first half
// counted from the start, the rest from the end.
func linspace(from, to float64, i, n int) float64 {
	a, b := float32(from), float32(to)
	step := (b - a) / float32(n-1)
	if i < n/2 {
		return float64(a + float32(step*float32(i)))
	}
	return float64(b - float32(step*float32(n-i-1)))
}

// operation is torchvision's _apply_op.
func operation(op int, magnitude float64, s Sampling, fill []uint8) Transform {
	shear := func() float64 { return math.Atan(magnitude) * (180 / math.Pi) }
	switch op {
	case opIdentity:
		return asIs
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
	panic(tensor.Misusef("transforms: augmentation %d of %d", op, ops))
}

// draw chooses an operation; bin says how strong it is.
func (s space) draw(bin func() int, bins int, sampling Sampling, fill []uint8, r rand.Source) Transform {
	op := rng.IntN(r, ops)
	magnitude, signed := s.magnitude(op, bin(), bins)
	if signed && rng.IntN(r, 2) == 1 {
		magnitude = -magnitude
	}
	return operation(op, magnitude, sampling, fill)
}

// RandAugment applies NumOps operations drawn evenly from fourteen, all of one
// strength (Cubuk et al., https://arxiv.org/abs/1909.13719;
// https://pytorch.org/vision/stable/generated/torchvision.transforms.RandAugment.html).
type RandAugment struct {
	NumOps           int // 0 means 2
	Magnitude        int // of NumMagnitudeBins, counted from 0; 0 means 9
	NumMagnitudeBins int // 0 means 31
	Sampling         Sampling
	Fill             []uint8 // the colour outside; none is black
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

// TrivialAugmentWide applies one operation drawn evenly from fourteen, of a strength
// drawn evenly (Müller and Hutter, https://arxiv.org/abs/2103.10158;
// https://pytorch.org/vision/stable/generated/torchvision.transforms.TrivialAugmentWide.html).
type TrivialAugmentWide struct {
	NumMagnitudeBins int // 0 means 31
	Sampling         Sampling
	Fill             []uint8 // the colour outside; none is black
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

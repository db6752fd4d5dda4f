package transforms

import (
	"cmp"
	"math"
	"math/rand/v2"

	"github.com/residual-ml/residual/internal/rng"
	"github.com/residual-ml/residual/tensor"
)

// noChange is the transform that Draw returns when the image stays as it is.
var noChange = Compose(nil)

// sidesOf returns the height and the width of a crop, which has either a size or both.
func sidesOf(op string, size, height, width int) (h, w int) {
	switch {
	case size > 0 && height == 0 && width == 0:
		return size, size
	case size == 0 && height > 0 && width > 0:
		return height, width
	}
	panic(tensor.Misusef("transforms.%s: size %d, height %d and width %d: give the first or the other two", op, size, height, width))
}

// RandomCrop cuts out Size by Size pixels, or Height by Width, at a position chosen uniformly
// (https://pytorch.org/vision/stable/generated/torchvision.transforms.RandomCrop.html).
// It panics when the padded image is smaller than the crop.
type RandomCrop struct {
	Size          int  // height and width in pixels
	Height, Width int  // used when Size is 0
	Padding       int  // pixels that are first added on every side
	PadIfNeeded   bool // also pad an image that is smaller than the crop
	Mode          PaddingMode
	Fill          []uint8 // the colour of the padding; nil means black
}

// Apply implements Transform.
func (t RandomCrop) Apply(m Image, r rand.Source) Image { return t.Draw(m, r).Apply(m, nil) }

// Draw implements Random.
func (t RandomCrop) Draw(m Image, r rand.Source) Transform {
	m.check("RandomCrop")
	h, w := sidesOf("RandomCrop", t.Size, t.Height, t.Width)
	var steps Compose
	height, width := m.Height, m.Width
	pad := func(x, y int) {
		if x > 0 || y > 0 {
			steps = append(steps, Pad{Left: x, Top: y, Right: x, Bottom: y, Mode: t.Mode, Fill: t.Fill})
			height, width = height+2*y, width+2*x
		}
	}
	pad(t.Padding, t.Padding)
	if t.PadIfNeeded {
		pad(w-width, 0)
		pad(0, h-height)
	}
	if height < h || width < w {
		panic(tensor.Misusef("transforms.RandomCrop: a crop of %d by %d from an image of %d by %d; make the crop smaller, resize first or set PadIfNeeded", h, w, height, width))
	}
	c := Crop{Height: h, Width: w}
	if height != h || width != w {
		c.Top, c.Left = rng.IntN(r, height-h+1), rng.IntN(r, width-w+1)
	}
	return append(steps, c)
}

// RandomResizedCrop crops a random part and resizes it to Size by Size pixels, or Height by
// Width. The fraction of the area is chosen uniformly, and so is the logarithm of the aspect
// ratio
// (https://pytorch.org/vision/stable/generated/torchvision.transforms.RandomResizedCrop.html).
type RandomResizedCrop struct {
	Size          int        // height and width in pixels
	Height, Width int        // used when Size is 0
	Scale         [2]float64 // the range of the fraction of the area; zeros mean 0.08 to 1
	Ratio         [2]float64 // the range of width/height; zeros mean 3/4 to 4/3
	Interpolation Interpolation
}

// Apply implements Transform.
func (t RandomResizedCrop) Apply(m Image, r rand.Source) Image { return t.Draw(m, r).Apply(m, nil) }

// Draw implements Random.
func (t RandomResizedCrop) Draw(m Image, r rand.Source) Transform {
	m.check("RandomResizedCrop")
	return t.DrawFor(m.Height, m.Width, r)
}

// DrawFor is Draw for an image of which only the size is known. A caller can so decode only
// the part inside the crop.
func (t RandomResizedCrop) DrawFor(height, width int, r rand.Source) ResizedCrop {
	h, w := sidesOf("RandomResizedCrop", t.Size, t.Height, t.Width)
	return ResizedCrop{t.drawCrop(height, width, r), h, w, t.Interpolation}
}

func (t RandomResizedCrop) drawCrop(height, width int, r rand.Source) Crop {
	scale, ratio := cmp.Or(t.Scale, [2]float64{0.08, 1}), cmp.Or(t.Ratio, [2]float64{3.0 / 4, 4.0 / 3})
	checkRanges("RandomResizedCrop", scale, ratio)
	for range 10 {
		h, w := rectangle(height, width, scale, ratio, r)
		if w > 0 && w <= width && h > 0 && h <= height {
			return Crop{rng.IntN(r, height-h+1), rng.IntN(r, width-w+1), h, w}
		}
	}
	// No crop fitted: take the largest one in the middle whose ratio is in range.
	c := Crop{Height: height, Width: width}
	switch ratioNow := float64(width) / float64(height); {
	case ratioNow < ratio[0]:
		c.Height = max(int(math.RoundToEven(float64(width)/ratio[0])), 1)
	case ratioNow > ratio[1]:
		c.Width = max(int(math.RoundToEven(float64(height)*ratio[1])), 1)
	}
	c.Top, c.Left = (height-c.Height)/2, (width-c.Width)/2
	return c
}

func checkRanges(op string, scale, ratio [2]float64) {
	if !(scale[0] >= 0 && scale[0] <= scale[1] && scale[1] <= 1 && ratio[0] > 0 && ratio[0] <= ratio[1] && !math.IsInf(ratio[1], 1)) {
		panic(tensor.Misusef("transforms.%s: scale %v and ratio %v: shares of the area from 0 to 1 and ratios above 0, each from low to high", op, scale, ratio))
	}
}

// rectangle chooses the area and the aspect ratio of a part of an image and returns its sides.
func rectangle(height, width int, scale, ratio [2]float64, r rand.Source) (h, w int) {
	area := float64(height*width) * rng.Between(r, scale[0], scale[1])
	aspect := math.Exp(rng.Between(r, math.Log(ratio[0]), math.Log(ratio[1])))
	return int(math.RoundToEven(math.Sqrt(area / aspect))), int(math.RoundToEven(math.Sqrt(area * aspect)))
}

// RandomHorizontalFlip mirrors left and right with probability P
// (https://pytorch.org/vision/stable/generated/torchvision.transforms.RandomHorizontalFlip.html).
type RandomHorizontalFlip struct {
	P float64 // 0 means 0.5
}

// Apply implements Transform.
func (t RandomHorizontalFlip) Apply(m Image, r rand.Source) Image { return t.Draw(m, r).Apply(m, nil) }

// Draw implements Random.
func (t RandomHorizontalFlip) Draw(_ Image, r rand.Source) Transform {
	if rng.Chance(r, cmp.Or(t.P, 0.5)) {
		return HorizontalFlip{}
	}
	return noChange
}

// AlternatingFlip mirrors left and right in every second epoch. Whether an image is mirrored in the
// first or in the second of two epochs is random, so that two successive epochs show each image once
// each way, where a random flip shows half of the images twice the same way (Jordan 2024,
// https://arxiv.org/abs/2404.00498, section 3.6).
//
// The random numbers must come from a Rand, which knows the epoch; with others the flip is random.
type AlternatingFlip struct{}

// Apply implements Transform.
func (t AlternatingFlip) Apply(m Image, r rand.Source) Image { return t.Draw(m, r).Apply(m, nil) }

// Draw implements Random.
func (t AlternatingFlip) Draw(m Image, r rand.Source) Transform {
	of, ok := r.(*Rand)
	if !ok {
		return RandomHorizontalFlip{}.Draw(m, r)
	}
	var first rng.Stream
	first.Seed(of.seed, 0, uint64(of.item), "mirrored")
	if (first.Uint64()&1 == 1) == (of.epoch%2 == 1) {
		return HorizontalFlip{}
	}
	return noChange
}

// RandomRotation rotates an image by an angle chosen uniformly from -Degrees to Degrees
// (https://pytorch.org/vision/stable/generated/torchvision.transforms.RandomRotation.html).
type RandomRotation struct {
	Degrees  float64
	Expand   bool      // enlarge the image so that all of the rotated one fits
	Center   []float64 // x and y in pixels; nil means the middle
	Sampling Sampling
	Fill     []uint8 // the colour outside the image; nil means black
}

// Apply implements Transform.
func (t RandomRotation) Apply(m Image, r rand.Source) Image { return t.Draw(m, r).Apply(m, nil) }

// Draw implements Random.
func (t RandomRotation) Draw(_ Image, r rand.Source) Transform {
	if !(t.Degrees >= 0) || math.IsInf(t.Degrees, 1) {
		panic(tensor.Misusef("transforms.RandomRotation: %v degrees; it must be a number of at least 0", t.Degrees))
	}
	return Rotate{rng.Between(r, -t.Degrees, t.Degrees), t.Expand, t.Center, t.Sampling, t.Fill}
}

// ColorJitter changes brightness, contrast, saturation and hue in random order. The factor
// of each of the first three is chosen uniformly from max(0, 1-v) to 1+v, where v is the
// field, and that of the hue from -Hue to Hue
// (https://pytorch.org/vision/stable/generated/torchvision.transforms.ColorJitter.html).
type ColorJitter struct {
	Brightness, Contrast, Saturation float64 // 0 means no change
	Hue                              float64 // 0 to 0.5 of a full circle
}

// Apply implements Transform.
func (t ColorJitter) Apply(m Image, r rand.Source) Image { return t.Draw(m, r).Apply(m, nil) }

// Draw implements Random.
func (t ColorJitter) Draw(_ Image, r rand.Source) Transform {
	if !(min(t.Brightness, t.Contrast, t.Saturation) >= 0 && t.Hue >= 0 && t.Hue <= 0.5) {
		panic(tensor.Misusef("transforms.ColorJitter: brightness %v, contrast %v, saturation %v and hue %v; at least 0 each, and the hue at most 0.5",
			t.Brightness, t.Contrast, t.Saturation, t.Hue))
	}
	order := [4]int{0, 1, 2, 3}
	for i := range order {
		j := rng.IntN(r, i+1)
		order[i], order[j] = order[j], order[i]
	}
	around1 := func(d float64) float64 { return rng.Between(r, max(1-d, 0), 1+d) }
	parts := [4]Transform{}
	if t.Brightness > 0 {
		parts[0] = AdjustBrightness{around1(t.Brightness)}
	}
	if t.Contrast > 0 {
		parts[1] = AdjustContrast{around1(t.Contrast)}
	}
	if t.Saturation > 0 {
		parts[2] = AdjustSaturation{around1(t.Saturation)}
	}
	if t.Hue > 0 {
		parts[3] = AdjustHue{rng.Between(r, -t.Hue, t.Hue)}
	}
	var steps Compose
	for _, i := range order {
		if parts[i] != nil {
			steps = append(steps, parts[i])
		}
	}
	return steps
}

// RandomErasing fills a part of an image with probability P (Zhong et al.,
// https://arxiv.org/abs/1708.04896;
// https://pytorch.org/vision/stable/generated/torchvision.transforms.RandomErasing.html).
// torchvision erases after Normalize, where its default of 0 is the mean of the data set; the
// bytes of that mean as Fill have the same effect.
type RandomErasing struct {
	P     float64    // 0 means 0.5
	Scale [2]float64 // the range of the fraction of the area; zeros mean 0.02 to 0.33
	Ratio [2]float64 // the range of height/width; zeros mean 0.3 to 3.3
	Fill  []uint8    // the colour: one byte per channel, or one for all; nil means black
	Noise bool       // fill with random bytes instead
}

// Apply implements Transform.
func (t RandomErasing) Apply(m Image, r rand.Source) Image { return t.Draw(m, r).Apply(m, nil) }

// Draw implements Random.
func (t RandomErasing) Draw(m Image, r rand.Source) Transform {
	m.check("RandomErasing")
	scale, ratio := cmp.Or(t.Scale, [2]float64{0.02, 0.33}), cmp.Or(t.Ratio, [2]float64{0.3, 3.3})
	checkRanges("RandomErasing", scale, ratio)
	if !rng.Chance(r, cmp.Or(t.P, 0.5)) {
		return noChange
	}
	for range 10 {
		w, h := rectangle(m.Height, m.Width, scale, ratio, r) // here the ratio is height/width
		if h >= m.Height || w >= m.Width {
			continue
		}
		e := Erase{Crop: Crop{rng.IntN(r, m.Height-h+1), rng.IntN(r, m.Width-w+1), h, w}, Fill: t.Fill}
		if t.Noise {
			e.Noise = r.Uint64() | 1
		}
		return e
	}
	return noChange
}

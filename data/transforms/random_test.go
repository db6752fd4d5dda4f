package transforms

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"sync"
	"testing"
)

// randomFor returns a random generator for tests.
func randomFor(index int) rand.Source {
	l := new(Rand)
	l.Image(7, 3, index)
	return l
}

// randomTransforms returns one of each random transform, with the settings of a training.
func randomTransforms() map[string]Random {
	return map[string]Random{
		"RandomCrop":           RandomCrop{Size: 40, Padding: 4},
		"RandomResizedCrop":    RandomResizedCrop{Size: 32},
		"RandomHorizontalFlip": RandomHorizontalFlip{},
		"RandomRotation":       RandomRotation{Degrees: 20, Sampling: SampleBilinear},
		"ColorJitter":          ColorJitter{Brightness: 0.4, Contrast: 0.4, Saturation: 0.4, Hue: 0.1},
		"RandomErasing":        RandomErasing{P: 0.9, Noise: true},
		"RandAugment":          RandAugment{},
		"TrivialAugmentWide":   TrivialAugmentWide{},
	}
}

// Apply gives the result of the transform that Draw returns for the same random numbers, and
// other random numbers mostly give another result.
func TestDrawMatchesApply(t *testing.T) {
	m := smallImage(6)
	for name, f := range randomTransforms() {
		seen := map[string]bool{}
		for i := range 40 {
			drawn := f.Draw(m, randomFor(i))
			a, b, c := drawn.Apply(m, nil), f.Apply(m, randomFor(i)), drawn.Apply(m, nil)
			if sizedDigest(a) != sizedDigest(b) || sizedDigest(a) != sizedDigest(c) {
				t.Errorf("%s %d: Apply %s, Draw %s and then %s", name, i, sizedDigest(b), sizedDigest(a), sizedDigest(c))
			}
			seen[sizedDigest(a)] = true
		}
		if minResults := map[string]int{"RandomHorizontalFlip": 2}[name]; len(seen) < max(minResults, 2) || minResults == 0 && len(seen) < 20 {
			t.Errorf("%s: %d results of 40 draws", name, len(seen))
		}
	}
}

// A prepared image depends only on (seed, epoch, index): not on the number of goroutines,
// nor on the images that they prepared before.
func TestImagesDoNotDependOnWorkers(t *testing.T) {
	const images = 24
	var augment Compose
	for _, name := range []string{"RandomResizedCrop", "RandomHorizontalFlip", "RandAugment", "ColorJitter", "RandomErasing"} {
		augment = append(augment, randomTransforms()[name])
	}
	prepare := func(seed uint64, epoch, workers int) []string {
		out := make([]string, images)
		var wg sync.WaitGroup
		for w := range workers {
			wg.Go(func() {
				var l Rand
				for i := images - 1 - w; i >= 0; i -= workers {
					l.Image(seed, epoch, i)
					out[i] = sizedDigest(augment.Apply(smallImage(i%6), &l))
				}
			})
		}
		wg.Wait()
		return out
	}
	one := prepare(1, 2, 1)
	for _, workers := range []int{2, 3, 5} {
		if got := prepare(1, 2, workers); !reflect.DeepEqual(got, one) {
			t.Errorf("%d workers prepared other images", workers)
		}
	}
	for name, other := range map[string][]string{"seed": prepare(2, 2, 2), "epoch": prepare(1, 3, 2)} {
		for i := range one {
			if one[i] == other[i] {
				t.Errorf("another %s left image %d as it was", name, i)
			}
		}
	}
	var p, b Rand
	p.Image(1, 2, 3)
	b.Batch(1, 2, 3)
	if p.Uint64() == b.Uint64() {
		t.Error("an image and a batch share their random numbers")
	}
	// ChaCha8 is specified (C2SP), so a training can be repeated on every machine.
	p.Image(1, 2, 3)
	if got, want := p.Uint64(), uint64(0x9c83379961e388c1); got != want {
		t.Errorf("the first random number of (1, 2, 3) is %#x, want %#x", got, want)
	}
}

// Each random parameter is within the range of the settings, comes close to both ends of it,
// and has the mean of a uniform distribution.
func TestDrawsAreEven(t *testing.T) {
	m := NewImage(3, 100, 160)
	const n = 4000
	for name, c := range map[string]struct {
		t        Random
		read     func(Transform) float64
		lo, hi   float64
		accuracy float64
	}{
		"crop top":   {RandomCrop{Size: 60}, func(d Transform) float64 { return float64(d.(Compose)[0].(Crop).Top) }, 0, 40, 0.7},
		"crop left":  {RandomCrop{Size: 60}, func(d Transform) float64 { return float64(d.(Compose)[0].(Crop).Left) }, 0, 100, 1.7},
		"rotation":   {RandomRotation{Degrees: 30}, func(d Transform) float64 { return d.(Rotate).Angle }, -30, 30, 1.1},
		"brightness": {ColorJitter{Brightness: 0.4}, func(d Transform) float64 { return d.(Compose)[0].(AdjustBrightness).Factor }, 0.6, 1.4, 0.02},
		"contrast":   {ColorJitter{Contrast: 2}, func(d Transform) float64 { return d.(Compose)[0].(AdjustContrast).Factor }, 0, 3, 0.05},
		"hue":        {ColorJitter{Hue: 0.2}, func(d Transform) float64 { return d.(Compose)[0].(AdjustHue).Factor }, -0.2, 0.2, 0.01},
		// Only squares that fit are used, which are all up to the height.
		"area": {RandomResizedCrop{Size: 9, Scale: [2]float64{0.1, 0.5}, Ratio: [2]float64{1, 1}}, func(d Transform) float64 {
			c := d.(ResizedCrop)
			return float64(c.Height*c.Width) / 16000
		}, 0.1, 0.5, 0.01},
		"erased": {RandomErasing{P: 1, Scale: [2]float64{0.1, 0.3}, Ratio: [2]float64{1, 1}}, func(d Transform) float64 {
			c := d.(Erase)
			return float64(c.Height*c.Width) / 16000
		}, 0.1, 0.3, 0.005},
		"log ratio": {RandomResizedCrop{Size: 9, Scale: [2]float64{0.3, 0.3}}, func(d Transform) float64 {
			c := d.(ResizedCrop)
			return math.Log(float64(c.Width) / float64(c.Height))
		}, math.Log(0.75), math.Log(4.0 / 3), 0.02},
	} {
		least, greatest, sum := math.Inf(1), math.Inf(-1), 0.0
		for i := range n {
			v := c.read(c.t.Draw(m, randomFor(i)))
			least, greatest, sum = min(least, v), max(greatest, v), sum+v
		}
		slack := (c.hi - c.lo) * 0.03
		if least < c.lo-slack || least > c.lo+slack || greatest < c.hi-slack || greatest > c.hi+slack || math.Abs(sum/n-(c.lo+c.hi)/2) > c.accuracy {
			t.Errorf("%s: from %v to %v, mean %v; settings %v to %v", name, least, greatest, sum/n, c.lo, c.hi)
		}
	}
	counts := map[string]int{}
	orders := map[string]int{}
	for i := range n {
		counts[fmt.Sprintf("%T", RandomHorizontalFlip{P: 0.3}.Draw(m, randomFor(i)))]++
		op := RandAugment{NumOps: 1}.Draw(m, randomFor(i)).(Compose)[0]
		counts[fmt.Sprintf("op %T", op)]++
		order := ""
		for _, f := range (ColorJitter{1, 1, 1, 0.5}).Draw(m, randomFor(i)).(Compose) {
			order += fmt.Sprintf("%T ", f)
		}
		orders[order]++
	}
	if f := float64(counts["transforms.HorizontalFlip"]) / n; math.Abs(f-0.3) > 0.03 {
		t.Errorf("flipped %v, want 0.3", f)
	}
	// Shears and translations are Affine, four of fourteen; identity is an empty Compose.
	for name, share := range map[string]float64{"op transforms.Affine": 4, "op transforms.Compose": 1, "op transforms.Rotate": 1, "op transforms.Equalize": 1, "op transforms.Solarize": 1} {
		if f := float64(counts[name]) / n; math.Abs(f-share/opCount) > 0.03 {
			t.Errorf("%s: %v, want %v", name, f, share/opCount)
		}
	}
	if len(orders) != 24 {
		t.Errorf("%d orders of ColorJitter, want 24", len(orders))
	}
}

// When no crop fits, torchvision takes the largest one in the middle whose ratio is in range.
func TestResizedCropFallback(t *testing.T) {
	for _, c := range []struct {
		height, width int
		ratio         [2]float64
		want          Crop
	}{
		{100, 10, [2]float64{3.0 / 4, 4.0 / 3}, Crop{43, 0, 13, 10}}, // round(10 / 0.75)
		{10, 100, [2]float64{3.0 / 4, 4.0 / 3}, Crop{0, 43, 10, 13}},
		{10, 12, [2]float64{3.0 / 4, 4.0 / 3}, Crop{0, 0, 10, 12}},
	} {
		// A crop with all of the area and another ratio never fits.
		if got := (RandomResizedCrop{Size: 1, Scale: [2]float64{1, 1}, Ratio: c.ratio}).drawCrop(c.height, c.width, stuck(0)); got != c.want {
			t.Errorf("%d by %d: %v, want %v", c.height, c.width, got, c.want)
		}
	}
}

// stuck is a random generator that always returns the same number.
type stuck uint64

func (s stuck) Uint64() uint64 { return uint64(s) }

func TestErase(t *testing.T) {
	m := smallImage(6)
	e := Erase{Crop: Crop{10, 20, 7, 9}, Fill: []uint8{1, 2, 3}}
	got := e.Apply(m, nil)
	for c := range 3 {
		for y := range m.Height {
			for x := range m.Width {
				i := y*m.Width + x
				want := m.plane(c)[i]
				if y >= 10 && y < 17 && x >= 20 && x < 29 {
					want = uint8(c + 1)
				}
				if got.plane(c)[i] != want {
					t.Fatalf("channel %d (%d, %d): %d, want %d", c, y, x, got.plane(c)[i], want)
				}
			}
		}
	}
	e.Noise = 5
	a, b := e.Apply(m, nil), e.Apply(m, nil)
	e.Noise = 6
	if c := e.Apply(m, nil); !bytes.Equal(a.Pix, b.Pix) || bytes.Equal(a.Pix, c.Pix) || bytes.Equal(a.Pix, got.Pix) {
		t.Error("the noise does not depend on its seed, and only on it")
	}
}

func TestRandomPanics(t *testing.T) {
	m := smallImage(6)
	for name, f := range map[string]Transform{
		"no size":           RandomCrop{},
		"a larger crop":     RandomCrop{Size: 70},
		"scale backwards":   RandomResizedCrop{Size: 1, Scale: [2]float64{1, 0.5}},
		"ratio of 0":        RandomErasing{Ratio: [2]float64{0, 1}},
		"negative degrees":  RandomRotation{Degrees: -1},
		"hue beyond half":   ColorJitter{Hue: 0.6},
		"negative contrast": ColorJitter{Contrast: -1},
		"bin beyond bins":   RandAugment{Magnitude: 31},
		"one bin":           TrivialAugmentWide{NumMagnitudeBins: 1},
		"negative factor":   AdjustBrightness{-1},
		"hue factor":        AdjustHue{0.7},
		"nine bits":         Posterize{9},
		"negative border":   Pad{Left: -1},
		"a colour of two":   Rotate{Angle: 1, Fill: []uint8{1, 2}},
		"scale of -1":       Affine{Scale: -1},
		"center of three":   Affine{Center: []float64{1, 2, 3}},
		"unknown sampling":  Rotate{Angle: 1, Sampling: 9},
		"unknown padding":   Pad{Left: 1, Mode: 9},
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			f.Apply(m, randomFor(1))
		}()
	}
	if got := (RandomCrop{Size: 70, PadIfNeeded: true}).Apply(m, randomFor(1)); got.Height != 70 || got.Width != 70 {
		t.Errorf("PadIfNeeded gave %d by %d", got.Height, got.Width)
	}
}

func BenchmarkAugment(b *testing.B) {
	m := testImageOf(3, 3, 224, 224)
	for name, f := range randomTransforms() {
		b.Run(name, func(b *testing.B) {
			i := 0
			for b.Loop() {
				f.Apply(m, randomFor(i))
				i++
			}
		})
	}
}

// Two successive epochs show each image once each way, and about half of the images are mirrored in
// the first.
func TestAlternatingFlip(t *testing.T) {
	m := Image{1, 1, 2, []uint8{1, 2}}
	var r Rand
	mirrored := func(seed uint64, epoch, index int) bool {
		r.Image(seed, epoch, index)
		r.Uint64() // whatever came before takes numbers
		return AlternatingFlip{}.Apply(m, &r).Pix[0] == 2
	}
	const images = 1000
	first := 0
	for i := range images {
		for epoch := 1; epoch < 5; epoch++ {
			if mirrored(3, epoch, i) == mirrored(3, epoch+1, i) {
				t.Fatalf("image %d is the same way in epochs %d and %d", i, epoch, epoch+1)
			}
		}
		if mirrored(3, 1, i) {
			first++
		}
	}
	if first < 420 || first > 580 {
		t.Errorf("%d of %d images are mirrored in the first epoch", first, images)
	}
	if other := slices.ContainsFunc([]int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, func(i int) bool { return mirrored(3, 1, i) != mirrored(4, 1, i) }); !other {
		t.Error("another seed mirrors the same images")
	}
}

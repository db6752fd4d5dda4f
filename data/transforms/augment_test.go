package transforms

import (
	"encoding/json"
	"fmt"
	"hash/crc32"
	"maps"
	"math"
	"os"
	"strings"
	"testing"
)

// augmented is the content of augment.json, which testdata/torchvision_augment.py writes.
type augmented struct {
	Cases  map[string]string
	Spaces map[string][]struct {
		Op         string
		Signed     bool
		Magnitudes []float64
	}
}

func augmentFixture(t *testing.T) (f augmented) {
	t.Helper()
	text, err := os.ReadFile("testdata/augment.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &f); err != nil {
		t.Fatal(err)
	}
	if len(f.Cases) < 200 || len(f.Spaces) != 2 {
		t.Fatalf("%d cases and %d spaces in testdata/augment.json", len(f.Cases), len(f.Spaces))
	}
	return f
}

// smallImage repeats the images of 60 by 75 and 48 by 48 pixels of the script.
func smallImage(seed int) Image {
	h, w, channels := 60, 75, 3
	if seed%6 == 5 {
		h, w = 48, 48
	}
	if seed/4%3 == 0 {
		channels = 1
	}
	return testImageOf(seed, channels, h, w)
}

func sizedDigest(m Image) string { return fmt.Sprintf("%dx%d:%s", m.Height, m.Width, digest(m.Pix)) }

// fixedCases returns the cases of the script under the same names.
func fixedCases() map[string]Transform {
	cases := map[string]Transform{
		"invert": Invert{}, "equalize": Equalize{}, "autocontrast": AutoContrast{}, "flip": HorizontalFlip{},
		"autocontrast of posterized": Compose{AdjustContrast{0.3}, AutoContrast{}},
		"equalize of posterized":     Compose{Posterize{3}, Equalize{}},
		"crop":                       Crop{7, 11, 30, 20},
		"crop beyond":                Crop{-5, 40, 80, 60},
		"resized crop":               ResizedCrop{Crop{7, 11, 30, 20}, 32, 24, Bilinear},
		"resized crop bicubic":       ResizedCrop{Crop{3, 1, 41, 40}, 17, 64, Bicubic},
	}
	for _, v := range []float64{0, 0.25, 0.8, 1, 1.3, 1.9, 5} {
		cases[fmt.Sprint("brightness ", v)] = AdjustBrightness{v}
		cases[fmt.Sprint("contrast ", v)] = AdjustContrast{v}
		cases[fmt.Sprint("saturation ", v)] = AdjustSaturation{v}
		cases[fmt.Sprint("sharpness ", v)] = AdjustSharpness{v}
	}
	for _, v := range []float64{-0.5, -0.1, 0, 0.003, 0.25, 0.5} {
		cases[fmt.Sprint("hue ", v)] = AdjustHue{v}
	}
	for bits := range 9 {
		cases[fmt.Sprint("posterize ", bits)] = Posterize{bits}
	}
	for _, v := range []float64{0, 17.5, 128, 256} {
		cases[fmt.Sprint("solarize ", v)] = Solarize{v}
	}
	for i, mode := range []string{"constant", "edge", "reflect", "symmetric"} {
		cases["pad "+mode] = Pad{3, 5, 100, 7, PaddingMode(i), []uint8{9}}
	}
	for i, name := range []string{"nearest", "bilinear", "bicubic"} {
		s := Sampling(i)
		for _, angle := range []float64{0, 0.5, -30, 45, 90, 135, 180, -90, 271.3} {
			cases[fmt.Sprintf("rotate %g %s", angle, name)] = Rotate{Angle: angle, Sampling: s, Fill: []uint8{7}}
			cases[fmt.Sprintf("rotate %g %s expand", angle, name)] = Rotate{Angle: angle, Sampling: s, Expand: true}
		}
		cases[fmt.Sprintf("rotate 33 %s center", name)] = Rotate{Angle: 33, Sampling: s, Center: []float64{3, 50}}
		cases["affine "+name] = Affine{Angle: 17.5, Translate: [2]int{5, -3}, Scale: 1.2, Shear: [2]float64{10, -4}, Sampling: s, Fill: []uint8{200}}
		cases["affine scale "+name] = Affine{Scale: 0.7, Sampling: s}
	}
	return cases
}

// Every transform with fixed parameters gives the same bytes as torchvision.
func TestFixedTransformsMatchTorchvision(t *testing.T) {
	want := augmentFixture(t).Cases
	maps.DeleteFunc(want, func(name, _ string) bool {
		return strings.HasPrefix(name, "rand ") || strings.HasPrefix(name, "trivial ")
	})
	cases := fixedCases()
	if len(cases) != len(want) {
		t.Errorf("%d cases, torchvision has %d", len(cases), len(want))
	}
	for name, f := range cases {
		rows := strings.Fields(want[name])
		if len(rows) != 12 {
			t.Errorf("%s: %d lines of torchvision", name, len(rows))
			continue
		}
		for seed, row := range rows {
			m := smallImage(seed)
			before := digest(m.Pix)
			if got := sizedDigest(f.Apply(m, nil)); got != row {
				t.Errorf("%s of image %d: %s, torchvision has %s", name, seed, got, row)
			}
			if digest(m.Pix) != before {
				t.Errorf("%s changed image %d", name, seed)
			}
		}
	}
}

// Every operation of both policies, at every magnitude and with both signs, gives the same
// bytes as torchvision.
func TestPoliciesMatchTorchvision(t *testing.T) {
	f := augmentFixture(t)
	for name, s := range map[string]space{"rand": randSpace(60, 75), "trivial": trivialSpace} {
		if len(f.Spaces[name]) != opCount {
			t.Fatalf("%s: %d operations, torchvision has %d", name, opCount, len(f.Spaces[name]))
		}
		for op, want := range f.Spaces[name] {
			for bin, v := range want.Magnitudes {
				got, signed := s.magnitude(op, bin, 31)
				// In torch the last bit depends on the width of the vectors of the processor.
				if signed != want.Signed || math.Abs(got-v) > 2e-7*math.Abs(v) || int(got) != int(v) {
					t.Errorf("%s %s, bin %d: %v %v, torchvision has %v %v", name, want.Op, bin, got, signed, v, want.Signed)
				}
			}
			for i, sampling := range []string{"nearest", "bilinear"} {
				for _, sign := range []float64{1, -1} {
					key := fmt.Sprintf("%s %s %s %+g", name, want.Op, sampling, sign)
					row, ok := f.Cases[key]
					if ok != (want.Signed || sign > 0) {
						t.Errorf("%s: in the fixture %v", key, ok)
					}
					if !ok {
						continue
					}
					sum := uint32(0)
					for _, v := range want.Magnitudes {
						for _, seed := range []int{6, 5, 9} {
							m := operation(op, sign*v, Sampling(i), nil).Apply(smallImage(seed), nil)
							sum = crc32.Update(sum, crc32.IEEETable, []byte(sizedDigest(m)))
						}
					}
					if got := fmt.Sprintf("%08x", sum); got != row {
						t.Errorf("%s: %s, torchvision has %s", key, got, row)
					}
				}
			}
		}
	}
}

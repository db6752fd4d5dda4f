package transforms

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/residual-ml/residual/tensor"
)

// torchvision is the content of torchvision.json, which testdata/torchvision_eval.py writes.
type torchvision struct {
	Images, Tensors, Presets []string // digests, one line for each image
	Sides                    [][5]int // height, width, size, and the resulting sides
	Crops                    [][]int  // height, size, and the resulting rows, counted from 1
}

func fixture(t *testing.T) (f torchvision) {
	t.Helper()
	text, err := os.ReadFile("testdata/torchvision.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &f); err != nil {
		t.Fatal(err)
	}
	if len(f.Images) != 200 || len(f.Tensors) != 24 || len(f.Presets) != 24 {
		t.Fatalf("%d, %d and %d lines in testdata/torchvision.json", len(f.Images), len(f.Tensors), len(f.Presets))
	}
	return f
}

// sizes are the sizes of Resize and of CenterCrop in the script.
var sizes = [][2]int{{256, 224}, {232, 224}, {96, 96}, {40, 33}, {64, 91}, {33, 300}}

func mixed(x uint32) uint32 {
	x = (x ^ x>>15) * 2246822519
	x = (x ^ x>>13) * 3266489917
	return x ^ x>>16
}

// testImage repeats the formula of the script.
func testImage(seed int) Image {
	w, h := 12+int(mixed(uint32(seed*64+1))%400), 12+int(mixed(uint32(seed*64+2))%400)
	channels := 3
	if seed/4%3 == 0 {
		channels = 1
	}
	return testImageOf(seed, channels, h, w)
}

func testImageOf(seed, channels, h, w int) Image {
	m := NewImage(channels, h, w)
	for i := range m.Pix {
		c, y, x := i/(w*h), i/w%h, i%w
		noise := mixed(uint32(i+seed*7919+1)) >> 24
		gradient := uint32(x*(seed%7+1)+y*(seed%5+1)+c*85+seed) & 255
		m.Pix[i] = uint8([]uint32{noise, gradient, noise >> 7 * 255, (gradient*3 + noise) >> 2}[seed%4])
	}
	return m
}

func digest(parts ...[]uint8) string {
	sum := uint32(0)
	for _, p := range parts {
		sum = crc32.Update(sum, crc32.IEEETable, p)
	}
	return fmt.Sprintf("%08x", sum)
}

func floats(t *tensor.Tensor) []byte {
	b := make([]byte, 0, 4*t.Numel())
	for _, v := range t.Data() {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	return b
}

// 200 images, at six sizes and with two filters, have the same bytes as in torchvision.
func TestPixelsMatchTorchvision(t *testing.T) {
	rows := fixture(t).Images
	if os.Getenv("RESIDUAL_LONG") == "" {
		rows = rows[:16]
		t.Log("16 of 200 images; RESIDUAL_LONG=1 compares all")
	}
	for seed, row := range rows {
		m := testImage(seed)
		got := []string{digest(m.Pix)}
		for _, f := range []Interpolation{Bilinear, Bicubic} {
			for _, s := range sizes {
				resized := Resize{Size: s[0], Interpolation: f}.Apply(m, nil)
				cropped := CenterCrop{Size: s[1]}.Apply(resized, nil)
				got = append(got, digest(resized.Pix, cropped.Pix))
				both := Compose{Resize{Size: s[0], Interpolation: f}, CenterCrop{Size: s[1]}}.Apply(m, nil)
				preset := ImageClassification{ResizeSize: s[0], CropSize: s[1], Interpolation: f}.Pixels(m)
				for _, other := range []Image{both, preset} {
					if other.Channels != m.Channels || other.Height != s[1] || other.Width != s[1] || !bytes.Equal(other.Pix, cropped.Pix) {
						t.Errorf("image %d, %v to %v: Compose or ImageClassification differs from its parts", seed, f, s)
					}
				}
			}
		}
		if all := strings.Join(got, " "); all != row {
			t.Errorf("image %d, [%d, %d, %d]:\n%s, torchvision has\n%s", seed, m.Channels, m.Height, m.Width, all, row)
		}
		if digest(m.Pix) != got[0] {
			t.Errorf("image %d was changed", seed)
		}
	}
}

// ToTensor, Normalize and the preset give the same bits as in torchvision.
func TestTensorsMatchTorchvision(t *testing.T) {
	f := fixture(t)
	for seed, row := range f.Tensors {
		m := testImage(seed)
		n := ImageNet()
		if m.Channels == 1 {
			n = Normalize{[]float64{0.5}, []float64{0.25}}
		}
		if got := digest(floats(Normalize{}.Apply(m))) + " " + digest(floats(n.Apply(m))); got != row {
			t.Errorf("image %d: tensors %s, torchvision has %s", seed, got, row)
		}
		var got []string
		for _, p := range []ImageClassification{
			{Mean: n.Mean, Std: n.Std},
			{Mean: n.Mean, Std: n.Std, ResizeSize: 232, Interpolation: Bicubic},
			{Mean: n.Mean, Std: n.Std, ResizeSize: 96, CropSize: 96},
			{Mean: n.Mean, Std: n.Std, ResizeSize: 60, CropSize: 80, Interpolation: Bicubic},
		} {
			got = append(got, digest(floats(p.Apply(m))))
			if p.Mean = nil; m.Channels == 3 {
				p.Std = nil
				if again := digest(floats(p.Apply(m))); again != got[len(got)-1] {
					t.Errorf("image %d: without a mean the preset is not ImageNet's", seed)
				}
			}
		}
		if all := strings.Join(got, " "); all != f.Presets[seed] {
			t.Errorf("image %d: presets %s, torchvision has %s", seed, all, f.Presets[seed])
		}
	}
}

func TestRoundingMatchesTorchvision(t *testing.T) {
	f := fixture(t)
	for _, s := range f.Sides {
		if h, w := (Resize{Size: s[2]}).Sides(s[0], s[1]); h != s[3] || w != s[4] {
			t.Errorf("%d by %d to %d is %d by %d, torchvision has %d by %d", s[0], s[1], s[2], h, w, s[3], s[4])
		}
	}
	for _, c := range f.Crops {
		m := NewImage(1, c[0], 1)
		for i := range m.Pix {
			m.Pix[i] = uint8(i + 1)
		}
		down := CenterCrop{Height: c[1], Width: 1}.Apply(m, nil)
		across := CenterCrop{Height: 1, Width: c[1]}.Apply(Image{1, 1, c[0], m.Pix}, nil)
		for i, want := range c[2:] {
			if int(down.Pix[i]) != want || int(across.Pix[i]) != want {
				t.Errorf("%d of %d: %v down and %v across, torchvision has %v", c[1], c[0], down.Pix, across.Pix, c[2:])
				break
			}
		}
	}
}

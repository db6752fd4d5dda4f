package prepare_test

import (
	"image"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/residual-ml/residual/data/transforms"
	"github.com/residual-ml/residual/prepare"
)

var (
	mean = []float64{0.485, 0.456, 0.406}
	std  = []float64{0.229, 0.224, 0.225}
)

func preset() prepare.Input {
	return prepare.Input{Channels: 3, Height: 24, Width: 24, Preprocess: prepare.Steps{ResizeShorter: 27, Mean: mean, Std: std}}
}

func gradient(height, width int) transforms.Image {
	m := transforms.NewImage(3, height, width)
	for i := range m.Pix {
		m.Pix[i] = uint8(i*i>>3 + i)
	}
	return m
}

// With ResizeShorter, an image has the same bits as with torchvision's preset.
func TestPresetMatchesTorchvision(t *testing.T) {
	in, m := prepare.Resolved(preset()), gradient(40, 61)
	want := transforms.ImageClassification{ResizeSize: 27, CropSize: 24, Mean: mean, Std: std}.Apply(m).Data()
	got := make([]float32, len(want))
	in.Write(got, in.Pixels(m))
	if !slices.Equal(got, want) {
		t.Error("Pixels and Write do not give the numbers of ImageClassification")
	}
	unit := make([]float32, len(want))
	transforms.Normalize{}.Write(unit, in.Pixels(m))
	if in.FromUnit(unit, 24*24); !slices.Equal(unit, want) {
		t.Error("FromUnit does not give the numbers of Write")
	}
}

// The channels are blue, green and red, and the scale is not 1/255.
func TestBGRAndScale(t *testing.T) {
	in := prepare.Input{Channels: 3, Height: 1, Width: 2, Preprocess: prepare.Steps{Scale: 2, Mean: []float64{10, 20, 30}, Std: []float64{1, 2, 4}, BGR: true}}
	m := transforms.Image{Channels: 3, Height: 1, Width: 2, Pix: []uint8{1, 2, 3, 4, 5, 6}}
	want := []float32{2*5 - 10, 2*6 - 10, (2*3 - 20) / 2, (2*4 - 20) / 2, (2*1 - 30) / 4., (2*2 - 30) / 4.}
	got := make([]float32, 6)
	if in.Write(got, m); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	transforms.Normalize{}.Write(got, m)
	if in.FromUnit(got, 2); !slices.Equal(got, want) {
		t.Errorf("of bytes over 255: %v, want %v", got, want)
	}
	for channel, byteOf := range []float64{5, 3, 1} {
		scale, shift := in.Preprocess.Affine(channel)
		if got := scale*byteOf + shift; math.Abs(got-float64(want[2*channel])) > 1e-12 {
			t.Errorf("channel %d: %v*v%+v gives %v, want %v", channel, scale, shift, got, want[2*channel])
		}
	}
}

func TestCheck(t *testing.T) {
	if err := prepare.Check(prepare.Resolved(preset())); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(in *prepare.Input){
		"0 channels":               func(in *prepare.Input) { in.Channels = 0 },
		"an input of -1 x 24":      func(in *prepare.Input) { in.Height = -1 },
		"resize to -2":             func(in *prepare.Input) { in.Preprocess.Resize = -2 },
		"images of 70000 x 0":      func(in *prepare.Input) { in.Preprocess.NativeHeight = 70000 },
		"a scale of NaN":           func(in *prepare.Input) { in.Preprocess.Scale = math.NaN() },
		"grey images for 3":        func(in *prepare.Input) { in.Preprocess.Grey = true },
		"blue, green and red":      func(in *prepare.Input) { in.Channels, in.Preprocess.BGR = 1, true },
		`interpolation "area"`:     func(in *prepare.Input) { in.Preprocess.Interpolation = "area" },
		"a shorter side of -1":     func(in *prepare.Input) { in.Preprocess.ResizeShorter = -1 },
		"by both sides too":        func(in *prepare.Input) { in.Preprocess.Resize = 24 },
		"a middle of 24 x 20":      func(in *prepare.Input) { in.Width = 20 },
		"a mean of 2 values for 3": func(in *prepare.Input) { in.Preprocess.Mean = []float64{1, 2} },
		"a std of 0":               func(in *prepare.Input) { in.Preprocess.Std = []float64{1, 0, 1} },
	} {
		in := prepare.Resolved(preset())
		if change(&in); prepare.Check(in) == nil || !strings.Contains(prepare.Check(in).Error(), want) {
			t.Errorf("%v, want %q", prepare.Check(in), want)
		}
	}
	in := preset()
	in.Height, in.Width = prepare.MaxSide+1, prepare.MaxSide+1
	if prepare.Check(prepare.Resolved(in)) != nil || prepare.CheckSides(in) == nil {
		t.Error("Check must allow a side above MaxSide, and CheckSides must not")
	}
}

// A Choice takes precedence over the model's own Input, and the shorter side changes in
// proportion to the size.
func TestChoice(t *testing.T) {
	own := prepare.Input{Channels: 3, Height: 224, Width: 224, Preprocess: prepare.Steps{ResizeShorter: 256, Interpolation: "bicubic", Mean: mean, Std: std}}
	file := prepare.Choice{Size: 160, Resize: 200, Interpolation: "lanczos", Scale: 1, Mean: []float64{1}, Std: []float64{2}}
	for _, c := range []struct {
		what            string
		choice          prepare.Choice
		size            int
		own             prepare.Input
		shorter, resize int
		filter          string
	}{
		{"the model's own", prepare.Choice{}, 224, own, 256, 0, "bicubic"},
		{"another size", prepare.Choice{Size: 96}, 96, own, 109, 0, "bicubic"},
		{"a crop", prepare.Choice{Crop: 0.95}, 224, own, 235, 0, "bicubic"},
		{"squashed", prepare.Choice{Squash: true}, 224, own, 0, 224, "bicubic"},
		{"a file's", file, 160, own, 200, 0, "lanczos"},
		{"a file's at another size", prepare.Choice{Size: 80}.Over(file), 80, own, 100, 0, "lanczos"},
		{"a user's over a file's", prepare.Choice{Size: 80, Resize: 90}.Over(file), 80, own, 90, 0, "lanczos"},
		{"a model without a crop", prepare.Choice{}, 96, prepare.Input{Channels: 1, Height: 96, Width: 96}, 0, 96, "bilinear"},
		{"no model", prepare.Choice{}, 224, prepare.Input{}, 256, 0, "bilinear"},
	} {
		in, guessed := c.choice.Sized(prepare.Input{Channels: 3, Height: c.size, Width: c.size}, c.own)
		if p := in.Preprocess; p.ResizeShorter != c.shorter || p.Resize != c.resize || p.Interpolation != c.filter || guessed != (c.what == "no model") {
			t.Errorf("%s: %+v, guessed: %v", c.what, p, guessed)
		}
	}
	if got := (prepare.Choice{Scale: 2}).Over(file); got.Mean != nil || got.Scale != 2 {
		t.Errorf("a scale alone takes the mean of another scale: %+v", got)
	}
	if got := prepare.ChoiceOf(preset()); got.Resize != 27 || got.Squash || got.IsZero() || !(prepare.Choice{}).IsZero() {
		t.Errorf("%+v", got)
	}
	if got, _ := prepare.ChoiceOf(preset()).Sized(prepare.Input{Channels: 3, Height: 24, Width: 24}, own); got.Preprocess.ResizeShorter != 27 {
		t.Errorf("%+v", got)
	}
}

func TestSeen(t *testing.T) {
	if got, want := preset().Seen(image.Rect(0, 0, 54, 80)), image.Rect(3, 16, 51, 64); got != want {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestPreparation(t *testing.T) {
	want := "the shorter side resized to 27 pixels by bilinear interpolation, the middle of 24x24 cut out, bytes over 255, " +
		"less the mean [0.485 0.456 0.406], over the std [0.229 0.224 0.225]"
	if got := preset().Preparation(); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

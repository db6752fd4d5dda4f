// Package prepare describes, in one value, how a decoded image becomes the input of a
// network. An [Input] holds the size of the input, how images are resized and cropped to it,
// and how pixels become float32 values.
//
// Training writes an Input, a model file stores it as JSON (package checkpoint), and
// everything that reads the file prepares images with it, with the same bits:
//
//	in := prepare.Resolved(prepare.Input{
//		Channels: 3, Height: 224, Width: 224,
//		Preprocess: prepare.Steps{ResizeShorter: 256, Mean: mean, Std: std},
//	})
//	if err := prepare.Check(in); err != nil {
//		return err
//	}
//	pixels := in.Pixels(image)                   // resized, and the middle cut out
//	x := tensor.New(1, 3, 224, 224)
//	in.Write(x.Data(), pixels)                   // scaled and normalised
//
// A [Choice] is a partial description from before the network is known: from flags, or from
// the files that timm and transformers put beside weights. [Choice.Sized] completes it.
package prepare

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/residual-ml/residual/data/transforms"
	"github.com/residual-ml/residual/internal/number"
)

// Input describes the input of a model, [Channels, Height, Width], and how images become it.
// A height and a width of 0 mean that images may have any size.
type Input struct {
	Channels int `json:"channels"`
	Height   int `json:"height"`
	Width    int `json:"width"`

	Preprocess Steps `json:"preprocess"`
}

// Steps are the steps that turn a decoded 8-bit image into the input of a model, in this
// order: convert to grey; resize to the native size; resize both sides to Resize, then to the
// Height and Width of the Input; compute (pixel*Scale - Mean) / Std. With ResizeShorter they
// are instead the steps of torchvision's preset ImageClassification, with the same bits:
// resize the shorter side, cut out the middle of Height by Width, normalise.
type Steps struct {
	// NativeHeight and NativeWidth are the size of the training images before they were
	// resized. An image of another size is first resized to it, so that it becomes as sharp
	// as they were. 0 leaves this step out.
	NativeHeight int `json:"native_height,omitempty"`
	NativeWidth  int `json:"native_width,omitempty"`

	Resize        int       `json:"resize"`                   // pixels of both sides; 0 leaves this step out
	ResizeShorter int       `json:"resize_shorter,omitempty"` // pixels of the shorter side, instead of the native size and Resize
	Interpolation string    `json:"interpolation"`            // one of Interpolations; empty means bilinear, which the native size always uses
	Scale         float64   `json:"scale"`                    // factor of a pixel; 0 means 1/255
	Mean          []float64 `json:"mean,omitempty"`           // one value per channel
	Std           []float64 `json:"std,omitempty"`            // one value per channel
	Grey          bool      `json:"grey"`                     // colours become one channel
	BGR           bool      `json:"bgr,omitempty"`            // the channels are blue, green and red, also in Mean and Std
}

// UnitScale is the Scale that turns pixels into values from 0 to 1.
const UnitScale = 1.0 / 255

// Interpolations lists the names of the filters with which images can be resized; they are
// Pillow's.
func Interpolations() []string {
	return []string{"bilinear", "bicubic", "lanczos", "hamming", "box", "nearest"}
}

// Resolved returns in with the defaults in place of an empty Scale and Interpolation.
func Resolved(in Input) Input {
	in.Preprocess.Scale = cmp.Or(in.Preprocess.Scale, UnitScale)
	in.Preprocess.Interpolation = cmp.Or(in.Preprocess.Interpolation, "bilinear")
	return in
}

// Check returns an error for the first impossible value of a resolved Input. It bounds all
// values, so that an Input from a hostile file does no harm.
func Check(in Input) error {
	const limit = 1 << 16
	p := in.Preprocess
	switch {
	case in.Channels < 1 || in.Channels > limit:
		return fmt.Errorf("%d channels, where 1 to %d are possible", in.Channels, limit)
	case in.Height < 0 || in.Height > limit || in.Width < 0 || in.Width > limit:
		return fmt.Errorf("an input of %d x %d pixels, where each side may have 0 (any) to %d", in.Height, in.Width, limit)
	case p.Resize < 0 || p.Resize > limit:
		return fmt.Errorf("resize to %d pixels, where 0 (none) to %d are possible", p.Resize, limit)
	case p.NativeHeight < 0 || p.NativeHeight > limit || p.NativeWidth < 0 || p.NativeWidth > limit:
		return fmt.Errorf("images of %d x %d pixels, where each side may have 0 (any) to %d", p.NativeHeight, p.NativeWidth, limit)
	case !number.Finite(p.Scale):
		return fmt.Errorf("a scale of %v", p.Scale)
	case p.Grey && in.Channels != 1:
		return fmt.Errorf("grey images for %d channels", in.Channels)
	case p.BGR && in.Channels != 3:
		return fmt.Errorf("blue, green and red for %d channels", in.Channels)
	case !slices.Contains(Interpolations(), p.Interpolation):
		return fmt.Errorf("interpolation %q, where %s are possible", p.Interpolation, strings.Join(Interpolations(), ", "))
	case p.ResizeShorter < 0 || p.ResizeShorter > limit:
		return fmt.Errorf("a shorter side of %d pixels, where 1 to %d are possible", p.ResizeShorter, limit)
	}
	if p.ResizeShorter > 0 {
		switch {
		case p.Resize != 0 || p.NativeHeight != 0 || p.NativeWidth != 0:
			return fmt.Errorf("images resized by their shorter side, to %d, and by both sides too", p.ResizeShorter)
		case in.Height < 1 || in.Height != in.Width:
			return fmt.Errorf("a middle of %d x %d pixels, where a square is cut out", in.Height, in.Width)
		}
	}
	if err := checkChannels("mean", p.Mean, in.Channels); err != nil {
		return err
	}
	return checkChannels("std", p.Std, in.Channels)
}

func checkChannels(name string, values []float64, channels int) error {
	if n := len(values); n != 0 && n != channels {
		return fmt.Errorf("a %s of %d values for %d channels", name, n, channels)
	}
	for _, v := range values {
		if !number.Finite(v) || name == "std" && v <= 0 {
			return fmt.Errorf("a %s of %v", name, v)
		}
	}
	return nil
}

// MaxSide is the largest side, in pixels, that images are resized to.
const MaxSide = 4096

// CheckSides returns an error when images cannot be prepared as a checked Input says, because
// a side is above MaxSide or the sizes contradict each other.
func CheckSides(in Input) error {
	p := in.Preprocess
	for _, side := range []int{in.Height, in.Width, p.Resize, p.ResizeShorter, p.NativeHeight, p.NativeWidth} {
		if side > MaxSide {
			return fmt.Errorf("asks for images of %d pixels a side; at most %d are possible", side, MaxSide)
		}
	}
	if p.Resize > 0 && in.Height > 0 && in.Width > 0 && (p.Resize != in.Height || p.Resize != in.Width) {
		return fmt.Errorf("says that images are resized to %dx%d and that its input is %dx%d; the file is damaged", p.Resize, p.Resize, in.Height, in.Width)
	}
	return nil
}

// Preparation describes in words how images become the input of the model.
func (in Input) Preparation() string {
	p := in.Preprocess
	var parts []string
	add := func(format string, args ...any) { parts = append(parts, fmt.Sprintf(format, args...)) }
	if p.Grey {
		add("grey")
	}
	if n := p.NativeHeight; n > 0 && p.NativeWidth > 0 && (n != in.Height || p.NativeWidth != in.Width) {
		add("both sides resized to %dx%d", p.NativeWidth, n)
	}
	by := "by " + cmp.Or(p.Interpolation, "bilinear") + " interpolation"
	switch {
	case p.ResizeShorter > 0:
		add("the shorter side resized to %d pixels %s", p.ResizeShorter, by)
		add("the middle of %dx%d cut out", in.Width, in.Height)
	case in.Width > 0 && in.Height > 0:
		add("both sides resized to %dx%d %s", in.Width, in.Height, by)
	case p.Resize > 0:
		add("both sides resized to %dx%d %s", p.Resize, p.Resize, by)
	default:
		add("of any size")
	}
	if p.BGR {
		add("blue, green, red")
	}
	if p.Scale != 0 && p.Scale != UnitScale {
		add("bytes times %.6g", p.Scale)
	} else {
		add("bytes over 255")
	}
	if len(p.Mean) > 0 {
		add("less the mean %v", p.Mean)
	}
	if len(p.Std) > 0 {
		add("over the std %v", p.Std)
	}
	return strings.Join(parts, ", ")
}

// Filter returns the filter that Interpolation names, which is bilinear when it is empty.
func (p Steps) Filter() transforms.Interpolation {
	i, _ := transforms.ParseInterpolation(p.Interpolation)
	return i
}

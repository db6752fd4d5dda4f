package prepare

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// Choice is what somebody says of how images are prepared. Zero values leave open what
// another Choice, or the model, settles.
type Choice struct {
	Size          int     // pixels of both sides of the input
	Resize        int     // pixels of the shorter side, before the middle of Size is cut out
	Crop          float64 // in place of Resize, which is then Size/Crop, rounded down: timm's crop_pct
	Squash        bool    // both sides are resized to Size, and nothing is cut out
	Interpolation string  // one of Interpolations
	Scale         float64 // of a byte, before Mean and Std
	Mean, Std     []float64
	BGR           bool // the channels are blue, green and red, in Mean and Std too

	resizeFor int // the Size that Resize belongs to, where that may be another
}

// ChoiceOf is a Choice that settles what in says. An oblong size is none of a Choice: its
// Size is the height.
func ChoiceOf(in Input) Choice {
	p := in.Preprocess
	c := Choice{
		Size: in.Height, Resize: p.ResizeShorter, Squash: p.ResizeShorter == 0,
		Interpolation: p.Interpolation, Mean: p.Mean, Std: p.Std, Scale: p.Scale, BGR: p.BGR,
	}
	if c.Mean == nil { // no mean is a mean of 0, and not left open
		c.Mean = make([]float64, in.Channels)
	}
	if c.Std == nil {
		c.Std = slices.Repeat([]float64{1}, in.Channels)
	}
	return c
}

// IsZero reports whether c leaves everything open.
func (c Choice) IsZero() bool {
	return !c.sized() && c.Size == 0 && c.Interpolation == "" && c.Mean == nil && c.Std == nil && c.Scale == 0 && !c.BGR
}

// sized reports whether c says how images come to their size.
func (c Choice) sized() bool { return c.Resize != 0 || c.Crop != 0 || c.Squash }

// Over is c with what it leaves open taken from d. Resize, Crop and Squash go together, and
// so do Mean, Std and Scale.
func (c Choice) Over(d Choice) Choice {
	if !c.sized() {
		c.Squash, c.Resize, c.Crop = d.Squash, d.Resize, d.Crop
		c.resizeFor = cmp.Or(d.resizeFor, d.Size)
	}
	c.Size, c.Interpolation = cmp.Or(c.Size, d.Size), cmp.Or(c.Interpolation, d.Interpolation)
	if c.Mean == nil && c.Std == nil && c.Scale == 0 {
		c.Mean, c.Std, c.Scale = d.Mean, d.Std, d.Scale
	}
	c.Scale = cmp.Or(c.Scale, d.Scale)
	c.BGR = c.BGR || d.BGR
	return c
}

// Sized returns in, whose height and width are settled, with how images come to that size:
// as c says, else in the proportion of own, the model's own Input, which is zero where it is
// not known. With another size than own's the shorter side goes along, rounded down: it is
// 256·size/224 where the model cuts 224 out of 256. guessed reports that neither said it,
// so that the usual 8/7 was taken.
func (c Choice) Sized(in, own Input) (sized Input, guessed bool) {
	p := &in.Preprocess
	p.Interpolation = cmp.Or(c.Interpolation, own.Preprocess.Interpolation, "bilinear")
	known, oblong := own.Height > 0, in.Height != in.Width
	switch side := in.Height; {
	case c.Squash, !c.sized() && (oblong || known && own.Preprocess.Mean == nil && own.Preprocess.ResizeShorter == 0):
		if !oblong {
			p.Resize = side
		}
	case c.Resize > 0:
		p.ResizeShorter = c.Resize
		if c.resizeFor > 0 && c.resizeFor != side {
			p.ResizeShorter = c.Resize * side / c.resizeFor
		}
	case c.Crop > 0:
		p.ResizeShorter = int(math.Floor(float64(side) / c.Crop))
	case own.Preprocess.ResizeShorter > 0:
		p.ResizeShorter = own.Preprocess.ResizeShorter * side / own.Height
	case !known:
		p.ResizeShorter = side * 8 / 7
		return in, true
	default:
		p.ResizeShorter = side
	}
	return in, false
}

// String says c in words.
func (c Choice) String() string {
	var text string
	switch {
	case c.Squash:
		text = fmt.Sprintf("both sides as %d pixels", c.Size)
	case c.Crop > 0:
		text = fmt.Sprintf("the shorter side as %d pixels, the middle as %d", int(math.Floor(float64(c.Size)/c.Crop)), c.Size)
	case c.Resize > 0:
		text = fmt.Sprintf("the shorter side as %d pixels, the middle as %d", c.Resize, c.Size)
	default:
		text = fmt.Sprintf("images of %d pixels", c.Size)
	}
	if c.Interpolation != "" {
		text += " by " + c.Interpolation + " interpolation"
	}
	if c.BGR {
		text += ", blue, green, red"
	}
	if c.Scale != 0 {
		text += fmt.Sprintf(", bytes times %.6g", c.Scale)
	}
	if c.Mean != nil {
		text += fmt.Sprintf(", mean %v, std %v", c.Mean, c.Std)
	}
	return text
}

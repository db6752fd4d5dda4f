package prepare

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// Choice holds what a user or a file says about how images are prepared. A zero field is left
// open, to be filled by another Choice or by the model.
type Choice struct {
	Size          int     // height and width of the input in pixels
	Resize        int     // pixels of the shorter side, before the middle of Size by Size is cut out
	Crop          float64 // timm's crop_pct: the shorter side becomes Size/Crop, rounded down, instead of Resize
	Squash        bool    // both sides are resized to Size, and nothing is cut out
	Interpolation string  // one of Interpolations
	Scale         float64 // factor of a pixel, before Mean and Std; 1/255 is usual
	Mean, Std     []float64
	BGR           bool // the channels are blue, green and red, also in Mean and Std

	resizeFor int // the Size that Resize belongs to, if it may differ from Size
}

// ChoiceOf returns a Choice with everything that in says. A Choice has square sizes only, so
// its Size is the height of in.
func ChoiceOf(in Input) Choice {
	p := in.Preprocess
	c := Choice{
		Size: in.Height, Resize: p.ResizeShorter, Squash: p.ResizeShorter == 0,
		Interpolation: p.Interpolation, Mean: p.Mean, Std: p.Std, Scale: p.Scale, BGR: p.BGR,
	}
	if c.Mean == nil { // an Input without a mean has a mean of 0; nil would leave it open
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

// sized reports whether c says how images are resized.
func (c Choice) sized() bool { return c.Resize != 0 || c.Crop != 0 || c.Squash }

// Over returns c with the fields that it leaves open taken from d. Resize, Crop and Squash
// are taken together, and so are Mean, Std and Scale.
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

// Sized returns in, whose height and width are already set, with the steps that resize
// images to them. The steps are those of c, or else those of own, the Input of the model; own
// is zero when it is unknown. For a size that is not own's, the shorter side changes in
// proportion and is rounded down: it is 256·size/224 when the model cuts 224 out of 256.
// guessed reports that neither c nor own says how, so that the usual ratio of 8/7 is used.
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

// String describes c in words.
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

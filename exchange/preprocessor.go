package exchange

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
)

// preprocessor is a preprocessor_config.json of transformers: of its image processors,
// whose documentation is
// https://huggingface.co/docs/transformers/main_classes/image_processor. ResNets come
// with ConvNextImageProcessor (models/convnext/image_processing_convnext.py).
type preprocessor struct {
	Type      string `json:"image_processor_type"`
	OlderType string `json:"feature_extractor_type"`

	Resize     *bool     `json:"do_resize"`
	Size       sides     `json:"size"`
	CropPct    float64   `json:"crop_pct"`
	Resample   *int      `json:"resample"` // in Pillow's numbers
	CenterCrop bool      `json:"do_center_crop"`
	CropSize   sides     `json:"crop_size"`
	Rescale    *bool     `json:"do_rescale"`
	Factor     *float64  `json:"rescale_factor"`
	Normalize  *bool     `json:"do_normalize"`
	Mean       oneOrMore `json:"image_mean"`
	Std        oneOrMore `json:"image_std"`
}

// sides is a number or an object.
type sides struct {
	Shortest int `json:"shortest_edge"`
	Height   int `json:"height"`
	Width    int `json:"width"`
	Number   int `json:"-"`
}

func (s *sides) UnmarshalJSON(b []byte) error {
	if json.Unmarshal(b, &s.Number) == nil {
		return nil
	}
	type plain sides
	return json.Unmarshal(b, (*plain)(s))
}

// square is the side of a square, 0 where it is none.
func (s sides) square() int {
	if s.Height == s.Width && s.Height != 0 {
		return s.Height
	}
	return s.Number
}

// oneOrMore is a list of numbers, or one.
type oneOrMore []float64

func (f *oneOrMore) UnmarshalJSON(b []byte) error {
	var one float64
	if string(b) != "null" && json.Unmarshal(b, &one) == nil {
		*f = oneOrMore{one}
		return nil
	}
	return json.Unmarshal(b, (*[]float64)(f))
}

func readPreprocessor(text []byte, c *ModelConfig) (told string, err error) {
	var p preprocessor
	if err := json.Unmarshal(text, &p); err != nil {
		return "", fmt.Errorf("cannot be read (%w)", err)
	}
	next, err := p.prepare()
	if err != nil {
		return "", err
	}
	next.Classes = c.Classes
	*c = next
	return next.images(), nil
}

func (p *preprocessor) prepare() (c ModelConfig, err error) {
	off := func(b *bool) bool { return b != nil && !*b }
	switch {
	case off(p.Resize):
		return c, errors.New("images that are not resized are not known here")
	case off(p.Rescale) || p.Factor != nil && math.Abs(*p.Factor*255-1) > 1e-6:
		return c, errors.New("bytes that become other numbers than their 255th part are not known here")
	}
	if err := p.sizes(&c); err != nil {
		return c, err
	}
	if p.Resample != nil { // Pillow's Image.Resampling
		name, ok := map[int]string{2: "bilinear", 3: "bicubic"}[*p.Resample]
		if !ok {
			return c, fmt.Errorf("its resample %d is not known here, only 2, bilinear, and 3, bicubic", *p.Resample)
		}
		c.Interpolation = name
	}
	c.Mean, c.Std = p.Mean, p.Std
	if off(p.Normalize) {
		c.Mean, c.Std = []float64{0}, []float64{1}
	}
	return c, c.checkImages()
}

// sizes reads how an image comes to its size: of the processors that resize the
// shorter side and cut out the middle, ConvNext's (below 384 pixels; from there on it
// resizes both sides) and those with a crop_size; of the others both sides are resized.
func (p *preprocessor) sizes(c *ModelConfig) error {
	shortest := p.Size.Shortest
	switch {
	case p.CropPct != 0 || strings.HasPrefix(p.Type, "ConvNext") || strings.HasPrefix(p.OlderType, "ConvNext"):
		if shortest == 0 {
			shortest = p.Size.square()
		}
		crop := p.CropPct
		if crop == 0 {
			crop = 224.0 / 256
		}
		if !(crop > 0 && crop <= 1) {
			return fmt.Errorf("its crop_pct is %v, not above 0 and at most 1", crop)
		}
		const warped = 384
		if c.Size = shortest; shortest >= warped {
			c.Squash = true
		} else {
			c.Resize = int(float64(shortest) / crop)
		}
	case p.CenterCrop:
		if shortest == 0 {
			shortest = p.Size.Number
		}
		c.Resize, c.Size = shortest, p.CropSize.square()
		if shortest == 0 {
			return errors.New("a middle that is cut out of images with both sides resized is not known here")
		}
	default:
		c.Size, c.Squash = p.Size.square(), true
	}
	if c.Size == 0 {
		return errors.New("has no size of a square")
	}
	return nil
}

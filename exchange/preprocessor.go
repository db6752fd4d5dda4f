package exchange

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/residual-ml/residual/prepare"
)

// preprocessor is a preprocessor_config.json, which describes an image processor of
// transformers (https://huggingface.co/docs/transformers/main_classes/image_processor).
// ResNets use ConvNextImageProcessor (models/convnext/image_processing_convnext.py).
type preprocessor struct {
	Type      string `json:"image_processor_type"`
	OlderType string `json:"feature_extractor_type"`

	Resize     *bool     `json:"do_resize"`
	Size       sides     `json:"size"`
	CropPct    float64   `json:"crop_pct"`
	Resample   *int      `json:"resample"` // a number of Pillow's Image.Resampling
	CenterCrop bool      `json:"do_center_crop"`
	CropSize   sides     `json:"crop_size"`
	Rescale    *bool     `json:"do_rescale"`
	Factor     *float64  `json:"rescale_factor"`
	Normalize  *bool     `json:"do_normalize"`
	Flip       bool      `json:"do_flip_channel_order"`
	Offset     bool      `json:"rescale_offset"` // of EfficientNet: subtracts 1 from the scaled values
	Twice      bool      `json:"include_top"`    // of EfficientNet: divides by the std once more
	Mean       oneOrMore `json:"image_mean"`
	Std        oneOrMore `json:"image_std"`
}

// sides is a size: one number, or an object with one or two sides.
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

// square returns the side of a square, or 0 if the size is not a square.
func (s sides) square() int {
	if s.Height == s.Width && s.Height != 0 {
		return s.Height
	}
	return s.Number
}

// oneOrMore is a list of numbers, or a single number.
type oneOrMore []float64

func (f *oneOrMore) UnmarshalJSON(b []byte) error {
	var one float64
	if string(b) != "null" && json.Unmarshal(b, &one) == nil {
		*f = oneOrMore{one}
		return nil
	}
	return json.Unmarshal(b, (*[]float64)(f))
}

// supportedSteps lists the steps of image processors that are supported or do not change an RGB image.
var supportedSteps = []string{"do_resize", "do_center_crop", "do_rescale", "do_normalize", "do_flip_channel_order", "do_convert_rgb", "do_reduce_labels"}

// readPreprocessor reads a preprocessor_config.json into d. summary says in words what it
// gives, and unsupported lists what it says but cannot be done here.
func readPreprocessor(text []byte, d *description) (summary string, unsupported []unsupportedSetting, err error) {
	var p preprocessor
	var all map[string]any
	if err := cmp.Or(json.Unmarshal(text, &p), json.Unmarshal(text, &all)); err != nil {
		return "", nil, fmt.Errorf("cannot be read (%w)", err)
	}
	next, unsupported := p.choice()
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if on, _ := all[name].(bool); on && strings.HasPrefix(name, "do_") && !slices.Contains(supportedSteps, name) {
			unsupported = append(unsupported, unsupportedf(resizeFields, "its %s is not known here", name))
		}
	}
	d.images = next
	return next.String(), unsupported, nil
}

// choice returns the image preparation that the processor describes.
func (p *preprocessor) choice() (c prepare.Choice, unsupported []unsupportedSetting) {
	off := func(b *bool) bool { return b != nil && !*b }
	add := func(fields []string, format string, args ...any) {
		unsupported = append(unsupported, unsupportedf(fields, format, args...))
	}
	if off(p.Resize) {
		add(resizeFields, "images that are not resized are not known here")
		c.Size = cmp.Or(p.CropSize.square(), p.Size.square(), p.Size.Shortest)
	} else if err := p.sizes(&c); err != nil {
		add(resizeFields, "%v", err)
		c.Resize, c.Crop, c.Squash = 0, 0, false
	}
	if c.Size == 0 {
		add(sizeFields, "has no size of a square")
	}
	switch factor := p.Factor; {
	case p.Offset:
		add(scaleFields, "its rescale_offset is not known here")
	case off(p.Rescale):
		c.Scale = 1
	case factor != nil && !(*factor > 0 && !math.IsInf(*factor, 0)):
		add(scaleFields, "its rescale_factor is %v", *factor)
	case factor != nil && math.Abs(*factor*255-1) > 1e-6:
		c.Scale = *factor
	}
	if p.Resample != nil { // Pillow's Image.Resampling
		names := map[int]string{0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic", 4: "box", 5: "hamming"}
		if c.Interpolation = names[*p.Resample]; c.Interpolation == "" {
			add(interpolationFields, "its resample %d is not known here, only 0 to 5", *p.Resample)
		}
	}
	c.Mean, c.Std, c.BGR = p.Mean, p.Std, p.Flip
	if off(p.Normalize) {
		c.Mean, c.Std = []float64{0}, []float64{1}
	} else if p.Twice && strings.HasPrefix(p.Type, "EfficientNet") {
		add(normaliseFields, "its include_top, which normalises twice, is not known here")
	}
	return dropUnsupported(c, unsupported)
}

// sizes reads how the processor brings an image to its size. ConvNext's resizes the shorter
// side and takes a centre crop, but from 384 pixels on it resizes both sides. Processors with
// a crop_size also take a centre crop. All others resize both sides.
func (p *preprocessor) sizes(c *prepare.Choice) error {
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
			c.Crop = crop
		}
	case p.CenterCrop:
		if shortest == 0 {
			shortest = p.Size.Number
		}
		c.Size = p.CropSize.square()
		switch {
		case shortest > 0:
			c.Resize = shortest
		case p.Size.square() == c.Size: // a crop of the full size
			c.Squash = true
		default:
			return errors.New("a centre crop after resizing both sides is not supported")
		}
	default:
		c.Size, c.Squash = p.Size.square(), true
	}
	return nil
}

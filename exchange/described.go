package exchange

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/residual-ml/residual/internal/regular"
	"github.com/residual-ml/residual/prepare"
)

// The files beside weights on Hugging Face that describe classes and image preparation.
const (
	configFile       = "config.json"              // of timm or transformers
	preprocessorFile = "preprocessor_config.json" // of transformers
)

// unsupportedSetting is something that a file asks for and that is not supported.
type unsupportedSetting struct {
	text   string
	fields []string // fields of ModelConfig that replace it
	any    bool     // one of the fields is enough
}

func unsupportedf(fields []string, format string, args ...any) unsupportedSetting {
	return unsupportedSetting{text: fmt.Sprintf(format, args...), fields: fields, any: len(fields) > 2}
}

// The fields of ModelConfig that settle each kind of unsupported setting.
var (
	resizeFields        = []string{"Resize", "Crop", "Squash"}
	normaliseFields     = []string{"Mean", "Std"}
	scaleFields         = []string{"Scale"}
	interpolationFields = []string{"Interpolation"}
	sizeFields          = []string{"Size"}
)

// settledBy reports whether c, or the graph itself, gives what the file could not.
func (t unsupportedSetting) settledBy(c prepare.Choice, in Input) bool {
	return map[string]bool{
		"Resize": c.Resize != 0 || c.Crop != 0 || c.Squash, "Mean": c.Mean != nil || in.Bytes, "Scale": c.Scale != 0 || in.Bytes,
		"Interpolation": c.Interpolation != "", "Size": c.Size != 0 || in.Height > 0 || in.Width > 0,
	}[t.fields[0]]
}

// description is what the files beside weights say about classes and images.
type description struct {
	classes []string
	images  prepare.Choice
}

// described reads the files beside weights. A file that cannot be read is ignored, with a
// note that names it. unsupported lists what the files ask for and is not supported.
func described(path string) (d description, notes []string, unsupported []unsupportedSetting) {
	for _, file := range []struct {
		name string
		read func(text []byte, d *description) (summary string, unsupported []unsupportedSetting, err error)
	}{{configFile, readConfig}, {preprocessorFile, readPreprocessor}} {
		text, err := readSmall(filepath.Join(filepath.Dir(path), file.name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		summary := ""
		var found []unsupportedSetting
		if err == nil {
			next := d // stays unused if the file is invalid
			if summary, found, err = file.read(text, &next); summary != "" {
				d = next
				notes = append(notes, fmt.Sprintf("%s beside the weights gives %s", file.name, summary))
			}
		}
		if err != nil {
			notes = append(notes, fmt.Sprintf("%s beside the weights: %v; that part of it is not used", file.name, err))
		}
		if file.name == preprocessorFile && summary != "" {
			unsupported = nil // preprocessor_config.json describes the same things again
		}
		for _, t := range found {
			t.text = file.name + " beside the weights: " + t.text
			unsupported = append(unsupported, t)
		}
	}
	return d, notes, unsupported
}

// dropContradictions removes from d what contradicts the weights.
func (d *description) dropContradictions(channels, classes int) (notes []string, unsupported []unsupportedSetting) {
	c := &d.images
	if n := len(d.classes); n > 0 && n != classes {
		notes = append(notes, fmt.Sprintf("%s beside the weights names %d classes, but the weights have %d; the names are not used", configFile, n, classes))
		d.classes = nil
	}
	if len(c.Mean) == 1 { // one number for all channels
		c.Mean, c.Std = slices.Repeat(c.Mean, channels), slices.Repeat(c.Std, channels)
	}
	if n := len(c.Mean); n > 0 && n != channels {
		unsupported = append(unsupported, unsupportedf(normaliseFields, "the files beside the weights give a mean for %d channels, but the weights take %d", n, channels))
		c.Mean, c.Std = nil, nil
	}
	return notes, unsupported
}

func readSmall(path string) ([]byte, error) {
	const maxBytes = 16 << 20
	return regular.ReadFile(path, maxBytes)
}

// timmImages is timm's pretrained_cfg
// (https://github.com/huggingface/pytorch-image-models/blob/main/timm/models/_pretrained.py).
type timmImages struct {
	InputSize     []int     `json:"input_size"` // channels, height, width
	CropPct       float64   `json:"crop_pct"`
	CropMode      string    `json:"crop_mode"`
	Interpolation string    `json:"interpolation"`
	Mean          []float64 `json:"mean"`
	Std           []float64 `json:"std"`

	LabelNames        json.RawMessage   `json:"label_names"` // a list, or an object by index
	Labels            json.RawMessage   `json:"labels"`      // its older name
	LabelDescriptions map[string]string `json:"label_descriptions"`
}

// hubConfig is a config.json, written by timm or by transformers
// (https://huggingface.co/docs/transformers/main_classes/configuration). Older versions of
// timm write the fields of pretrained_cfg at the top level (_parse_model_cfg and
// save_config_for_hf in timm/models/_hub.py).
type hubConfig struct {
	Pretrained *timmImages `json:"pretrained_cfg"`
	timmImages
	ID2Label map[string]string `json:"id2label"`
}

// readConfig reads a config.json into d; see readPreprocessor.
func readConfig(text []byte, d *description) (summary string, unsupported []unsupportedSetting, err error) {
	var h hubConfig
	if err := json.Unmarshal(text, &h); err != nil {
		return "", nil, fmt.Errorf("cannot be read (%w)", err)
	}
	images := h.timmImages
	if h.Pretrained != nil {
		images = *h.Pretrained
	}
	if d.classes, err = h.classes(images); err == nil {
		summary = countOf(d.classes)
	}
	if images.InputSize == nil && images.Mean == nil { // transformers describes images in preprocessor_config.json
		if summary == "" && err == nil {
			err = errors.New("says nothing of classes or images")
		}
		return summary, nil, err
	}
	p, unsupported := images.choice()
	d.images = p
	return join(summary, p.String()), unsupported, err
}

// countOf says how many class names there are, "" for none.
func countOf(classes []string) string {
	if len(classes) == 0 {
		return ""
	}
	return fmt.Sprintf("the names of %d classes", len(classes))
}

// join joins two phrases; a may be empty.
func join(a, b string) string {
	if a == "" {
		return b
	}
	return a + ", and " + b
}

// classes returns the class names, or nil if there are none. timm's names may be WordNet
// numbers; a name that has a description is replaced by it.
func (h *hubConfig) classes(p timmImages) ([]string, error) {
	if len(h.ID2Label) > 0 {
		return inOrder("id2label", h.ID2Label)
	}
	described := p.LabelDescriptions
	if h.LabelDescriptions != nil {
		described = h.LabelDescriptions
	}
	for _, list := range []json.RawMessage{h.LabelNames, h.Labels, p.LabelNames, p.Labels} {
		if len(list) == 0 || string(list) == "null" {
			continue
		}
		var names []string
		if json.Unmarshal(list, &names) != nil {
			var by map[string]string
			if err := json.Unmarshal(list, &by); err != nil {
				return nil, errors.New("label_names is neither a list of names nor an object of them")
			}
			var err error
			if names, err = inOrder("label_names", by); err != nil {
				return nil, err
			}
		}
		for i, name := range names {
			names[i] = cmp.Or(described[name], name)
		}
		return names, nil
	}
	return nil, nil
}

// inOrder lists names in the order of their indices, which must run from 0 without a gap.
func inOrder(what string, by map[string]string) ([]string, error) {
	names := make([]string, len(by))
	seen := make([]bool, len(by))
	for key, name := range by {
		i, err := strconv.Atoi(key)
		if err != nil || i < 0 || i >= len(names) || seen[i] {
			return nil, fmt.Errorf("%s has the index %q among %d names, but the indices must run from 0 without a gap", what, key, len(by))
		}
		names[i], seen[i] = name, true
	}
	return names, nil
}

// choice returns timm's preparation of images for evaluation: transforms_imagenet_eval in
// timm/data/transforms_factory.py.
func (t *timmImages) choice() (c prepare.Choice, unsupported []unsupportedSetting) {
	add := func(fields []string, format string, args ...any) {
		unsupported = append(unsupported, unsupportedf(fields, format, args...))
	}
	// timm's defaults: DEFAULT_CROP_PCT in timm/data/constants.py, and the class PretrainedCfg.
	c = prepare.Choice{Crop: cmp.Or(t.CropPct, 0.875), Interpolation: cmp.Or(t.Interpolation, "bicubic"), Mean: t.Mean, Std: t.Std}
	if n := t.InputSize; len(n) == 3 && n[1] == n[2] {
		c.Size = n[1]
	} else {
		add(sizeFields, "its input_size %v is not a number of channels and two equal sides", n)
	}
	switch {
	case !(c.Crop > 0 && c.Crop <= 1):
		add(resizeFields, "its crop_pct is %v, not above 0 and at most 1", c.Crop)
		c.Crop = 0
	case t.CropMode == "squash" && c.Crop == 1:
		c.Squash, c.Crop = true, 0
	case t.CropMode != "" && t.CropMode != "center":
		add(resizeFields, "its crop_mode %q with crop_pct %v is not known here", t.CropMode, c.Crop)
		c.Crop = 0
	}
	return dropUnsupported(c, unsupported)
}

// dropUnsupported removes from c what is not supported and adds it to the unsupported settings.
func dropUnsupported(c prepare.Choice, unsupported []unsupportedSetting) (prepare.Choice, []unsupportedSetting) {
	const maxSide = prepare.MaxSide
	if c.Size < 0 || c.Size > maxSide || c.Resize < 0 || c.Resize > maxSide {
		unsupported = append(unsupported, unsupportedf(sizeFields, "images of %d pixels, resized to %d, and 1 to %d are supported", c.Size, c.Resize, maxSide))
		c.Size, c.Resize = 0, 0
	}
	if c.Interpolation != "" && !slices.Contains(prepare.Interpolations(), c.Interpolation) {
		unsupported = append(unsupported, unsupportedf(interpolationFields, "its interpolation %q is not known here, only %s", c.Interpolation, strings.Join(prepare.Interpolations(), ", ")))
		c.Interpolation = ""
	}
	switch {
	case len(c.Mean) != len(c.Std):
		unsupported = append(unsupported, unsupportedf(normaliseFields, "its mean has %d numbers and its std %d", len(c.Mean), len(c.Std)))
		c.Mean, c.Std = nil, nil
	case slices.ContainsFunc(c.Std, func(v float64) bool { return !(v > 0) }):
		unsupported = append(unsupported, unsupportedf(normaliseFields, "its std is %v", c.Std))
		c.Mean, c.Std = nil, nil
	}
	return c, unsupported
}

package exchange

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/residual-ml/residual/internal/regular"
)

// The files that lie beside weights on Hugging Face and say what these do not.
const (
	configFile       = "config.json"              // of timm or transformers
	preprocessorFile = "preprocessor_config.json" // of transformers
)

// described reads what the files beside weights say of classes and images. A file
// that cannot be understood is left out, with a note that names it.
func described(dir string) (c ModelConfig, notes []string) {
	for _, file := range []struct {
		name string
		read func(text []byte, c *ModelConfig) (told string, err error)
	}{{configFile, readConfig}, {preprocessorFile, readPreprocessor}} {
		text, err := readSmall(filepath.Join(dir, file.name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		told := ""
		if err == nil {
			next := c // as it stays where the file is odd
			if told, err = file.read(text, &next); told != "" {
				c = next
				notes = append(notes, fmt.Sprintf("%s beside the weights gives %s", file.name, told))
			}
		}
		if err != nil {
			notes = append(notes, fmt.Sprintf("%s beside the weights: %v; that part of it is not used", file.name, err))
		}
	}
	return c, notes
}

// over is c with what it leaves open taken from d.
func (c ModelConfig) over(d ModelConfig) ModelConfig {
	if c.Resize == 0 && c.Interpolation == "" {
		c.Squash = c.Squash || d.Squash
	}
	c.Resize, c.Size, c.Interpolation = cmp.Or(c.Resize, d.Resize), cmp.Or(c.Size, d.Size), cmp.Or(c.Interpolation, d.Interpolation)
	if c.Classes == nil {
		c.Classes = d.Classes
	}
	if c.Mean == nil && c.Std == nil {
		c.Mean, c.Std = d.Mean, d.Std
	}
	return c
}

// fitting drops of what files say that which the weights contradict.
func (c ModelConfig) fitting(channels, classes int) (ModelConfig, []string) {
	var notes []string
	if n := len(c.Classes); n > 0 && n != classes {
		notes = append(notes, fmt.Sprintf("%s beside the weights names %d classes, and they tell %d apart; the names are not used", configFile, n, classes))
		c.Classes = nil
	}
	if len(c.Mean) == 1 { // one number for all channels
		c.Mean, c.Std = slices.Repeat(c.Mean, channels), slices.Repeat(c.Std, channels)
	}
	if n := len(c.Mean); n > 0 && n != channels {
		notes = append(notes, fmt.Sprintf("the files beside the weights give a mean of %d channels, and they take %d; it is not used", n, channels))
		c.Mean, c.Std = nil, nil
	}
	return c, notes
}

func readSmall(path string) ([]byte, error) {
	const most = 16 << 20
	return regular.ReadFile(path, most)
}

// timmImages is a pretrained_cfg of timm
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

// hubConfig is a config.json: timm's (_parse_model_cfg and save_config_for_hf in
// timm/models/_hub.py), which in its older form has the fields of pretrained_cfg
// beside the others, or that of transformers
// (https://huggingface.co/docs/transformers/main_classes/configuration).
type hubConfig struct {
	Pretrained *timmImages `json:"pretrained_cfg"`
	timmImages
	ID2Label map[string]string `json:"id2label"`
}

func readConfig(text []byte, c *ModelConfig) (told string, err error) {
	var h hubConfig
	if err := json.Unmarshal(text, &h); err != nil {
		return "", fmt.Errorf("cannot be read (%w)", err)
	}
	images := h.timmImages
	if h.Pretrained != nil {
		images = *h.Pretrained
	}
	if c.Classes, err = h.classes(images); err == nil {
		told = countOf(c.Classes)
	}
	if images.InputSize == nil && images.Mean == nil { // transformers has that elsewhere
		if told == "" && err == nil {
			err = errors.New("says nothing of classes or images")
		}
		return told, err
	}
	p, why := images.prepare()
	if why == nil {
		p.Classes = c.Classes
		*c = p
		told = join(told, p.images())
	}
	return told, errors.Join(err, why)
}

func countOf(classes []string) string {
	if len(classes) == 0 {
		return ""
	}
	return fmt.Sprintf("the names of %d classes", len(classes))
}

func join(a, b string) string {
	if a == "" {
		return b
	}
	return a + ", and " + b
}

// classes are the names of the classes, nil where there are none. Of timm's, which
// may be WordNet's numbers, those with a description go by that.
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

// inOrder lists names by their indices, which must be those from 0 on.
func inOrder(what string, by map[string]string) ([]string, error) {
	names := make([]string, len(by))
	seen := make([]bool, len(by))
	for key, name := range by {
		i, err := strconv.Atoi(key)
		if err != nil || i < 0 || i >= len(names) || seen[i] {
			return nil, fmt.Errorf("%s has %q among %d names, whose indices are not those from 0 on", what, key, len(by))
		}
		names[i], seen[i] = name, true
	}
	return names, nil
}

// prepare is how timm prepares images to evaluate them: transforms_imagenet_eval in
// timm/data/transforms_factory.py.
func (t *timmImages) prepare() (c ModelConfig, err error) {
	if len(t.InputSize) != 3 || t.InputSize[1] != t.InputSize[2] {
		return c, fmt.Errorf("its input_size %v is no number of channels and two equal sides", t.InputSize)
	}
	const usualCrop = 0.875 // DEFAULT_CROP_PCT in timm/data/constants.py
	crop := cmp.Or(t.CropPct, usualCrop)
	c = ModelConfig{Size: t.InputSize[1], Interpolation: t.Interpolation, Mean: t.Mean, Std: t.Std}
	switch {
	case !(crop > 0 && crop <= 1):
		return c, fmt.Errorf("its crop_pct is %v, not above 0 and at most 1", crop)
	case t.CropMode == "squash" && crop == 1:
		c.Squash = true
	case t.CropMode != "" && t.CropMode != "center":
		return c, fmt.Errorf("its crop_mode %q with crop_pct %v is not known here", t.CropMode, crop)
	default:
		c.Resize = int(math.Floor(float64(c.Size) / crop))
	}
	return c, c.checkImages()
}

// checkImages holds what a file says to what can be done.
func (c ModelConfig) checkImages() error {
	const most = 4096
	switch {
	case c.Size < 1 || c.Size > most || c.Resize < 0 || c.Resize > most:
		return fmt.Errorf("images of %d pixels, of %d resized, where 1 to %d are possible", c.Size, c.Resize, most)
	case c.Interpolation != "" && c.Interpolation != "bilinear" && c.Interpolation != "bicubic":
		return fmt.Errorf("its interpolation %q is not known here, only bilinear and bicubic", c.Interpolation)
	case c.Squash && c.Interpolation == "bicubic":
		return errors.New("both sides resized by bicubic interpolation is not known here, only by bilinear")
	case len(c.Mean) != len(c.Std):
		return fmt.Errorf("its mean has %d numbers and its deviation %d", len(c.Mean), len(c.Std))
	case slices.ContainsFunc(c.Std, func(v float64) bool { return v <= 0 }):
		return fmt.Errorf("its deviation is %v", c.Std)
	}
	return nil
}

// images says in words how images are prepared.
func (c ModelConfig) images() string {
	text := fmt.Sprintf("the shorter side as %d pixels, the middle as %d", c.Resize, c.Size)
	if c.Squash {
		text = fmt.Sprintf("both sides as %d pixels", c.Size)
	}
	if c.Interpolation != "" {
		text += " by " + c.Interpolation + " interpolation"
	}
	if c.Mean != nil {
		text += fmt.Sprintf(", mean %v, deviation %v", c.Mean, c.Std)
	}
	return text
}

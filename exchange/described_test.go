package exchange_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/residual-ml/residual/exchange"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/prepare"
)

const (
	imageNet  = `"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]`
	imageNetT = `"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]`
)

// The files beside weights set the model's classes and preprocessing. The expected numbers
// come from timm's and transformers' own code.
func TestDescribedWeights(t *testing.T) {
	_, m := net(t, "resnet18", models.Config{Blocks: []int{1, 1, 1, 1}, Classes: 2})
	weights, err := os.ReadFile(foreign(t, nn.StateDict(m), same))
	if err != nil {
		t.Fatal(err)
	}
	mean, std := []float64{0.485, 0.456, 0.406}, []float64{0.229, 0.224, 0.225}
	usual := prepare.Steps{ResizeShorter: 256, Interpolation: "bilinear", Scale: 1.0 / 255, Mean: mean, Std: std}
	bicubic := func(shorter int) prepare.Steps {
		p := usual
		p.ResizeShorter, p.Interpolation = shorter, "bicubic"
		return p
	}
	both := func(side int) prepare.Steps {
		p := usual
		p.ResizeShorter, p.Resize = 0, side
		return p
	}
	warped := func(side int) prepare.Steps {
		p := both(side)
		p.Interpolation = "bicubic"
		return p
	}
	by := func(filter string) prepare.Steps {
		p := usual
		p.Interpolation = filter
		return p
	}
	raw := usual
	raw.Scale, raw.Mean, raw.Std = 1, []float64{1, 1, 1}, []float64{1, 1, 1}
	signed := raw
	signed.Scale, signed.BGR = 0.00784, true
	plain := usual
	plain.Mean, plain.Std = []float64{0, 0, 0}, []float64{1, 1, 1}
	half := usual
	half.Mean, half.Std = []float64{0.5, 0.5, 0.5}, []float64{0.5, 0.5, 0.5}
	for _, c := range []struct {
		what, config, preprocessor string
		want                       prepare.Steps
		size                       int
		classes, note              string
	}{
		{"nothing", "", "", usual, 224, "class 0,class 1", "are numbered"},
		{"timm", `{"architecture": "resnet18", "pretrained_cfg": {"input_size": [3, 224, 224], "test_input_size": [3, 288, 288], "interpolation": "bicubic", "crop_pct": 0.95,
			"crop_mode": "center", "num_classes": 2, "classifier": "fc", ` + imageNet + `}}`, "", bicubic(235), 224, "class 0,class 1", "shorter side as 235 pixels"},
		{"timm's older form", `{"architecture": "resnet18", "input_size": [3, 224, 224], "interpolation": "bicubic", "labels": ["cat", "dog"], ` + imageNet + `}`, "", bicubic(256), 224, "cat,dog", "names of 2 classes"},
		{"timm, both sides", `{"pretrained_cfg": {"input_size": [3, 160, 160], "interpolation": "bilinear", "crop_pct": 1.0, "crop_mode": "squash", ` + imageNet + `}}`, "", both(160), 160, "class 0,class 1", "both sides as 160"},
		{"timm, other figures", `{"pretrained_cfg": {"input_size": [3, 224, 224], "interpolation": "bilinear", "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}}`, "", half, 224, "class 0,class 1", "mean [0.5 0.5 0.5]"},
		{"label_names by index", `{"label_names": {"1": "dog", "0": "n01"}, "label_descriptions": {"n01": "tench"}}`, "", usual, 224, "tench,dog", "names of 2"},
		{"transformers", `{"model_type": "resnet", "id2label": {"1": "dog", "0": "cat"}}`, `{"crop_pct": 0.875, "feature_extractor_type": "ConvNextFeatureExtractor", "resample": 3, "size": 224, ` + imageNetT + `}`, bicubic(256), 224, "cat,dog", "preprocessor_config.json"},
		{"transformers, large", "", `{"image_processor_type": "ConvNextImageProcessor", "resample": 2, "size": {"shortest_edge": 384}, ` + imageNetT + `}`, both(384), 384, "class 0,class 1", "both sides as 384"},
		{"transformers, a crop", "", `{"image_processor_type": "BitImageProcessor", "do_center_crop": true, "crop_size": {"height": 224, "width": 224}, "size": {"shortest_edge": 256}, "resample": 2, "rescale_factor": 0.00392156862745098, ` + imageNetT + `}`, usual, 224, "class 0,class 1", "the middle as 224"},
		{"transformers, no mean", "", `{"crop_pct": 0.875, "size": 224, "do_normalize": false, "resample": 2}`, plain, 224, "class 0,class 1", "mean [0]"},
		{"transformers beside timm", `{"pretrained_cfg": {"input_size": [3, 64, 64]}, "label_names": ["a", "b"]}`, `{"crop_pct": 0.875, "size": 224, "resample": 3, ` + imageNetT + `}`, bicubic(256), 224, "a,b", "256 pixels"},

		{"no JSON", `{"a":`, "", usual, 224, "class 0,class 1", "config.json beside the weights: cannot be read"},
		{"nothing said", `{"a": 1}`, "", usual, 224, "class 0,class 1", "says nothing of classes or images"},
		{"another type", `{"pretrained_cfg": {"mean": "grey"}}`, "", usual, 224, "class 0,class 1", "cannot be read"},
		{"other classes", `{"id2label": {"0": "cat"}}`, "", usual, 224, "class 0,class 1", "names 1 classes, but the weights have 2"},
		{"a gap", `{"id2label": {"0": "cat", "2": "dog"}}`, "", usual, 224, "class 0,class 1", `id2label has the index "2" among 2 names`},
		{"timm, both sides by bicubic", `{"pretrained_cfg": {"input_size": [3, 160, 160], "interpolation": "bicubic", "crop_pct": 1.0, "crop_mode": "squash", ` + imageNet + `}}`, "", warped(160), 160, "class 0,class 1", "both sides as 160"},
		{"timm, its defaults", `{"pretrained_cfg": {"input_size": [3, 224, 224]}}`, "", bicubic(256), 224, "class 0,class 1", "by bicubic"},
		{"warped bicubic", "", `{"image_processor_type": "ViTImageProcessor", "resample": 3, "size": {"height": 224, "width": 224}}`, warped(224), 224, "class 0,class 1", "both sides as 224 pixels by bicubic"},
		{"lanczos", `{"pretrained_cfg": {"input_size": [3, 224, 224], "interpolation": "lanczos", "crop_pct": 0.875, ` + imageNet + `}}`, "", by("lanczos"), 224, "class 0,class 1", "by lanczos"},
		{"nearest", "", `{"crop_pct": 0.875, "resample": 0, "size": 224, ` + imageNetT + `}`, by("nearest"), 224, "class 0,class 1", "by nearest"},
		{"nothing to cut", "", `{"image_processor_type": "ViTImageProcessor", "do_center_crop": true, "crop_size": {"height": 224, "width": 224}, "resample": 2, "size": {"height": 224, "width": 224}}`, both(224), 224, "class 0,class 1", "both sides as 224"},
		{"other bytes", "", `{"crop_pct": 0.875, "rescale_factor": 0.00784, "resample": 2, "size": 224, "image_mean": [1, 1, 1], "image_std": [1, 1, 1], "do_flip_channel_order": true}`, signed, 224, "class 0,class 1", "blue, green, red, bytes times 0.00784"},
		{"bytes as they are", "", `{"crop_pct": 0.875, "do_rescale": false, "resample": 2, "size": 224, "image_mean": [1, 1, 1], "image_std": [1, 1, 1]}`, raw, 224, "class 0,class 1", "bytes times 1"},
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, "model.safetensors")
		for name, text := range map[string]string{"model.safetensors": string(weights), "config.json": c.config, "preprocessor_config.json": c.preprocessor} {
			if text == "" {
				continue
			}
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o666); err != nil {
				t.Fatal(err)
			}
		}
		_, info, notes, err := exchange.FromWeightsAt(path, exchange.ModelConfig{})
		if err != nil {
			t.Errorf("%s: %v", c.what, err)
			continue
		}
		got := info.Preprocess
		if got.Resize != c.want.Resize || got.ResizeShorter != c.want.ResizeShorter || got.Interpolation != c.want.Interpolation ||
			got.Scale != c.want.Scale || got.BGR != c.want.BGR || !slices.Equal(got.Mean, c.want.Mean) || !slices.Equal(got.Std, c.want.Std) {
			t.Errorf("%s: images are prepared by %+v, want %+v", c.what, got, c.want)
		}
		if info.Height != c.size || info.Width != c.size || strings.Join(info.Classes, ",") != c.classes {
			t.Errorf("%s: %dx%d, %q, want %d and %s", c.what, info.Height, info.Width, info.Classes, c.size, c.classes)
		}
		if !strings.Contains(strings.Join(notes, "\n"), c.note) {
			t.Errorf("%s: the notes %q do not say %q", c.what, notes, c.note)
		}
	}
}

// A file that asks for unsupported preprocessing gives an error that names the entry, unless
// the ModelConfig replaces it.
func TestDescribedWeightsRefuse(t *testing.T) {
	_, m := net(t, "resnet18", models.Config{Blocks: []int{1, 1, 1, 1}, Classes: 2})
	weights, err := os.ReadFile(foreign(t, nn.StateDict(m), same))
	if err != nil {
		t.Fatal(err)
	}
	resized, sized := exchange.ModelConfig{Images: prepare.Choice{Resize: 250}}, exchange.ModelConfig{Images: prepare.Choice{Size: 96}}
	smooth, normal := exchange.ModelConfig{Images: prepare.Choice{Interpolation: "bicubic"}}, exchange.ModelConfig{Images: prepare.Choice{Mean: []float64{0, 0, 0}, Std: []float64{1, 1, 1}}}
	scaled := exchange.ModelConfig{Images: prepare.Choice{Scale: 1, Mean: normal.Images.Mean, Std: normal.Images.Std}}
	const hf = "preprocessor_config.json"
	for _, c := range []struct {
		file, text, want string
		settles          exchange.ModelConfig
	}{
		{"config.json", `{"pretrained_cfg": {"input_size": [3, 64, 64], "crop_mode": "border"}}`, `crop_mode "border"`, resized},
		{"config.json", `{"pretrained_cfg": {"input_size": [3, 64, 64], "crop_mode": "squash", "crop_pct": 0.9}}`, `crop_mode "squash" with crop_pct 0.9`, exchange.ModelConfig{Images: prepare.Choice{Squash: true}}},
		{"config.json", `{"pretrained_cfg": {"input_size": [3, 64, 32]}}`, "input_size [3 64 32]", sized},
		{"config.json", `{"pretrained_cfg": {"input_size": [3, 64, 64], "crop_pct": -1}}`, "crop_pct is -1", exchange.ModelConfig{Images: prepare.Choice{Crop: 0.9}}},
		{"config.json", `{"pretrained_cfg": {"input_size": [3, 64000, 64000]}}`, "64000 pixels", sized},
		{"config.json", `{"pretrained_cfg": {"input_size": [3, 64, 64], "interpolation": "area"}}`, `interpolation "area"`, smooth},
		{"config.json", `{"pretrained_cfg": {"input_size": [3, 64, 64], "mean": [0.5, 0.5, 0.5]}}`, "std 0", normal},
		{"config.json", `{"pretrained_cfg": {"input_size": [1, 224, 224], "mean": [0.5, 0.4], "std": [0.5, 0.5]}}`, "a mean for 2 channels", normal},
		{hf, `{"do_resize": false, "size": 224}`, "images that are not resized", resized},
		{hf, `{"crop_pct": 1, "resample": 6, "size": 224}`, "resample 6", smooth},
		{hf, `{"crop_pct": 1, "resample": -1, "size": 224}`, "resample -1", smooth},
		{hf, `{"image_processor_type": "ViTImageProcessor", "size": {"height": 224, "width": 200}}`, "no size of a square", sized},
		{hf, `{"do_center_crop": true, "crop_size": 200, "size": {"height": 224, "width": 224}}`, "after resizing both sides", resized},
		{hf, `{"size": 224, "do_pad": true}`, "do_pad", resized},
		{hf, `{"size": 224, "rescale_offset": true}`, "rescale_offset", scaled},
		{hf, `{"size": 224, "rescale_factor": 0}`, "rescale_factor is 0", scaled},
		{hf, `{"image_processor_type": "EfficientNetImageProcessor", "size": 224, "include_top": true}`, "include_top", normal},
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, "model.safetensors")
		for name, text := range map[string]string{path: string(weights), filepath.Join(dir, c.file): c.text} {
			if err := os.WriteFile(name, []byte(text), 0o666); err != nil {
				t.Fatal(err)
			}
		}
		_, _, _, err := exchange.FromWeightsAt(path, exchange.ModelConfig{})
		unsaid := new(exchange.UnsaidError)
		if !errors.As(err, &unsaid) || unsaid.Path != path || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "beside the weights") {
			t.Errorf("%s: %v, want %q", c.text, err, c.want)
		}
		if _, _, _, err := exchange.FromWeightsAt(path, c.settles); err != nil {
			t.Errorf("%s with %+v: %v", c.text, c.settles, err)
		}
	}
}

// The ModelConfig takes precedence over the files.
func TestConfigOverridesDescription(t *testing.T) {
	_, m := net(t, "resnet18", models.Config{Blocks: []int{1, 1, 1, 1}, Classes: 2})
	path := foreign(t, nn.StateDict(m), same)
	config := `{"label_names": ["a", "b"], "pretrained_cfg": {"input_size": [3, 64, 64], "interpolation": "bilinear", "crop_pct": 1, "crop_mode": "squash", ` + imageNet + `}}`
	if err := os.WriteFile(filepath.Join(filepath.Dir(path), "config.json"), []byte(config), 0o666); err != nil {
		t.Fatal(err)
	}
	_, info, _, err := exchange.FromWeightsAt(path, exchange.ModelConfig{Classes: []string{"x", "y"}, Images: prepare.Choice{Resize: 70, Mean: []float64{0, 0, 0}, Std: []float64{2, 2, 2}}})
	p := info.Preprocess
	if err != nil || info.Height != 64 || p.Resize != 0 || p.ResizeShorter != 70 || p.Std[0] != 2 || info.Classes[0] != "x" {
		t.Errorf("%+v, %v", info, err)
	}
}

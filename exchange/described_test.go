package exchange_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/exchange"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/nn"
)

const (
	imageNet  = `"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]`
	imageNetT = `"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]`
)

// What the files beside weights say becomes the model's; the figures are what timm's
// and transformers' own code makes of these files.
func TestDescribedWeights(t *testing.T) {
	_, m := net(t, "resnet18", models.Config{Blocks: []int{1, 1, 1, 1}, Classes: 2})
	weights, err := os.ReadFile(foreign(t, nn.StateDict(m), same))
	if err != nil {
		t.Fatal(err)
	}
	mean, std := []float64{0.485, 0.456, 0.406}, []float64{0.229, 0.224, 0.225}
	usual := checkpoint.Preprocess{ResizeShorter: 256, Interpolation: "bilinear", Scale: 1.0 / 255, Mean: mean, Std: std}
	bicubic := func(shorter int) checkpoint.Preprocess {
		p := usual
		p.ResizeShorter, p.Interpolation = shorter, "bicubic"
		return p
	}
	both := func(side int) checkpoint.Preprocess {
		p := usual
		p.ResizeShorter, p.Resize = 0, side
		return p
	}
	plain := usual
	plain.Mean, plain.Std = []float64{0, 0, 0}, []float64{1, 1, 1}
	half := usual
	half.Mean, half.Std = []float64{0.5, 0.5, 0.5}, []float64{0.5, 0.5, 0.5}
	for _, c := range []struct {
		what, config, preprocessor string
		want                       checkpoint.Preprocess
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
		{"other classes", `{"id2label": {"0": "cat"}}`, "", usual, 224, "class 0,class 1", "names 1 classes, and they tell 2 apart"},
		{"a gap", `{"id2label": {"0": "cat", "2": "dog"}}`, "", usual, 224, "class 0,class 1", `id2label has "2" among 2 names`},
		{"a border", `{"label_names": ["a", "b"], "pretrained_cfg": {"input_size": [3, 64, 64], "crop_mode": "border"}}`, "", usual, 224, "a,b", `crop_mode "border"`},
		{"oblong", `{"pretrained_cfg": {"input_size": [3, 64, 32]}}`, "", usual, 224, "class 0,class 1", "input_size [3 64 32]"},
		{"a crop of everything", `{"pretrained_cfg": {"input_size": [3, 64, 64], "crop_pct": -1}}`, "", usual, 224, "class 0,class 1", "crop_pct is -1"},
		{"huge", `{"pretrained_cfg": {"input_size": [3, 64000, 64000]}}`, "", usual, 224, "class 0,class 1", "64000 pixels"},
		{"lanczos", `{"pretrained_cfg": {"input_size": [3, 64, 64], "interpolation": "lanczos"}}`, "", usual, 224, "class 0,class 1", `interpolation "lanczos"`},
		{"half a figure", `{"pretrained_cfg": {"input_size": [3, 64, 64], "mean": [0.5, 0.5, 0.5]}}`, "", usual, 224, "class 0,class 1", "deviation 0"},
		{"grey figures", `{"pretrained_cfg": {"input_size": [1, 224, 224], "interpolation": "bilinear", "mean": [0.5, 0.4], "std": [0.5, 0.5]}}`, "", usual, 224, "class 0,class 1", "a mean of 2 channels"},
		{"no resizing", "", `{"do_resize": false, "size": 224}`, usual, 224, "class 0,class 1", "preprocessor_config.json beside the weights: images that are not resized"},
		{"other bytes", "", `{"crop_pct": 1, "rescale_factor": 0.0078, "size": 224}`, usual, 224, "class 0,class 1", "255th part"},
		{"nearest", "", `{"crop_pct": 1, "resample": 0, "size": 224}`, usual, 224, "class 0,class 1", "resample 0"},
		{"warped bicubic", "", `{"image_processor_type": "ViTImageProcessor", "resample": 3, "size": {"height": 224, "width": 224}}`, usual, 224, "class 0,class 1", "only by bilinear"},
		{"no size", "", `{"image_processor_type": "ViTImageProcessor", "size": {"height": 224, "width": 200}}`, usual, 224, "class 0,class 1", "no size of a square"},
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
		_, info, notes, err := exchange.FromWeights(path, exchange.ModelConfig{})
		if err != nil {
			t.Errorf("%s: %v", c.what, err)
			continue
		}
		got := info.Preprocess
		if got.Resize != c.want.Resize || got.ResizeShorter != c.want.ResizeShorter || got.Interpolation != c.want.Interpolation ||
			got.Scale != c.want.Scale || !slices.Equal(got.Mean, c.want.Mean) || !slices.Equal(got.Std, c.want.Std) {
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

// What is asked for goes before what the files say.
func TestDescribedWeightsGiveWay(t *testing.T) {
	_, m := net(t, "resnet18", models.Config{Blocks: []int{1, 1, 1, 1}, Classes: 2})
	path := foreign(t, nn.StateDict(m), same)
	config := `{"label_names": ["a", "b"], "pretrained_cfg": {"input_size": [3, 64, 64], "interpolation": "bilinear", "crop_pct": 1, "crop_mode": "squash", ` + imageNet + `}}`
	if err := os.WriteFile(filepath.Join(filepath.Dir(path), "config.json"), []byte(config), 0o666); err != nil {
		t.Fatal(err)
	}
	_, info, _, err := exchange.FromWeights(path, exchange.ModelConfig{Classes: []string{"x", "y"}, Resize: 70, Mean: []float64{0, 0, 0}, Std: []float64{2, 2, 2}})
	p := info.Preprocess
	if err != nil || info.Height != 64 || p.Resize != 0 || p.ResizeShorter != 70 || p.Std[0] != 2 || info.Classes[0] != "x" {
		t.Errorf("%+v, %v", info, err)
	}
}

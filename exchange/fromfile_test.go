package exchange

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/prepare"
	"github.com/residual-ml/residual/weights"
	"github.com/residual-ml/residual/weights/onnx"
)

// renamed renames the parameters of a graph.
func renamed(m *onnx.Model, name func(i int, old string) string) *onnx.Model {
	names := map[string]string{}
	for i := range m.Graph.Initialisers {
		t := &m.Graph.Initialisers[i]
		names[t.Name] = name(i, t.Name)
		t.Name = names[t.Name]
	}
	for i := range m.Graph.Nodes {
		n := &m.Graph.Nodes[i]
		n.Name = fmt.Sprint("node_", i)
		n.Inputs = slices.Clone(n.Inputs)
		for k, in := range n.Inputs {
			if other, ok := names[in]; ok {
				n.Inputs[k] = other
			}
		}
	}
	return m
}

func nameless(i int, _ string) string { return fmt.Sprint("resnetv15_t", i) }

// Two models compute the same once their batch norms are folded but take different images. The
// names decide, whatever their prefix; then the size, channels and classes; otherwise
// Recognise returns an UnsaidError.
func TestRecogniseAmongModelsThatComputeTheSame(t *testing.T) {
	prefixed := func(_ int, name string) string { return "model.net." + name }
	for _, c := range []struct {
		channels, classes, side int
		any                     bool
		name                    func(int, string) string
		want                    string
	}{
		{3, 5, 224, false, nameless, "resnet18"},
		{3, 5, 224, true, nameless, "resnet18"},
		{3, 1000, 96, false, nameless, ""}, // the size is that of the other model
		{3, 5, 96, false, prefixed, "resnet18"},
		{1, 10, 96, false, prefixed, "resnet18"},
		{1, 10, 96, false, nameless, "d2l-resnet18"},
		{1, 10, 96, true, nameless, "d2l-resnet18"},
		{1, 10, 224, false, nameless, ""},
		{2, 10, 224, false, nameless, ""},
		{2, 7, 64, false, nameless, ""}, // nothing matches either model
	} {
		what := fmt.Sprintf("%d channels, %d classes, %d pixels, any size %v", c.channels, c.classes, c.side, c.any)
		e, err := models.Lookup("resnet18")
		if err != nil {
			t.Fatal(err)
		}
		m := e.New(models.Config{Channels: c.channels, Classes: c.classes, Blank: true})
		net := imported(t, renamed(exported(t, m, ExportConfig{Input: prepare.Input{Channels: c.channels, Height: c.side, Width: c.side}, AnySize: c.any, Fold: true}), c.name))
		match, found, err := Recognise(net, "")
		unsaid := new(UnsaidError)
		switch asked := errors.As(err, &unsaid); {
		case c.want == "" && (!asked || found != nil || !slices.Equal(unsaid.Fields, []string{"Model"}) || !strings.Contains(unsaid.Why, "d2l-resnet18 and resnet18")):
			t.Errorf("%s: %s, %v; it should be asked", what, match.Entry.Name, err)
		case c.want != "" && (err != nil || match.Entry.Name != c.want):
			t.Errorf("%s: %q, %v; want %s", what, match.Entry.Name, err, c.want)
		}
		for _, likely := range []string{"resnet18", "d2l-resnet18"} {
			if match, _, err := Recognise(net, likely); err != nil || match.Entry.Name != likely {
				t.Errorf("%s, said to be %s: %s, %v", what, likely, match.Entry.Name, err)
			}
		}
	}
}

// write writes the graph of m to a file without metadata.
func write(t *testing.T, m nn.Module, c ExportConfig, name func(int, string) string) string {
	t.Helper()
	g := exported(t, m, c)
	if name != nil {
		g = renamed(g, name)
	}
	path := filepath.Join(t.TempDir(), "model.onnx")
	if err := checkpoint.WriteFile(path, func(w io.Writer) error { return onnx.Write(w, g) }); err != nil {
		t.Fatal(err)
	}
	return path
}

// Images are prepared for the size that a graph takes. The ratio of the resize to the crop is
// the model's own, that of a file beside the graph, or the one asked for.
func TestPreparedForTheGraphsSize(t *testing.T) {
	e, err := models.Lookup("resnet18")
	if err != nil {
		t.Fatal(err)
	}
	m := e.New(models.Config{Classes: 2, Blocks: []int{1, 1, 1, 1}, Blank: true})
	const timm = `{"architecture": "resnet18", "pretrained_cfg": {"input_size": [3, 224, 224], "crop_pct": 0.95, "interpolation": "bicubic", "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}}`
	for _, c := range []struct {
		side                     int
		any                      bool
		beside                   string
		config                   ModelConfig
		height, resize, shorter  int
		interpolation, wantError string
	}{
		{side: 64, height: 64, shorter: 73},
		{side: 96, height: 96, shorter: 109},
		{side: 224, height: 224, shorter: 256},
		{side: 299, height: 299, shorter: 341},
		{side: 384, height: 384, shorter: 438},
		{side: 224, any: true, height: 224, shorter: 256},
		{side: 224, any: true, config: ModelConfig{Images: prepare.Choice{Size: 96}}, height: 96, shorter: 109},
		{side: 96, config: ModelConfig{Images: prepare.Choice{Resize: 100}}, height: 96, shorter: 100},
		{side: 96, config: ModelConfig{Images: prepare.Choice{Crop: 0.9}}, height: 96, shorter: 106},
		{side: 96, config: ModelConfig{Images: prepare.Choice{Squash: true}}, height: 96, resize: 96},
		{side: 96, config: ModelConfig{Images: prepare.Choice{Size: 96}}, height: 96, shorter: 109},
		{side: 96, config: ModelConfig{Images: prepare.Choice{Size: 224}}, wantError: "takes images of 96x96, not 224x224"},
		{side: 96, beside: timm, height: 96, shorter: 101, interpolation: "bicubic"},
		{side: 224, any: true, beside: timm, height: 224, shorter: 235, interpolation: "bicubic"},
		{side: 224, any: true, beside: timm, config: ModelConfig{Images: prepare.Choice{Size: 288}}, height: 288, shorter: 303, interpolation: "bicubic"},
		{side: 96, beside: timm, config: ModelConfig{Images: prepare.Choice{Interpolation: "bilinear"}}, height: 96, shorter: 101},
	} {
		path := write(t, m, ExportConfig{Input: prepare.Input{Channels: 3, Height: c.side, Width: c.side}, AnySize: c.any}, nil)
		if c.beside != "" {
			if err := os.WriteFile(filepath.Join(filepath.Dir(path), "config.json"), []byte(c.beside), 0o666); err != nil {
				t.Fatal(err)
			}
		}
		_, info, _, err := FromFileAt(path, c.config)
		if c.wantError != "" {
			if err == nil || !strings.Contains(err.Error(), c.wantError) {
				t.Errorf("%+v: %v", c, err)
			}
			continue
		}
		p := info.Preprocess
		if c.interpolation == "" {
			c.interpolation = "bilinear"
		}
		if err != nil || info.Height != c.height || info.Width != c.height || p.Resize != c.resize || p.ResizeShorter != c.shorter || p.Interpolation != c.interpolation || info.Architecture != "resnet18" {
			t.Errorf("%+v: %+v, %v", c, info, err)
		}
	}
}

// timm's config.json beside a graph decides between two models that compute the same.
func TestRecogniseByConfig(t *testing.T) {
	e, err := models.Lookup("resnet18")
	if err != nil {
		t.Fatal(err)
	}
	m := e.New(models.Config{Classes: 5, Blank: true})
	path := write(t, m, ExportConfig{Input: prepare.Input{Channels: 3, Height: 96, Width: 96}, Fold: true}, nameless)
	if _, _, _, err := FromFileAt(path, ModelConfig{}); !errors.As(err, new(*UnsaidError)) || !strings.HasPrefix(err.Error(), path) {
		t.Errorf("without: %v", err)
	}
	if err := os.WriteFile(filepath.Join(filepath.Dir(path), "config.json"), []byte(`{"architecture": "resnet18"}`), 0o666); err != nil {
		t.Fatal(err)
	}
	if match, err := opened(path, func(f *weights.File) (models.Match, error) {
		match, _, _, err := RecogniseFile(f, ModelConfig{})
		return match, err
	}); err != nil || match.Entry.Name != "resnet18" {
		t.Errorf("with: %s, %v", match.Entry.Name, err)
	}
	if _, info, _, err := FromFileAt(path, ModelConfig{Model: "d2l-resnet18"}); err != nil || info.Architecture != "d2l-resnet18" || info.Preprocess.Resize != 96 {
		t.Errorf("said otherwise: %+v, %v", info, err)
	}
}

// The classes of an ImageNet model have ImageNet's names if no file gives any.
func TestImageNetClassNames(t *testing.T) {
	e, err := models.Lookup("resnet18")
	if err != nil {
		t.Fatal(err)
	}
	for classes, want := range map[int]string{1000: "goldfish", 999: "class 1"} {
		m := e.New(models.Config{Classes: classes, Blocks: []int{1, 1, 1, 1}, Blank: true})
		_, info, notes, err := FromWeightsAt(write(t, m, ExportConfig{Input: prepare.Input{Channels: 3, Height: 64, Width: 64}}, nil), ModelConfig{})
		if err != nil || info.Classes[1] != want || len(notes) != 1 || strings.Contains(notes[0], "ImageNet") != (classes == 1000) {
			t.Errorf("%d classes: %q, %q, %v", classes, info.Classes[1], notes, err)
		}
	}
}

// The error of a graph that does not give the logits of exclusive classes says what it gives.
func TestGraphsThatClassifyOtherwise(t *testing.T) {
	normal := ModelConfig{Images: prepare.Choice{Mean: []float64{0, 0, 0}, Std: []float64{1, 1, 1}}}
	for want, last := range map[string][]nn.Module{
		"ends in a Sigmoid":                  {nn.NewLinear(4, 5), nn.Sigmoid{}},
		"returns one number for an image":    {nn.NewLinear(4, 1)},
		"none of the networks known by name": {nn.NewLinear(4, 5)}, // no mean and std are given
	} {
		m := append(nn.Sequential{nn.NewConv2d(3, 4, 3, nn.Conv{}), nn.ReLU{}, nn.AdaptiveAvgPool2d{}, nn.Flatten{}}, last...)
		path := write(t, m, ExportConfig{Input: prepare.Input{Channels: 3, Height: 9, Width: 9}}, nil)
		c := normal
		if strings.HasPrefix(want, "none") {
			c = ModelConfig{}
		}
		if _, _, _, err := FromFileAt(path, c); err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), path) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

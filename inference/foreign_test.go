package inference_test

import (
	"encoding/json"
	"errors"
	"image"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/exchange"
	"github.com/residual-ml/residual/inference"
	"github.com/residual-ml/residual/modelfile"
	"github.com/residual-ml/residual/prepare"
)

// foreignCase is a graph that foreign_graphs.py exported, with ONNX Runtime's result for
// testdata/photo.png.
type foreignCase struct {
	Name   string
	Config struct {
		Classes []string
		prepare.Choice
	}
	Probabilities []float64
}

func (c foreignCase) config() exchange.ModelConfig {
	return exchange.ModelConfig{Classes: c.Config.Classes, Images: c.Config.Choice}
}

func (c foreignCase) path() string { return filepath.Join("testdata", c.Name+".onnx") }

func foreignCases(t *testing.T) []foreignCase {
	t.Helper()
	text, err := os.ReadFile("testdata/foreign_graphs.json")
	if err != nil {
		t.Fatal(err)
	}
	var all struct{ Cases []foreignCase }
	if err := json.Unmarshal(text, &all); err != nil || len(all.Cases) != 4 {
		t.Fatalf("%d cases, %v", len(all.Cases), err)
	}
	return all.Cases
}

// Graphs of other programs that are no known model give ONNX Runtime's probabilities for an
// image that is prepared as config says. They end in logits or a softmax, take batches and
// images of any size or of one size, oblong images too, have additional outputs, and take
// bytes or channels last. An imported file needs no config any more.
func TestForeignGraphs(t *testing.T) {
	dev := device(t)
	for _, c := range foreignCases(t) {
		check := func(what string, m *inference.Classifier, err error) {
			t.Helper()
			if err != nil {
				t.Errorf("%s, %s: %v", c.Name, what, err)
				return
			}
			for k := range 2 { // alone, and in a batch of two
				img, err := m.OpenImage(t.Context(), "testdata/photo.png")
				if err != nil {
					t.Fatal(err)
				}
				all, err := m.PredictAll(t.Context(), slices.Repeat([]image.Image{img}, k+1), 0)
				if err != nil {
					t.Errorf("%s, %s: %v", c.Name, what, err)
					return
				}
				for _, p := range all[k] {
					if want := c.Probabilities[p.Index]; math.Abs(p.Probability-want) > 1e-5 {
						t.Errorf("%s, %s: class %d has the probability %v, by ONNX Runtime %v", c.Name, what, p.Index, p.Probability, want)
					}
				}
			}
		}
		config := c.config()
		m, notes, err := inference.LoadAs(c.path(), config, dev, engine.FP32)
		check("with settings", m, err)
		if named := strings.Contains(strings.Join(notes, "\n"), "the 7 classes are numbered"); named != (config.Classes == nil) {
			t.Errorf("%s: notes %q", c.Name, notes)
		}
		if c.Name == "foreign-features" { // the imported file then says so
			config.Output = "answer"
		}
		opened, err := modelfile.Open(c.path(), modelfile.Options{ModelConfig: config, Identify: true})
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "imported.onnx")
		if err := exchange.SaveGraph(path, c.path(), opened.Info); err != nil {
			t.Fatal(err)
		}
		m, err = inference.Load(path, dev, engine.FP32)
		check("imported", m, err)
		if err == nil && m.Info().Architecture != exchange.GraphArchitecture {
			t.Errorf("%s: it is %q", c.Name, m.Info().Architecture)
		}
		exported := filepath.Join(t.TempDir(), "exported.onnx")
		if err == nil {
			_, err = exchange.Save(exported, m.Module(), m.Info(), exchange.ExportConfig{})
		}
		if err != nil {
			t.Fatal(err)
		}
		m, err = inference.Load(exported, dev, engine.FP32)
		check("exported anew", m, err)
		if again, err := modelfile.Open(path, modelfile.Options{Identify: true}); err != nil || again.Graph == nil {
			t.Errorf("%s: imported again it is %+v, %v", c.Name, again, err)
		}
		if _, err := modelfile.OpenKnown(path, exchange.ModelConfig{}); err == nil || !strings.Contains(err.Error(), "none of the networks known by name") {
			t.Errorf("%s: as a model of Residual's own: %v", c.Name, err)
		}
	}
}

// If neither the file nor config says something, one error asks for everything that is
// missing. Impossible values are refused.
func TestForeignGraphsAsk(t *testing.T) {
	dev := device(t)
	normal := exchange.ModelConfig{Images: prepare.Choice{Mean: []float64{0, 0, 0}, Std: []float64{1, 1, 1}}}
	sized := normal
	sized.Images.Size = 30
	none := normal
	none.Output = "maps"
	for _, c := range []struct {
		file   string
		config exchange.ModelConfig
		fields []string
		want   string
	}{
		{"foreign-logits", exchange.ModelConfig{}, []string{"Mean", "Std"}, "none of the networks known by name"},
		{"foreign-softmax", exchange.ModelConfig{}, []string{"Size", "Mean", "Std"}, "any size"},
		{"foreign-softmax", normal, []string{"Size"}, "any size"},
		{"foreign-softmax", exchange.ModelConfig{Images: prepare.Choice{Size: 26}}, []string{"Mean", "Std"}, "Images.Mean and Images.Std in ModelConfig"},
		{"foreign-logits", sized, nil, "takes images of 24x24, not 30x30"},
		{"foreign-logits", exchange.ModelConfig{Images: prepare.Choice{Mean: []float64{0}, Std: []float64{1}}}, nil, "a mean of 1 values for 3 channels"},
		{"foreign-logits", exchange.ModelConfig{Model: "resnet18"}, nil, "none of the networks known by name"},
		{"foreign-features", exchange.ModelConfig{Output: "none"}, nil, `has no output "none"; its outputs are maps, answer`},
		{"foreign-features", none, nil, "where a classifier gives [N, classes]"},
		{"foreign-bytes", exchange.ModelConfig{Images: prepare.Choice{Mean: []float64{0}, Std: []float64{1}}}, nil, "no scale, mean or std can be given"},
		{"foreign-bytes", exchange.ModelConfig{Classes: []string{"a", "b"}}, nil, "7 classes, but 2 names"},
	} {
		path := filepath.Join("testdata", c.file+".onnx")
		_, _, err := inference.LoadAs(path, c.config, dev, engine.FP32)
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), path) {
			t.Errorf("%s with %+v: %v, want %q", c.file, c.config, err, c.want)
		}
		unsaid := new(exchange.UnsaidError)
		if errors.As(err, &unsaid) != (c.fields != nil) || !slices.Equal(unsaid.Fields, c.fields) {
			t.Errorf("%s with %+v asks for %v, want %v (%v)", c.file, c.config, unsaid.Fields, c.fields, err)
		}
	}
}

// LoadAs's config overrides the description in a model file of any format.
func TestLoadAsRestates(t *testing.T) {
	dev := device(t)
	_, path := save(t, presetInfo(), nil)
	whole := strings.Split("zyxwvutsrq", "")
	m, _, err := inference.LoadAs(path, exchange.ModelConfig{Images: prepare.Choice{Squash: true, Mean: []float64{1, 2, 3}, Std: []float64{4, 5, 6}, Scale: 1}, Classes: whole}, dev, engine.FP32)
	if err != nil {
		t.Fatal(err)
	}
	p := m.Info().Preprocess
	if p.Resize != 24 || p.ResizeShorter != 0 || p.Interpolation != "bicubic" || p.Scale != 1 || p.Mean[2] != 3 || p.Std[0] != 4 || m.Info().Classes[0] != "z" {
		t.Errorf("its description is %+v", m.Info())
	}
	// Another size keeps the proportion: 27 of 24 becomes 36 of 32.
	if m, _, err = inference.LoadAs(path, exchange.ModelConfig{Images: prepare.Choice{Size: 32}}, dev, engine.FP32); err != nil || m.Info().Height != 32 || m.Info().Preprocess.ResizeShorter != 36 {
		t.Errorf("%+v, %v", m, err)
	}
	if m, _, err = inference.LoadAs(path, exchange.ModelConfig{}, dev, engine.FP32); err != nil || m.Info().Preprocess.ResizeShorter != 27 || m.Info().Classes[0] != classes()[0] {
		t.Errorf("nothing said: %+v, %v", m, err)
	}
	for want, c := range map[string]exchange.ModelConfig{
		"10 classes, but 2 names":    {Classes: []string{"a", "b"}},
		"not resnet50":               {Model: "resnet50"},
		"of 1 values for 3 channels": {Images: prepare.Choice{Mean: []float64{0}, Std: []float64{1}}},
	} {
		if _, _, err := inference.LoadAs(path, c, dev, engine.FP32); err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), path) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}

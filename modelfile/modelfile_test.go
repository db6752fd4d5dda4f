package modelfile_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/exchange"
	"github.com/residual-ml/residual/modelfile"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/prepare"
	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/weights/npz"
)

func trained(t *testing.T) (nn.Module, checkpoint.Model) {
	t.Helper()
	e, err := models.Lookup("d2l-bnlenet")
	if err != nil {
		t.Fatal(err)
	}
	m := e.New(models.Config{Classes: 3})
	r := rand.New(rand.NewPCG(1, 2))
	for _, p := range nn.Parameters(m) {
		for i := range p.Value.Data() {
			p.Value.Data()[i] = r.Float32()
		}
	}
	return m, checkpoint.Model{
		Architecture: e.Name, Classes: []string{"heel", "sole", "tongue"},
		Input: prepare.Input{Channels: 1, Height: 28, Width: 28, Preprocess: prepare.Steps{Grey: true, Mean: []float64{0.3}, Std: []float64{0.4}}},
	}
}

func same(t *testing.T, what string, a, b nn.Module) {
	t.Helper()
	if !slices.EqualFunc(nn.StateDict(a), nn.StateDict(b), func(x, y tensor.Named) bool {
		return x.Name == y.Name && slices.Equal(x.Tensor.Data(), y.Tensor.Data())
	}) {
		t.Errorf("%s: not the weights that were written", what)
	}
}

// files writes one network in every format, under names with missing or wrong endings.
func files(t *testing.T, m nn.Module, info checkpoint.Model) (model, graph, arrays string) {
	t.Helper()
	dir := t.TempDir()
	model, graph, arrays = filepath.Join(dir, "model.onnx"), filepath.Join(dir, "graph.safetensors"), filepath.Join(dir, "arrays")
	_, err := exchange.Save(graph, m, info, exchange.ExportConfig{})
	if err = errors.Join(err, checkpoint.SaveModel(model, info, nn.StateDict(m))); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := errors.Join(npz.Write(&b, nn.StateDict(m)), os.WriteFile(arrays, b.Bytes(), 0o666)); err != nil {
		t.Fatal(err)
	}
	return model, graph, arrays
}

// The kind of a file is recognised by its content, and every way to open it gives the same
// weights and the same description.
func TestOpenByContent(t *testing.T) {
	m, info := trained(t)
	model, graph, arrays := files(t, m, info)
	for _, path := range []string{model, graph} {
		got, err := modelfile.Open(path, modelfile.Options{})
		if err != nil {
			t.Fatal(err)
		}
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		read, err := modelfile.Read(bytes.NewReader(content), int64(len(content)), "embedded")
		if err != nil {
			t.Fatal(err)
		}
		for _, got := range []*modelfile.Model{got, read} {
			if (got.Graph != nil) != (path == graph) || len(got.Notes) != 0 || got.Info.Preparation() != info.Preparation() || !slices.Equal(got.Info.Classes, info.Classes) {
				t.Errorf("%s: %+v, %v", got.Path, got.Info, got.Notes)
			}
		}
		known, err := modelfile.OpenKnown(path, exchange.ModelConfig{})
		if err != nil || known.Info.Architecture != info.Architecture {
			t.Fatalf("%s: %v, %v", path, known, err)
		}
		same(t, path, known.Module, m)
		if got, err = modelfile.Open(path, modelfile.Options{ModelConfig: exchange.ModelConfig{Classes: []string{"a", "b", "c"}, Images: prepare.Choice{Scale: 1, Mean: []float64{1}, Std: []float64{2}}}}); err != nil ||
			got.Info.Classes[0] != "a" || got.Info.Preprocess.Std[0] != 2 || got.Info.Preprocess.Scale != 1 {
			t.Errorf("%s: %v, %v: what is said does not go before what the file says", path, got, err)
		}
	}
	if _, err := modelfile.Open(arrays, modelfile.Options{}); err == nil || !strings.Contains(err.Error(), arrays+": holds only weights, as a .npz file") {
		t.Error(err)
	}
	for _, path := range []string{model, graph, arrays} {
		got, err := modelfile.Open(path, modelfile.Options{Identify: true})
		if err != nil || got.Info.Architecture != info.Architecture || got.Graph != nil {
			t.Fatalf("%s: %v, %v", path, got, err)
		}
		same(t, path, got.Module, m)
	}
	e, _ := models.Lookup(info.Architecture)
	own := e.New(models.Config{Classes: 3})
	if _, err := modelfile.OpenInto(own, model); err != nil {
		t.Fatal(err)
	}
	same(t, "into a network of one's own", own, m)
}

// A graph without a description is an error that says what to give, unless
// Options.Undescribed is set.
func TestUndescribed(t *testing.T) {
	const path = "../inference/testdata/foreign-logits.onnx"
	if _, err := modelfile.Open(path, modelfile.Options{}); !errors.As(err, new(*exchange.UnsaidError)) || !strings.HasPrefix(err.Error(), path) {
		t.Error(err)
	}
	m, err := modelfile.Open(path, modelfile.Options{Undescribed: true})
	if err != nil || m.Graph == nil || m.Module == nil || m.Info.Architecture != "" || !errors.As(m.Undescribed, new(*exchange.UnsaidError)) {
		t.Errorf("%+v, %v", m, err)
	}
	zero, one := []float64{0, 0, 0}, []float64{1, 1, 1}
	m, err = modelfile.Open(path, modelfile.Options{ModelConfig: exchange.ModelConfig{Images: prepare.Choice{Mean: zero, Std: one}}, Undescribed: true})
	if err != nil || m.Undescribed != nil || m.Info.Architecture != exchange.GraphArchitecture || len(m.Notes) == 0 {
		t.Errorf("%+v, %v", m, err)
	}
}

// The error of a file that is not a model names it.
func TestOpenRefuses(t *testing.T) {
	m, info := trained(t)
	model, graph, _ := files(t, m, info)
	for _, path := range []string{model, graph} {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		cut := filepath.Join(t.TempDir(), "cut")
		if err := os.WriteFile(cut, content[:len(content)-100], 0o666); err != nil {
			t.Fatal(err)
		}
		for _, o := range []modelfile.Options{{}, {Identify: true}, {Undescribed: true}} {
			if got, err := modelfile.Open(cut, o); err == nil || got != nil || !strings.HasPrefix(err.Error(), cut) {
				t.Errorf("%v, %v", got, err)
			}
		}
		if _, err := modelfile.Read(bytes.NewReader(content[:len(content)-100]), int64(len(content)-100), "embedded"); err == nil || !strings.HasPrefix(err.Error(), "embedded") {
			t.Error(err)
		}
	}
	absent := filepath.Join(t.TempDir(), "absent")
	if _, err := modelfile.Open(absent, modelfile.Options{}); err == nil || !strings.Contains(err.Error(), absent) {
		t.Error(err)
	}
	info.Width = 32
	wrong := filepath.Join(t.TempDir(), "wrong")
	if err := checkpoint.SaveModel(wrong, info, nn.StateDict(m)); err != nil {
		t.Fatal(err)
	}
	if got, err := modelfile.Open(wrong, modelfile.Options{}); err == nil || got != nil || !strings.Contains(err.Error(), "says that its input is") {
		t.Error(err)
	}
}

// Describe returns what safetensors and ONNX files say of their models, and an error for
// files that say nothing.
func TestDescribe(t *testing.T) {
	m, info := trained(t)
	model, graph, arrays := files(t, m, info)
	for _, path := range []string{model, graph} {
		got, err := modelfile.Describe(path)
		if err != nil || got.Architecture != info.Architecture || !slices.Equal(got.Classes, info.Classes) || !slices.Equal(got.Preprocess.Std, info.Preprocess.Std) {
			t.Errorf("%s: %+v, %v", path, got, err)
		}
	}
	if _, err := modelfile.Describe(arrays); !errors.Is(err, checkpoint.ErrNoModel) || !strings.HasPrefix(err.Error(), arrays) {
		t.Errorf("of arrays: %v", err)
	}
	if _, err := modelfile.Describe(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("of no file: %v", err)
	}
	// A graph that is no model of the registry is described, and nothing that a training can build.
	unnamed := filepath.Join(t.TempDir(), "unnamed.onnx")
	info.Architecture = exchange.GraphArchitecture
	if err := exchange.SaveGraph(unnamed, graph, info); err != nil {
		t.Fatal(err)
	}
	if got, err := modelfile.Describe(unnamed); err == nil || !strings.Contains(err.Error(), "none of the models of the registry") {
		t.Errorf("of an unnamed graph: %+v, %v", got, err)
	}
}

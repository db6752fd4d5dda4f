package exchange_test

import (
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/exchange"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/prepare"
	"github.com/residual-ml/residual/weights/onnx"
)

const strided = "resnet9-16-s2"

// The stride of a 3x3 stem is in no shape. Weights alone are taken to have the model's own, with a note; a
// file that names the model has that model's.
func TestStemOfWeights(t *testing.T) {
	e, m := net(t, strided, models.Config{Classes: 4})
	path := foreign(t, nn.StateDict(m), same)
	_, info, notes, err := exchange.FromWeightsAt(path, exchange.ModelConfig{})
	if err != nil || info.Architecture != "resnet9-16" || !strings.Contains(strings.Join(notes, "; "), "taken to be 1; in resnet9-16-s2 it is 2") {
		t.Errorf("weights alone are %s with %q, %v", info.Architecture, notes, err)
	}
	_, info, notes, err = exchange.FromWeightsAt(path, exchange.ModelConfig{Model: strided})
	if err != nil || info.Architecture != strided || strings.Contains(strings.Join(notes, "; "), "stride") {
		t.Errorf("weights of a given model are %s with %q, %v", info.Architecture, notes, err)
	}
	w, err := exchange.ReadWeightsAt(path)
	if err != nil {
		t.Fatal(err)
	}
	if changes, err := w.Load(m, e); err != nil || !strings.Contains(strings.Join(changes, "; "), "taken to be 2; in resnet9-16 it is 1") {
		t.Errorf("loaded with %q, %v", changes, err)
	}

	own := filepath.Join(t.TempDir(), "own.safetensors")
	saved := checkpoint.Model{Architecture: strided, Classes: []string{"a", "b", "c", "d"}, Input: e.Input}
	if err := checkpoint.SaveModel(own, saved, nn.StateDict(m)); err != nil {
		t.Fatal(err)
	}
	if _, info, notes, err = exchange.FromWeightsAt(own, exchange.ModelConfig{}); err != nil || info.Architecture != strided || strings.Contains(strings.Join(notes, "; "), "stride") {
		t.Errorf("a file that names the model is %s with %q, %v", info.Architecture, notes, err)
	}
	if _, _, _, err := exchange.FromWeightsAt(own, exchange.ModelConfig{Model: "resnet9-16"}); err == nil || !strings.Contains(err.Error(), strided) {
		t.Errorf("a file that names the model, as another: %v", err)
	}
	other, one := net(t, "resnet9-16", models.Config{Classes: 4})
	if w, err = exchange.ReadWeightsAt(own); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Load(one, other); err == nil || !strings.Contains(err.Error(), strided) {
		t.Errorf("weights for a stem of 2 in a net with one of 1: %v", err)
	}
}

// A graph shows strides, so it is recognised with its stem, whatever the file says.
func TestStemOfGraph(t *testing.T) {
	for _, name := range []string{"resnet9-16", strided, "resnet9-16-s4", "resnet18-s1"} {
		c := models.Config{Classes: 4}
		if name == "resnet18-s1" {
			c.Blocks = []int{1, 1, 1, 1}
		}
		_, m := net(t, name, c)
		graph, err := exchange.Export(m, exchange.ExportConfig{Input: prepare.Input{Channels: 3, Height: 32, Width: 32}})
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "model.onnx")
		if err := checkpoint.WriteFile(path, func(w io.Writer) error { return onnx.Write(w, graph) }); err != nil {
			t.Fatal(err)
		}
		got, info, _, err := exchange.FromWeightsAt(path, exchange.ModelConfig{})
		if err != nil || info.Architecture != name || !slices.Equal(info.Blocks, c.Blocks) {
			t.Errorf("the graph of %s is %s with blocks %v, %v", name, info.Architecture, info.Blocks, err)
			continue
		}
		for i, p := range nn.Parameters(m) {
			if !slices.Equal(p.Value.Data(), nn.Parameters(got)[i].Value.Data()) {
				t.Errorf("%s: other values of %s", name, p.Name)
			}
		}
		if name == strided {
			_, _, _, err := exchange.FromWeightsAt(path, exchange.ModelConfig{Model: "resnet9-16"})
			if err == nil || !strings.Contains(err.Error(), "computes resnet9-16-s2, not resnet9-16") {
				t.Errorf("as the model with another stem: %v", err)
			}
		}
	}
}

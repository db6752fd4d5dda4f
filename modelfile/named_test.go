package modelfile_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/modelfile"
	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/weights"
)

func TestIsPath(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, name := range []string{"resnet18", "mine"} {
		if err := os.WriteFile(name, []byte("x"), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir("folder", 0o777); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{
		"resnet18": false, "./resnet18": true, `runs\x`: true, "mine": true, "folder": true, checkpoint.Last: true,
		"none": false, "none.safetensors": true, "none.ONNX": true, "none.pth": false,
	} {
		if got := modelfile.IsPath(name); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestSave writes a network in the format that the file's name asks for, and a graph as one.
func TestSave(t *testing.T) {
	m, info := trained(t)
	model, graph, _ := files(t, m, info)
	dir := t.TempDir()
	for _, path := range []string{model, graph} {
		opened, err := modelfile.Open(path, modelfile.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if got, want := opened.ImageShape(), (tensor.Shape{1, 1, 28, 28}); !got.Equal(want) {
			t.Errorf("%s takes images of %v", path, got)
		}
		for name, want := range map[string]weights.Format{"w.safetensors": weights.Safetensors, "w": weights.Safetensors, "w.Onnx": weights.ONNX} {
			to := filepath.Join(dir, name)
			if err := opened.Save(to); err != nil {
				if opened.Graph == nil || want == weights.ONNX || !strings.Contains(err.Error(), "give Out a name that ends in .onnx") {
					t.Errorf("%s to %s: %v", path, name, err)
				}
				continue
			}
			if got, err := weights.Detect(to); err != nil || got != want || opened.Graph != nil && want != weights.ONNX {
				t.Errorf("%s to %s is %q, %v", path, name, got, err)
			}
			if _, err := modelfile.Open(to, modelfile.Options{}); err != nil {
				t.Errorf("%s to %s: %v", path, name, err)
			}
		}
	}
}

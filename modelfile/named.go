package modelfile

import (
	"cmp"
	"os"
	"strings"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/exchange"
	"github.com/residual-ml/residual/internal/field"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/quant"
	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/weights"
)

// IsPath reports whether name is a model file or a run folder (or checkpoint.Last), and not the
// name of a model, where a user may give either. A file or folder that has the name of a model
// must be given with its folder. The ending of the name matters only
// where there is no such file, so that the error names the file.
func IsPath(name string) bool {
	if strings.ContainsAny(name, `/\`) {
		return true
	}
	if _, err := models.Lookup(name); err == nil {
		return false
	}
	if _, err := os.Stat(name); err == nil || name == checkpoint.Last {
		return true
	}
	return strings.HasSuffix(name, ".safetensors") || weights.Named(name) == weights.ONNX
}

// Save writes a model into a file of the format that its name asks for: an ONNX graph where it
// ends in .onnx, and safetensors otherwise. A graph that is none of the networks known by name
// can only be written as a graph.
func (m *Model) Save(path string) error {
	switch onnx := weights.Named(path) == weights.ONNX; {
	case m.Graph != nil && !onnx:
		return field.Errorf("%s: the graph is none of the networks known by name, so it stays an ONNX file; give {Out} a name that ends in .onnx, in place of %s", m.Path, path)
	case m.Graph != nil && m.Quantised() == nil:
		return exchange.SaveGraph(path, m.Path, m.Info)
	case onnx:
		_, err := exchange.Save(path, m.Module, m.Info, exchange.ExportConfig{})
		return err
	}
	return quant.SaveModel(path, m.Info, m.Module)
}

// ImageShape is the shape of one image of the model, [1, channels, height, width]: of the size
// that its file says, or that the network was made for.
func (m *Model) ImageShape() tensor.Shape {
	channels, height, width := m.Info.Channels, m.Info.Height, m.Info.Width
	if m.Graph != nil {
		in := m.Graph.Input
		channels, height, width = in.Channels, cmp.Or(in.Height, height), cmp.Or(in.Width, width)
	}
	e, err := models.Lookup(m.Info.Architecture)
	if err != nil || m.Graph != nil {
		e.Height, e.Width = 224, 224
	}
	return tensor.Shape{1, channels, cmp.Or(height, e.Height), cmp.Or(width, e.Width)}
}

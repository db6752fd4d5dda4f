package exchange

import (
	"cmp"
	"fmt"
	"io"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/weights/onnx"
)

// Save exports a trained network to an ONNX file and returns the model that it wrote. The
// file is written completely or not at all. Channels, size and preprocessing come from info,
// which is also stored in the file's metadata, as JSON under the key "residual"; the other
// fields of c choose the form of the graph. An empty Architecture becomes the name of m's type.
func Save(path string, m nn.Module, info checkpoint.Model, c ExportConfig) (*onnx.Model, error) {
	model, err := withInfo(m, info, c)
	if err == nil {
		err = checkpoint.WriteFile(path, func(w io.Writer) error { return onnx.Write(w, model) })
	}
	if err != nil {
		return nil, fmt.Errorf("%s was not written: %w", path, err)
	}
	return model, nil
}

// withInfo makes the ONNX model that Save writes.
func withInfo(m nn.Module, info checkpoint.Model, c ExportConfig) (*onnx.Model, error) {
	info.Architecture = architectureOf(m, info)
	info.Output = "" // the graph that is written has only one output
	c.outputMean, c.outputStd = info.ValueMean, info.ValueStd
	info.ValueMean, info.ValueStd = nil, nil // the graph gives values in their units
	metadata, err := info.Metadata()
	if err != nil {
		return nil, err
	}
	c.Input, c.Metadata = info.Input, metadata
	if c.AnySize = info.Height == 0 || info.Width == 0; c.AnySize {
		e, err := models.Lookup(info.Architecture)
		if err != nil {
			e = models.Entry{}
		}
		c.Input.Height, c.Input.Width = cmp.Or(e.Height, 224), cmp.Or(e.Width, 224)
	}
	model, err := Export(m, c)
	if err != nil {
		return nil, err
	}
	if out := model.Graph.Outputs[0].Shape; len(out) != 2 {
		return nil, fmt.Errorf("%s returns %d dimensions, but a classifier returns [N, classes]", nn.Class(m), len(out))
	}
	return model, nil
}

// architectureOf returns the name that a file gives the network m.
func architectureOf(m nn.Module, info checkpoint.Model) string {
	return cmp.Or(info.Architecture, nn.Class(m), "module")
}

// SaveGraph copies the ONNX file at from to path, with info in its metadata as Save writes
// it. Weights that lie in other files become part of it. The file is written completely or
// not at all.
func SaveGraph(path, from string, info checkpoint.Model) error {
	metadata, err := info.Metadata()
	if err == nil {
		err = checkpoint.WriteFile(path, func(w io.Writer) error { return onnx.Copy(w, from, metadata) })
	}
	if err != nil {
		return fmt.Errorf("%s was not written: %w", path, err)
	}
	return nil
}

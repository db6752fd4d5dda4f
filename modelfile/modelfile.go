// Package modelfile opens trained models: a path or a reader goes in, and a network with
// its description comes out, without a device. What a file is goes by its content, never by
// the ending of its name.
//
//	m, err := modelfile.Open("best.safetensors", modelfile.Options{})
//	if err != nil {
//		return err
//	}
//	fmt.Println(m.Info.Architecture, m.Info.Preparation(), nn.Count(m.Module))
//
// Package inference runs such a model on a device.
package modelfile

import (
	"errors"
	"fmt"
	"io"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/exchange"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/prepare"
	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/weights"
	"github.com/residual-ml/residual/weights/safetensors"
)

// Model is what a file holds.
type Model struct {
	Path   string // or the name that the caller of Read gave
	Module nn.Module
	Info   checkpoint.Model // the classes, and how images become the input
	Notes  []string         // what had to be chosen, where the file does not describe itself

	// Graph is the graph of an ONNX file as it stands. Module is the same, unless the file
	// is of another program and one of the networks known by name computes the same.
	Graph *exchange.Network

	// Undescribed is why Info is empty; see Options.Undescribed.
	Undescribed error
}

// Options say how a file is opened. The zero value suits model files.
type Options struct {
	// ModelConfig goes before what the file says of itself: of classes and images, and of
	// an ONNX graph of another program of the model, too.
	exchange.ModelConfig

	// Identify finds the network by the tensors or the graph, even if the file says what it
	// is, and takes weights alone of every format. Tensors that are not the network's are an
	// error, as exchange.OpenModel says.
	Identify bool

	// Undescribed returns an ONNX graph, too, where its description cannot be completed.
	Undescribed bool
}

// Open opens a model file, safetensors that residual train or checkpoint.SaveModel wrote, or
// any ONNX graph that the engine computes. The network is the architecture that the file
// names with the file's weights, or the graph as it stands. An ONNX file of another program
// says nothing of its classes and images: Notes then tell what was chosen, and what nothing
// settles is an exchange.UnsaidError. The error names the file, and what in it is missing,
// unexpected or of another shape.
func Open(path string, o Options) (*Model, error) {
	if o.Identify {
		return identify(path, o.ModelConfig)
	}
	format, err := weights.Detect(path)
	switch {
	case err != nil:
		return nil, err
	case format == weights.ONNX:
		return openONNX(path, o)
	case format != weights.Safetensors:
		return nil, fmt.Errorf("%s: holds weights alone, as a .%s file; make a model of it with residual import", path, format)
	}
	info, f, err := checkpoint.LoadModel(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	m, err := fromTensors(path, info, f)
	if err != nil {
		return nil, err
	}
	return restated(m, o.ModelConfig)
}

// Read is Open for a file of size bytes in r that describes itself, such as one that a
// program embeds; name stands for it in errors.
func Read(r io.ReaderAt, size int64, name string) (*Model, error) {
	if format, err := weights.DetectIn(r, size, name); err == nil && format == weights.ONNX {
		return readONNX(r, size, name)
	}
	info, f, err := checkpoint.ReadModel(r, size, name)
	if err != nil {
		return nil, err
	}
	return fromTensors(name, info, f)
}

// OpenInto is Open for a network of the caller's own, which no file can name: m, made as the
// one that was trained, is given the weights.
func OpenInto(m nn.Module, path string) (*Model, error) {
	info, f, err := checkpoint.LoadModel(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := errors.Join(prepare.CheckSides(info.Input), fill(m, f)); err != nil {
		return nil, at(path, err)
	}
	return &Model{Path: path, Module: m, Info: info}, nil
}

// OpenKnown is Open whose network is one of those known by name, with the weights under its
// own names: of an ONNX file the one that computes what the graph does. Of a file that does not
// describe itself Info has the architecture alone. Of config it wants the model and the output.
func OpenKnown(path string, config exchange.ModelConfig) (*Model, error) {
	if format, err := weights.Detect(path); err != nil || format != weights.ONNX {
		return Open(path, Options{ModelConfig: config})
	}
	match, m, metadata, err := exchange.RecogniseFile(path, config)
	if err != nil {
		return nil, err
	}
	info, err := checkpoint.ModelIn(metadata)
	if err != nil {
		info = checkpoint.Model{}
	}
	info.Architecture, info.Blocks = match.Entry.Name, match.Config.Blocks
	return &Model{Path: path, Module: m, Info: info}, nil
}

func identify(path string, config exchange.ModelConfig) (*Model, error) {
	m, info, notes, err := exchange.OpenModel(path, config)
	if err != nil {
		return nil, err
	}
	net, _ := m.(*exchange.Network)
	return &Model{Path: path, Module: m, Info: info, Notes: notes, Graph: net}, nil
}

// restated is m with what config says in place of what the file says.
func restated(m *Model, config exchange.ModelConfig) (_ *Model, err error) {
	if m.Info, err = exchange.Restate(m.Info, m.Graph, config); err == nil {
		err = prepare.CheckSides(m.Info.Input)
	}
	if err != nil {
		return nil, at(m.Path, err)
	}
	return m, nil
}

// at puts the file before an error, if there is one.
func at(path string, err error) error {
	if err == nil {
		return nil
	}
	if e := new(exchange.UnsaidError); errors.As(err, &e) {
		e.Path = path
		return e
	}
	return fmt.Errorf("%s: %w", path, err)
}

func fromTensors(path string, info checkpoint.Model, f *safetensors.File) (*Model, error) {
	m, err := build(info, f)
	if err == nil {
		err = fill(m, f)
	}
	if err != nil {
		return nil, at(path, err)
	}
	return &Model{Path: path, Module: m, Info: info}, nil
}

// build makes the architecture that a file names.
func build(info checkpoint.Model, f *safetensors.File) (nn.Module, error) {
	entry, err := models.Lookup(info.Architecture)
	if err != nil {
		return nil, fmt.Errorf("%w; the program whose own network it is reads the file with inference.LoadInto", err)
	}
	if entry.FixedSize && (info.Height != entry.Height || info.Width != entry.Width) {
		return nil, fmt.Errorf("says that its input is %dx%d, but %s takes only %dx%d; the file is damaged or from another program",
			info.Height, info.Width, entry.Name, entry.Height, entry.Width)
	}
	if err := prepare.CheckSides(info.Input); err != nil {
		return nil, err
	}
	c := models.Config{Channels: info.Channels, Classes: len(info.Names()), Blocks: info.Blocks, Blank: true}
	if err := entry.Check(c); err != nil {
		return nil, err
	}
	if err := checkWeights(entry, c, f); err != nil {
		return nil, err
	}
	m := entry.New(c)
	if info.Height > 0 && info.Width > 0 {
		x := graph.New(graph.Eval).Input("images", tensor.Float32, 1, info.Channels, info.Height, info.Width)
		if _, err := engine.Trace(m.Forward, x); err != nil {
			return nil, fmt.Errorf("says that its input is %dx%d, but %s does not take it: %w", info.Height, info.Width, entry.Name, err)
		}
	}
	return m, nil
}

// checkWeights keeps a small file from demanding a large network: beyond an ordinary
// size the file must hold as many numbers as the network has parameters.
func checkWeights(e models.Entry, c models.Config, f *safetensors.File) error {
	const ordinary = 1 << 24
	need := e.Count(c)
	if need <= ordinary {
		return nil
	}
	var have int64
	for _, name := range f.Names() {
		_, shape, _ := f.Info(name)
		have += int64(shape.Numel())
	}
	if have < need {
		return fmt.Errorf("says that it is %s with %d channels and %d classes, which has %d parameters, but holds only %d numbers; the file is damaged",
			e.Name, c.Channels, c.Classes, need, have)
	}
	return nil
}

// fill gives m the file's weights.
func fill(m nn.Module, f *safetensors.File) error {
	values, err := f.Tensors()
	if err != nil {
		return err
	}
	return nn.TakeStateDict(m, values)
}

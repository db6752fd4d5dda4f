// Package modelfile opens trained models, without a device. It takes a path or a reader and
// returns a network with its description. The kind of a file is recognised by its content,
// never by the ending of its name.
//
//	m, err := modelfile.Open("best.safetensors", modelfile.Options{})
//	if err != nil {
//		return err
//	}
//	fmt.Println(m.Info.Architecture, m.Info.Preparation(), nn.Count(m.Module))
//
// Open and Read return a Model; Options holds what the file does not say, or what replaces
// it. Package inference runs such a model on a device.
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
	"github.com/residual-ml/residual/quant"
	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/weights"
	"github.com/residual-ml/residual/weights/safetensors"
)

// Model is a network together with its description.
type Model struct {
	Path   string // the path, or the name given to Read
	Module nn.Module
	Info   checkpoint.Model // classes, size of the input and preparation of images
	Notes  []string         // choices that were made because the file does not describe itself

	// Graph is the graph of an ONNX file. Module is the same graph, unless another program
	// wrote the file and a model of the registry computes the same.
	Graph *exchange.Network

	// Undescribed is the reason why Info is empty; see Options.Undescribed.
	Undescribed error
}

// Options say how a file is opened. The zero value is right for model files.
type Options struct {
	// ModelConfig takes precedence over what the file says about classes and images. For an
	// ONNX graph of another program, it may also name the model.
	exchange.ModelConfig

	// Identify finds the network by its tensors or graph even if the file names it, and also
	// opens files with nothing but weights, of every format. Tensors that do not belong to the
	// network are an error; see exchange.FromFile.
	Identify bool

	// Undescribed also returns ONNX graphs whose description cannot be completed.
	Undescribed bool
}

// Open opens a model file: safetensors that residual train or checkpoint.SaveModel wrote, or
// any ONNX graph whose operators package exchange supports. The network is the architecture that the
// file names, with the file's weights, or the graph itself.
//
// An ONNX file of another program does not describe its classes and images. Notes then tell
// what was chosen; if something cannot be chosen, the error is an exchange.UnsaidError.
// Errors name the file and the tensors that are missing, unexpected or of another shape. A run
// folder stands for its model, and checkpoint.Last for that of the newest run; see
// checkpoint.FindModel. Path of the Model is then the file.
func Open(path string, o Options) (*Model, error) {
	path, err := checkpoint.FindModel(path)
	if err != nil {
		return nil, err
	}
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
		return nil, fmt.Errorf("%s: holds only weights, as a .%s file; make a model of it with residual import", path, format)
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

// Read is Open for the size bytes in r, which must describe themselves, such as a model file
// that a program embeds. name stands for the path in errors.
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

// OpenInto is Open for a network of the caller's own, which is not in the registry. m must
// have the same structure as the network that was trained; it gets the file's weights.
func OpenInto(m nn.Module, path string) (*Model, error) {
	path, err := checkpoint.FindModel(path)
	if err != nil {
		return nil, err
	}
	info, f, err := checkpoint.LoadModel(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	filled, err := fill(m, f)
	if err := errors.Join(prepare.CheckSides(info.Input), err); err != nil {
		return nil, at(path, err)
	}
	return &Model{Path: path, Module: filled, Info: info}, nil
}

// OpenKnown is Open, but the network is always a model of the registry with its own parameter
// names. For an ONNX file this is the model that computes the same as the graph. If the file
// does not describe itself, Info has only the architecture. Only the fields Model and Output
// of config are used.
func OpenKnown(path string, config exchange.ModelConfig) (*Model, error) {
	path, err := checkpoint.FindModel(path)
	if err != nil {
		return nil, err
	}
	if format, err := weights.Detect(path); err != nil || format != weights.ONNX {
		return Open(path, Options{ModelConfig: config})
	}
	f, err := weights.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	match, m, metadata, err := exchange.RecogniseFile(f, config)
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

// Describe returns what a file that Residual wrote says of its model, safetensors or ONNX,
// without building the network. It is an error if the file says nothing, or if its network is
// an ONNX graph that is none of the models of the registry.
func Describe(path string) (checkpoint.Model, error) {
	path, err := checkpoint.FindModel(path)
	if err != nil {
		return checkpoint.Model{}, err
	}
	format, err := weights.Detect(path)
	if err != nil {
		return checkpoint.Model{}, err
	}
	if format != weights.Safetensors && format != weights.ONNX {
		return checkpoint.Model{}, at(path, checkpoint.ErrNoModel)
	}
	f, err := weights.Open(path)
	if err != nil {
		return checkpoint.Model{}, err
	}
	defer f.Close()
	info, err := checkpoint.ModelIn(f.Metadata)
	if err == nil && info.Architecture == exchange.GraphArchitecture {
		err = errors.New("its network is an ONNX graph, none of the models of the registry")
	}
	return info, at(path, err)
}

// openFound opens the file that checkpoint.FindModel finds for path.
func openFound(path string) (*weights.File, error) {
	path, err := checkpoint.FindModel(path)
	if err != nil {
		return nil, err
	}
	return weights.Open(path)
}

// OpenWeights reads all tensors of the file at path, in any format that package weights
// opens, for a network of the caller's own; see exchange.Weights.Load. path may also be the
// index of sharded weights, or the folder that holds a file or an index.
func OpenWeights(path string) (*exchange.Weights, error) {
	f, err := openFound(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return exchange.ReadWeights(f)
}

// OpenGraph opens an ONNX file as the graph that it holds, without a description of classes
// and images; see exchange.FromGraph.
func OpenGraph(path string) (*exchange.Network, error) {
	f, err := openFound(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return exchange.FromGraph(f)
}

// Identify finds the models of the registry to which the weights in the file at path belong;
// see exchange.Identify.
func Identify(path string) ([]models.Match, error) {
	f, err := openFound(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return exchange.Identify(f)
}

// identify opens a file by its tensors or its graph.
func identify(path string, config exchange.ModelConfig) (*Model, error) {
	f, err := weights.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	m, info, notes, err := exchange.FromFile(f, config)
	if err != nil {
		return nil, err
	}
	net, _ := m.(*exchange.Network)
	return &Model{Path: path, Module: m, Info: info, Notes: notes, Graph: net}, nil
}

// restated applies config to the description of m.
func restated(m *Model, config exchange.ModelConfig) (_ *Model, err error) {
	if m.Info, err = exchange.Restate(m.Info, m.Graph, config); err == nil {
		err = prepare.CheckSides(m.Info.Input)
	}
	if err != nil {
		return nil, at(m.Path, err)
	}
	return m, nil
}

// at adds the path to an error. It returns nil for nil.
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

// fromTensors builds the described network and gives it the file's weights.
func fromTensors(path string, info checkpoint.Model, f *safetensors.File) (*Model, error) {
	m, err := build(info, f)
	if err == nil {
		m, err = fill(m, f)
	}
	if err != nil {
		return nil, at(path, err)
	}
	return &Model{Path: path, Module: m, Info: info}, nil
}

// build makes the network that a file describes, with parameters of zeros.
func build(info checkpoint.Model, f *safetensors.File) (nn.Module, error) {
	entry, err := models.Lookup(info.Architecture)
	if err != nil {
		return nil, fmt.Errorf("%w; if it is a network of your own program, read the file with inference.LoadInto", err)
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

// checkWeights prevents a small file from asking for a large network: beyond an ordinary
// size, the file must hold as many numbers as the network has parameters.
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

// fill gives m the file's weights, and returns m, or m with the scheme of a quantised file.
func fill(m nn.Module, f *safetensors.File) (nn.Module, error) {
	values, err := f.Tensors()
	if err != nil {
		return nil, err
	}
	s, calibration, err := quant.Load(values, f.Metadata())
	if err != nil {
		return nil, err
	}
	if err := nn.TakeStateDict(m, values); err != nil || s == nil {
		return m, err
	}
	return &quant.Net{Module: m, Scheme: s, Calibration: calibration}, s.Check(m)
}

// Quantised returns the scheme of a quantised model; otherwise it returns nil.
func (m *Model) Quantised() *quant.Scheme {
	_, s := quant.Unwrap(m.Module)
	return s
}

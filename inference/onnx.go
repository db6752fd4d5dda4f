package inference

import (
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/exchange"
	"github.com/residual-ml/residual/weights"
	"github.com/residual-ml/residual/weights/onnx"
)

// LoadAs is Load with a description of the classes and images in config, which overrides the
// file's own. It also reads ONNX files of other programs, which contain no such description;
// their graph may be any that the engine computes. The notes are sentences about what had to
// be chosen. If neither the file nor config says something that is needed, the error is an
// *exchange.UnsaidError.
func LoadAs(path string, config exchange.ModelConfig, dev engine.Device, p engine.Precision) (c *Classifier, notes []string, err error) {
	format, err := weights.Detect(path)
	if err != nil {
		return nil, nil, err
	}
	if format == weights.ONNX {
		return loadONNX(path, config, dev, p)
	}
	if c, err = Load(path, dev, p); err != nil {
		return nil, nil, err
	}
	if c.info, err = exchange.Restate(c.info, nil, config); err == nil {
		err = checkSizes(c.info)
	}
	if err != nil {
		return nil, nil, restated(path, err)
	}
	return c, nil, nil
}

// restated adds the file's name to an error of exchange.Restate.
func restated(path string, err error) error {
	if e := new(exchange.UnsaidError); errors.As(err, &e) {
		e.Path = path
		return e
	}
	return fmt.Errorf("%s: %w", path, err)
}

// loadONNX reads an ONNX file. If residual export or import wrote it, the network is the
// graph as it is, and the metadata names the classes and the preparation of images. A file of
// another program is opened by exchange.OpenModel.
func loadONNX(path string, config exchange.ModelConfig, dev engine.Device, p engine.Precision) (*Classifier, []string, error) {
	if net, err := exchange.Open(path); err == nil && config.Output == "" {
		if _, err := checkpoint.ModelIn(net.Metadata); !errors.Is(err, checkpoint.ErrNoModel) {
			c, err := fromGraph(path, net, config, dev, p)
			return c, nil, err
		}
	}
	m, info, notes, err := exchange.OpenModel(path, config)
	if err != nil {
		return nil, nil, err
	}
	if err := checkSizes(info); err != nil {
		return nil, nil, restated(path, err)
	}
	return &Classifier{path: path, info: info, module: m, runner: NewRunner(m, engine.NewStore(dev), p)}, notes, nil
}

// fromGraph returns the classifier for a graph that the file's metadata, overridden by
// config, describes.
func fromGraph(path string, net *exchange.Network, config exchange.ModelConfig, dev engine.Device, p engine.Precision) (*Classifier, error) {
	info, err := checkpoint.ModelIn(net.Metadata)
	if err == nil {
		if err = checkSizes(info); err != nil {
			return nil, restated(path, err)
		}
		err = suits(net, &info)
	}
	if err != nil {
		return nil, restated(path, fmt.Errorf("%w; the file is damaged or was changed, export it again", err))
	}
	if info, err = exchange.Restate(info, net, config); err == nil {
		err = checkSizes(info)
	}
	if err != nil {
		return nil, restated(path, err)
	}
	return &Classifier{path: path, info: info, module: net, runner: NewRunner(net, engine.NewStore(dev), p)}, nil
}

// readONNX is loadONNX for a file of size bytes in r, whose metadata must describe the model.
// Errors call it name.
func readONNX(r io.ReaderAt, size int64, name string, dev engine.Device, p engine.Precision) (*Classifier, error) {
	b, err := io.ReadAll(io.NewSectionReader(r, 0, size))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	m, err := onnx.Read(b, name)
	if err != nil {
		return nil, err
	}
	net, err := exchange.Import(m)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return fromGraph(name, net, exchange.ModelConfig{}, dev, p)
}

// suits returns an error if a file's description of its model contradicts its graph.
func suits(net *exchange.Network, info *checkpoint.Model) error {
	in := net.Input
	if len(info.Classes) != net.Classes {
		return fmt.Errorf("names %d classes, and its graph has %d", len(info.Classes), net.Classes)
	}
	if info.Channels != in.Channels {
		return fmt.Errorf("says that images have %d channels, and its graph takes %d", info.Channels, in.Channels)
	}
	if in.Height > 0 && in.Width > 0 && (info.Height != in.Height || info.Width != in.Width) {
		return fmt.Errorf("says that images are %dx%d, and its graph takes %dx%d", info.Height, info.Width, in.Height, in.Width)
	}
	p := info.Preprocess
	for c := range in.Scale { // set if the graph itself scales bytes
		scale, shift := p.Scale, 0.0
		if len(p.Mean) > 0 {
			shift = -p.Mean[c]
		}
		if len(p.Std) > 0 {
			scale, shift = scale/p.Std[c], shift/p.Std[c]
		}
		if far(in.Scale[c], scale) || far(in.Shift[c], shift) {
			return fmt.Errorf("says that bytes become %g*v%+g in channel %d, and its graph makes %g*v%+g of them", scale, shift, c, in.Scale[c], in.Shift[c])
		}
	}
	return nil
}

// far reports whether two numbers differ by more than the rounding of float32.
func far(a, b float64) bool { return !(math.Abs(a-b) <= 1e-5*math.Abs(b)) }

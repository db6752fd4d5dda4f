package inference

import (
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/exchange"
	"github.com/residual-ml/residual/prepare"
	"github.com/residual-ml/residual/weights"
	"github.com/residual-ml/residual/weights/onnx"
)

// LoadAs is Load with what config says of classes and images in place of what the file
// says, and for ONNX graphs of other programs, which say nothing of either: they may be any
// that the engine computes. The notes tell what had to be chosen. What neither the file nor
// config says is an exchange.UnsaidError.
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
		err = prepare.CheckSides(c.info.Input)
	}
	if err != nil {
		return nil, nil, restated(path, err)
	}
	return c, nil, nil
}

// restated puts the file before an error of exchange.Restate.
func restated(path string, err error) error {
	if e := new(exchange.UnsaidError); errors.As(err, &e) {
		e.Path = path
		return e
	}
	return fmt.Errorf("%s: %w", path, err)
}

// loadONNX reads an ONNX file. Of one that residual export or import wrote the network is
// the graph as it stands, and its metadata names the classes and how images are prepared;
// of another program's it is what exchange.OpenModel makes of it.
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
	if err := prepare.CheckSides(info.Input); err != nil {
		return nil, nil, restated(path, err)
	}
	return &Classifier{path: path, info: info, module: m, runner: NewRunner(m, engine.NewStore(dev), p)}, notes, nil
}

// fromGraph is the classifier of a graph whose file says of itself what it is, or that with
// what config says in its place.
func fromGraph(path string, net *exchange.Network, config exchange.ModelConfig, dev engine.Device, p engine.Precision) (*Classifier, error) {
	info, err := checkpoint.ModelIn(net.Metadata)
	if err == nil {
		if err = prepare.CheckSides(info.Input); err != nil {
			return nil, restated(path, err)
		}
		err = suits(net, &info)
	}
	if err != nil {
		return nil, restated(path, fmt.Errorf("%w; the file is damaged or was changed, export it again", err))
	}
	if info, err = exchange.Restate(info, net, config); err == nil {
		err = prepare.CheckSides(info.Input)
	}
	if err != nil {
		return nil, restated(path, err)
	}
	return &Classifier{path: path, info: info, module: net, runner: NewRunner(net, engine.NewStore(dev), p)}, nil
}

// readONNX is loadONNX for the size bytes in r of a file that says of itself what it is;
// name stands for the file in errors.
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

// suits holds what a file says of its model against its graph.
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
	for c := range in.Scale { // of a graph that prepares bytes itself
		scale, shift := info.Preprocess.Affine(c)
		if far(in.Scale[c], scale) || far(in.Shift[c], shift) {
			return fmt.Errorf("says that bytes become %g*v%+g in channel %d, and its graph makes %g*v%+g of them", scale, shift, c, in.Scale[c], in.Shift[c])
		}
	}
	return nil
}

// far reports whether two numbers differ by more than the rounding of float32.
func far(a, b float64) bool { return !(math.Abs(a-b) <= 1e-5*math.Abs(b)) }

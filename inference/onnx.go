package inference

import (
	"fmt"
	"io"
	"math"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/exchange"
	"github.com/residual-ml/residual/weights/onnx"
)

// loadONNX reads an ONNX file that residual export wrote: its metadata names the
// classes and how images are prepared. The network is the graph as it stands.
func loadONNX(path string, dev engine.Device, p engine.Precision) (*Classifier, error) {
	net, err := exchange.Open(path)
	if err != nil {
		return nil, err
	}
	return fromGraph(path, net, dev, p)
}

// readONNX is loadONNX for the size bytes in r; name stands for the file in errors.
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
	return fromGraph(name, net, dev, p)
}

func fromGraph(path string, net *exchange.Network, dev engine.Device, p engine.Precision) (*Classifier, error) {
	info, err := checkpoint.ModelIn(net.Metadata)
	if err != nil {
		return nil, fmt.Errorf("%s: does not say what its classes are and how images are prepared for it (%w); give a file that residual export wrote", path, err)
	}
	if err := checkSizes(info); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if err := suits(net, &info); err != nil {
		return nil, fmt.Errorf("%s: %w; the file is damaged or was changed, export it again", path, err)
	}
	return &Classifier{path: path, info: info, module: net, runner: NewRunner(net, engine.NewStore(dev), p)}, nil
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
	p := info.Preprocess
	for c := range in.Scale { // of a graph that prepares bytes itself
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

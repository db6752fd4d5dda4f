package modelfile

import (
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/exchange"
	"github.com/residual-ml/residual/prepare"
	"github.com/residual-ml/residual/weights/onnx"
)

// openONNX opens an ONNX file. If residual export or import wrote it, the network is the
// graph itself, and the metadata describes classes and preparation. Otherwise the result is
// that of exchange.FromFile.
func openONNX(path string, o Options) (m *Model, err error) {
	net, described := (*exchange.Network)(nil), false
	if o.Output == "" {
		if net, err = OpenGraph(path); err == nil {
			_, err := checkpoint.ModelIn(net.Metadata)
			described = !errors.Is(err, checkpoint.ErrNoModel)
		}
	}
	if described {
		m, err = fromGraph(path, net, o.ModelConfig)
	} else if m, err = identify(path, o.ModelConfig); err == nil {
		if m.Graph == nil {
			m.Graph = net
		}
		err = at(path, prepare.CheckSides(m.Info.Input))
	}
	switch {
	case err == nil:
		return m, nil
	case o.Undescribed && net != nil:
		return &Model{Path: path, Module: net, Graph: net, Undescribed: err}, nil
	}
	return nil, err
}

// fromGraph returns the model of a graph whose file describes itself. config takes precedence
// over the description.
func fromGraph(path string, net *exchange.Network, config exchange.ModelConfig) (*Model, error) {
	info, err := checkpoint.ModelIn(net.Metadata)
	if err == nil {
		if err = prepare.CheckSides(info.Input); err != nil {
			return nil, at(path, err)
		}
		err = suits(net, &info)
	}
	if err != nil {
		return nil, at(path, fmt.Errorf("%w; the file is damaged or was changed, export it again", err))
	}
	return restated(&Model{Path: path, Module: net, Info: info, Graph: net}, config)
}

// readONNX is openONNX for the size bytes in r of a file that describes itself; name stands
// for the path in errors.
func readONNX(r io.ReaderAt, size int64, name string) (*Model, error) {
	b, err := io.ReadAll(io.NewSectionReader(r, 0, size))
	if err != nil {
		return nil, at(name, err)
	}
	m, err := onnx.Read(b, name)
	if err != nil {
		return nil, err
	}
	net, err := exchange.Import(m)
	if err != nil {
		return nil, at(name, err)
	}
	return fromGraph(name, net, exchange.ModelConfig{})
}

// suits returns an error if the description in a file contradicts its graph.
func suits(net *exchange.Network, info *checkpoint.Model) error {
	in := net.Input
	if n := len(info.Names()); n != net.Classes {
		return fmt.Errorf("names %d %s, but its graph has %d", n, info.Task.Named(), net.Classes)
	}
	if info.Channels != in.Channels {
		return fmt.Errorf("says that images have %d channels, but its graph takes %d", info.Channels, in.Channels)
	}
	if in.Height > 0 && in.Width > 0 && (info.Height != in.Height || info.Width != in.Width) {
		return fmt.Errorf("says that images are %dx%d, but its graph takes %dx%d", info.Height, info.Width, in.Height, in.Width)
	}
	for c := range in.Scale { // only if the graph takes uint8 images
		scale, shift := info.Preprocess.Affine(c)
		if far(in.Scale[c], scale) || far(in.Shift[c], shift) {
			return fmt.Errorf("says that a byte v of channel %[3]d becomes %[1]g*v%+[2]g, but its graph computes %[4]g*v%+[5]g", scale, shift, c, in.Scale[c], in.Shift[c])
		}
	}
	return nil
}

// far reports whether two numbers differ by more than the rounding of float32.
func far(a, b float64) bool { return !(math.Abs(a-b) <= 1e-5*math.Abs(b)) }

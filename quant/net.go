package quant

import (
	"fmt"

	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/tensor"
)

// Net is a module with a scheme, as a module. It has the parameters of the module under the same
// names. Forward adds the module with the layers of the scheme quantised.
type Net struct {
	nn.Module
	Scheme      *Scheme     `nn:"-"`
	Calibration Calibration `nn:"-"`
}

// Forward implements nn.Module. It panics with a tensor.Misuse if the scheme does not fit.
func (n *Net) Forward(x *graph.Node) *graph.Node {
	y, err := n.Scheme.Forward(n.Module, x)
	if err != nil {
		panic(tensor.Misusef("%w", err))
	}
	return y
}

// Unwrap returns the module without its scheme, and the scheme. A module that is not a Net has
// none.
func Unwrap(m nn.Module) (nn.Module, *Scheme) {
	if n, ok := m.(*Net); ok {
		return n.Module, n.Scheme
	}
	return m, nil
}

// Has reports whether s quantises the layer at a path, such as layer1.0.conv1. It is false for nil.
func (s *Scheme) Has(path string) bool {
	if s == nil {
		return false
	}
	_, ok := s.Layers[path+".weight"]
	return ok
}

// String describes the calibration: "calibrated by mse on 256 images of photos".
func (c Calibration) String() string {
	if c.Method == "" {
		return "calibrated elsewhere"
	}
	return fmt.Sprintf("calibrated by %s on %d images of %s", c.Method, c.Images, c.Data)
}

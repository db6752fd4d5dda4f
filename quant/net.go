package quant

import (
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

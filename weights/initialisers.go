package weights

import (
	"fmt"

	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/weights/elements"
	"github.com/residual-ml/residual/weights/onnx"
)

// initialisers are the tensors of an ONNX graph, which are already in memory.
type initialisers struct {
	path  string
	names []string
	all   map[string]*tensor.Tensor
}

func newInitialisers(path string, m *onnx.Model) *initialisers {
	in := &initialisers{path: path, all: map[string]*tensor.Tensor{}}
	for _, t := range m.Graph.Initialisers {
		in.names = append(in.names, t.Name)
		in.all[t.Name] = t.Tensor
	}
	return in
}

func (in *initialisers) Names() []string { return append([]string(nil), in.names...) }

func (in *initialisers) Info(name string) (dtype string, shape tensor.Shape, ok bool) {
	t, ok := in.all[name]
	if !ok {
		return "", nil, false
	}
	if t.DType() == tensor.Int64 {
		return "I64", t.Shape().Clone(), true
	}
	return "F32", t.Shape().Clone(), true
}

func (in *initialisers) Tensor(name string) (*tensor.Tensor, error) {
	t, ok := in.all[name]
	if !ok {
		return nil, fmt.Errorf("%s: holds no initialiser %s; its %d tensors belong to another architecture or use other names",
			in.path, elements.Quote(name), len(in.names))
	}
	return t.Clone(), nil
}

func (in *initialisers) Tensors() (map[string]*tensor.Tensor, error) {
	all := make(map[string]*tensor.Tensor, len(in.all))
	for name, t := range in.all {
		all[name] = t.Clone()
	}
	return all, nil
}

func (in *initialisers) Close() error { return nil }

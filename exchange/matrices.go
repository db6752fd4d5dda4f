package exchange

import (
	"fmt"

	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/weights/onnx"
)

// gemm reads Gemm, as a linear layer if its second input is a constant.
func (imp *importer) gemm(n *onnx.Node, a *attributes) error {
	alpha, beta := a.float("alpha", 1), a.float("beta", 1)
	transA, transB := a.int("transA", 0) != 0, a.int("transB", 0) != 0
	a.ignore("broadcast")
	if err := a.done(); err != nil {
		return err
	}
	weight, _ := imp.constant(n, 1)
	bias, err := imp.constant(n, 2)
	if err != nil || weight == nil || transA || alpha != 1 || beta != 1 || bias != nil && !isRow(bias.Shape()) {
		return imp.product(n, alpha, beta, transA, transB)
	}
	l, x, err := imp.linear(n, !transB)
	if err != nil {
		return err
	}
	if l.Bias, err = imp.vector(n, 2, "bias", l.Weight.Value.Shape()[0], true); err != nil {
		return err
	}
	imp.layer(n, 2, x, l)
	return nil
}

// isRow reports whether a shape is [n] or [1, n].
func isRow(s tensor.Shape) bool { return len(s) == 1 || len(s) == 2 && s[0] == 1 }

// product reads a Gemm that is not a linear layer.
func (imp *importer) product(n *onnx.Node, alpha, beta float64, transA, transB bool) error {
	if len(n.Inputs) < 2 || n.Inputs[1] == "" {
		return fmt.Errorf("has no input 1")
	}
	imp.apply(n.String(), n.Outputs[0], imp.inputNames(n, 3), func(in []value) value {
		if graphOf(in) == nil {
			panic(tensor.Misusef("has only constant inputs, which is not supported; let the exporter fold constants"))
		}
		return onNodes(asFloats, func(in []*graph.Node) *graph.Node {
			a, b := in[0], in[1]
			if len(a.Shape) != 2 || len(b.Shape) != 2 {
				panic(tensor.Misusef("its input has %d dimensions, where a linear layer takes [N, features]", len(a.Shape)))
			}
			if transA {
				a = a.Transpose(1, 0)
			}
			if transB {
				b = b.Transpose(1, 0)
			}
			y := scaled(a.MatMul(b), alpha)
			if in[2] != nil && beta != 0 {
				y = y.Add(scaled(in[2], beta).Broadcast(y.Shape...))
			}
			return y
		})(in)
	})
	return nil
}

// scaled returns x·factor.
func scaled(x *graph.Node, factor float64) *graph.Node {
	if factor == 1 {
		return x
	}
	return x.Graph.Apply(graph.Scale{Factor: factor}, x)
}

// matMul reads MatMul. The product with a constant matrix becomes a linear layer on all
// dimensions before the last.
func (imp *importer) matMul(n *onnx.Node, a *attributes) error {
	if len(n.Inputs) != 2 {
		return fmt.Errorf("has %d inputs, not two", len(n.Inputs))
	}
	weight, err := imp.constant(n, 1)
	if _, rank, failed := imp.computedInput(n, 0); err == nil && failed == nil && len(weight.Shape()) == 2 && rank >= 2 {
		l, x, err := imp.linearRows(n, true)
		if err != nil {
			return err
		}
		if rank == 2 {
			imp.matmuls[n.Outputs[0]] = l // a following Add may be its bias
			imp.layer(n, 2, x, l)
			return a.done()
		}
		net := imp.net
		imp.apply(n.String(), n.Outputs[0], []string{x}, func(in []value) value {
			x := in[0].node
			last := len(x.Shape) - 1
			y := net.forward(l, x.Reshape(x.Shape[:last].Numel(), x.Shape[last]))
			to := x.Shape.Clone()
			to[last] = y.Shape[1:].Numel()
			return value{node: y.Reshape(to...)}
		})
		return a.done()
	}
	return imp.compute(n, a, func(in []value) value {
		if graphOf(in) == nil {
			panic(tensor.Misusef("has only constant inputs, which is not supported; let the exporter fold constants"))
		}
		return onNodes(asFloats, func(in []*graph.Node) *graph.Node { return matMulNumPy(in[0], in[1]) })(in)
	})
}

// matMulNumPy multiplies like NumPy's matmul: a vector is a row on the left and a column on the right.
func matMulNumPy(a, b *graph.Node) *graph.Node {
	row, column := len(a.Shape) == 1, len(b.Shape) == 1
	if len(a.Shape) == 0 || len(b.Shape) == 0 || row && column {
		panic(tensor.Misusef("the product of %v and %v is not supported", a.Shape, b.Shape))
	}
	if row {
		a = a.Reshape(1, a.Shape[0])
	}
	if column {
		b = b.Reshape(b.Shape[0], 1)
	}
	checkSize(0, append(broadcastShape(a.Shape[:len(a.Shape)-2], b.Shape[:len(b.Shape)-2]), a.Shape[len(a.Shape)-2], max(a.Shape[len(a.Shape)-1], b.Shape[len(b.Shape)-1]))...)
	y := a.MatMul(b)
	last := len(y.Shape) - 1
	switch {
	case row:
		return y.Reshape(append(y.Shape[:last-1].Clone(), y.Shape[last])...)
	case column:
		return y.Reshape(y.Shape[:last]...)
	}
	return y
}

// linear makes a linear layer without bias from a node's second input, which is [out, in],
// or [in, out] if transposed. The first input must have two dimensions.
func (imp *importer) linear(n *onnx.Node, transposed bool) (*nn.Linear, string, error) {
	x, rank, err := imp.computedInput(n, 0)
	if err != nil {
		return nil, "", err
	}
	if rank != 2 {
		return nil, "", fmt.Errorf("its input has %d dimensions, where a linear layer takes [N, features]", rank)
	}
	l, _, err := imp.linearRows(n, transposed)
	return l, x, err
}

// linearRows is linear for a first input of any number of dimensions.
func (imp *importer) linearRows(n *onnx.Node, transposed bool) (*nn.Linear, string, error) {
	x, _, err := imp.computedInput(n, 0)
	if err != nil {
		return nil, "", err
	}
	weight, err := imp.parameter(n, 1, 2, true)
	if err != nil {
		return nil, "", err
	}
	if weight.Value.Numel() == 0 {
		return nil, "", fmt.Errorf("its weight %v has no elements", weight.Value.Shape())
	}
	if transposed {
		weight = &nn.Parameter{Value: transpose(weight.Value), Trainable: true}
	}
	l := &nn.Linear{Weight: weight}
	imp.registerLayer(n, l, imp.title(n.Inputs[1]))
	imp.takeQuantised(l, n, 1, transposed)
	return l, x, nil
}

// transpose returns the transposed matrix.
func transpose(t *tensor.Tensor) *tensor.Tensor {
	rows, columns := t.Shape()[0], t.Shape()[1]
	out := tensor.New(columns, rows)
	for i, v := range t.Data() {
		out.Data()[i%columns*rows+i/columns] = v
	}
	return out
}

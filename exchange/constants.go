package exchange

import (
	"fmt"
	"slices"

	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/weights/onnx"
)

// PyTorch's newer exporter writes how its constants come about where it is told not to
// optimise: the biases that a convolution does not have, as zeros of the weight's first
// size. What follows works such nodes out when the graph is read.

// mostExpanded is beyond the channels of all layers together.
const mostExpanded = 1 << 20

// constantOf returns the value of an input that no image has a part in.
func (imp *importer) constantOf(n *onnx.Node, i int) (*tensor.Tensor, bool) {
	if i >= len(n.Inputs) {
		return nil, false
	}
	t, ok := imp.constants[imp.resolve(n.Inputs[i])]
	return t, ok
}

// expand reads Expand of one number.
func (imp *importer) expand(n *onnx.Node, a *attributes) error {
	if err := a.done(); err != nil {
		return err
	}
	t, ok := imp.constantOf(n, 0)
	to, ok2 := imp.constantOf(n, 1)
	if !ok || !ok2 || t.Numel() != 1 || to.DType() != tensor.Int64 || to.Numel() > mostIntegers {
		return fmt.Errorf("is supported only for one constant number and a constant shape")
	}
	shape, size := make(tensor.Shape, to.Numel()), int64(1)
	for i, d := range to.Ints() {
		if d < 1 || d > mostExpanded/size {
			return fmt.Errorf("to %v: at most %d numbers are possible", to.Ints(), mostExpanded)
		}
		shape[i], size = int(d), size*d
	}
	if imp.expanded += size; imp.expanded > mostExpanded {
		return fmt.Errorf("to %v: all together make more than %d numbers", to.Ints(), mostExpanded)
	}
	out := n.Outputs[0]
	if t.DType() == tensor.Int64 {
		imp.constants[out] = tensor.FromInts(slices.Repeat(t.Ints(), int(size)), shape...)
		return nil
	}
	imp.constants[out] = tensor.New(shape...).Fill(t.Data()[0])
	imp.zeros[out] = t.Data()[0] == 0
	return nil
}

// castLike reads CastLike of constants with a fraction: all such are float32 here.
func (imp *importer) castLike(n *onnx.Node, a *attributes) error {
	a.ignore("saturate", "round_mode")
	if err := a.done(); err != nil {
		return err
	}
	t, ok := imp.constantOf(n, 0)
	if !ok || t.DType() != tensor.Float32 || len(n.Inputs) != 2 || imp.isInteger(n, 1) {
		return fmt.Errorf("is supported only for constant numbers with a fraction")
	}
	imp.constants[n.Outputs[0]] = t
	return nil
}

// listed reads Reshape of a constant list to one of the same length.
func (imp *importer) listed(n *onnx.Node, t *tensor.Tensor) error {
	to, ok := imp.constantOf(n, 1)
	if !ok || t.DType() != tensor.Int64 || to.DType() != tensor.Int64 || to.Numel() != 1 || to.Ints()[0] != -1 && to.Ints()[0] != int64(t.Numel()) {
		return fmt.Errorf("of a constant is supported only for integers, into a list")
	}
	imp.constants[n.Outputs[0]] = tensor.FromInts(t.Ints(), t.Numel())
	return nil
}

package exchange

import (
	"fmt"
	"slices"

	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/weights/onnx"
)

// writeMove writes operations that move elements, reduce dimensions or multiply matrices.
func (e *exporter) writeMove(n *graph.Node) (known bool, err error) {
	switch op := n.Op.(type) {
	case graph.Reshape:
		return true, e.reshape(n, op)
	case graph.Transpose:
		e.sameInputs(n, "Transpose", intsAttribute("perm", op.Axes...))
	case graph.Concat:
		e.sameInputs(n, "Concat", intAttribute("axis", op.Axis))
	case graph.MatMul:
		e.sameInputs(n, "MatMul")
	case graph.Reduce:
		if op.Reduction == graph.Total { // since version 13 its axes are an input
			e.result(n, "ReduceSum", []string{e.value(n.Inputs[0]), e.integers("axes", n, op.Axes...)})
		} else {
			e.sameInputs(n, op.Name(), intsAttribute("axes", op.Axes...))
		}
	case graph.Sum:
		e.sameInputs(n, "ReduceSum", intAttribute("keepdims", 0))
	case graph.Detach:
		e.names[n] = e.value(n.Inputs[0])
	case graph.Expand:
		e.noteBroadcast(n, e.value(n.Inputs[0]), tensor.Shape{})
	case graph.Take:
		return true, e.take(n, op)
	case graph.GatherElements:
		index := e.intermediate(n, "Cast", []string{e.value(n.Inputs[1])}, intAttribute("to", int(onnx.Int64)))
		e.result(n, "GatherElements", []string{e.value(n.Inputs[0]), index}, intAttribute("axis", op.Axis))
	case graph.PadChannels:
		// ONNX lists the padding at the beginning of every dimension first, then that at the end.
		pads := make([]int, 2*len(n.Shape))
		pads[len(n.Shape)+1] = op.To - n.Inputs[0].Shape[1]
		e.result(n, "Pad", []string{e.value(n.Inputs[0]), e.integers("pads", n, pads...)}, stringAttribute("mode", "constant"))
	case graph.TakeChannels:
		e.result(n, "Slice", []string{e.value(n.Inputs[0]), e.integers("starts", n, 0), e.integers("ends", n, op.First), e.integers("axes", n, 1)})
	default:
		return false, nil
	}
	return true, nil
}

// reshape writes a Reshape. A dimension that varies becomes 0 if it is the input's, and otherwise
// -1, which is possible only once.
func (e *exporter) reshape(n *graph.Node, op graph.Reshape) error {
	x := n.Inputs[0]
	from := x.Shape
	if len(op.To) == 2 && len(from) >= 2 && from[0] == op.To[0] && e.varies(n, 0) && !e.varies(n, 1) {
		e.sameInputs(n, "Flatten", intAttribute("axis", 1))
		return nil
	}
	to, inferred := make([]int, len(op.To)), false
	for d, size := range op.To {
		switch {
		case !e.varies(n, d):
			to[d] = size
		case d < len(from) && from[d] == size && e.varies(x, d):
		case inferred:
			return fmt.Errorf("from %v changes several dimensions that depend on the batch or the size of the images, which ONNX cannot express", from)
		default:
			to[d], inferred = -1, true
		}
	}
	e.result(n, "Reshape", []string{e.value(x), e.integers("shape", n, to...)})
	return nil
}

// take writes the operation that chooses elements, as a broadcast or else axis by axis.
func (e *exporter) take(n *graph.Node, op graph.Take) error {
	x := n.Inputs[0]
	if op.Broadcasts(x.Shape) {
		e.noteBroadcast(n, e.value(x), x.Shape)
		return nil
	}
	var axes []int
	for d, list := range op.Index {
		if list != nil {
			axes = append(axes, d)
		}
		for _, other := range e.others {
			if o, ok := other.Nodes[n.ID].Op.(graph.Take); !ok || !slices.Equal(o.Index[d], list) {
				return fmt.Errorf("takes elements of dimension %d whose indices depend on the batch or the size of the images", d)
			}
		}
	}
	name := e.value(x)
	for i, d := range axes {
		c := axisTake{e: e, n: n, axis: d, size: x.Shape[d], indices: op.Index[d], fill: op.Fill}
		op, in, attributes := c.node(name)
		if i+1 == len(axes) {
			e.result(n, op, in, attributes...)
		} else {
			name = e.intermediate(n, op, in, attributes...)
		}
	}
	return nil
}

// axisTake is graph.Take along one axis of the given size.
type axisTake struct {
	e          *exporter
	n          *graph.Node
	axis, size int
	indices    []int
	fill       float64
}

// pad returns the inputs of a Pad of x along the axis.
func (c axisTake) pad(x string, before, after int) []string {
	rank := len(c.n.Shape)
	pads := make([]int, 2*rank)
	pads[c.axis], pads[rank+c.axis] = before, after
	return []string{x, c.e.integers("pads", c.n, pads...), c.e.scalar(c.n, c.fill)}
}

// node writes all but the last of the ONNX nodes that take elements of x, and returns the last.
// Evenly spaced indices become a Slice, the fill before and after them a Pad, and all other
// indices a Gather.
func (c axisTake) node(x string) (op string, in []string, attributes []onnx.Attribute) {
	before, after := 0, 0
	for before < len(c.indices) && c.indices[before] == -1 {
		before++
	}
	for after < len(c.indices)-before && c.indices[len(c.indices)-1-after] == -1 {
		after++
	}
	inner := c.indices[before : len(c.indices)-after]
	step, even := 1, len(inner) > 0 && !slices.Contains(inner, -1)
	if len(inner) > 1 {
		step = inner[1] - inner[0]
	}
	for i := range inner {
		even = even && step > 0 && inner[i] == inner[0]+i*step
	}
	if !even {
		return c.gather(x)
	}
	e, n := c.e, c.n
	slice := []string{x}
	if len(inner) < c.size {
		slice = []string{x, e.integers("starts", n, inner[0]), e.integers("ends", n, inner[len(inner)-1]+1), e.integers("axes", n, c.axis), e.integers("steps", n, step)}
	}
	if before+after == 0 {
		return "Slice", slice, nil
	}
	if len(inner) < c.size {
		x = e.intermediate(n, "Slice", slice)
	}
	return "Pad", c.pad(x, before, after), []onnx.Attribute{stringAttribute("mode", "constant")}
}

// gather is node for a Gather. Where the result is filled, the index is one past the last
// element, where x is padded.
func (c axisTake) gather(x string) (op string, in []string, attributes []onnx.Attribute) {
	index := slices.Clone(c.indices)
	for i, at := range index {
		if at == -1 {
			index[i] = c.size
		}
	}
	if slices.Contains(index, c.size) {
		x = c.e.intermediate(c.n, "Pad", c.pad(x, 0, 1), stringAttribute("mode", "constant"))
	}
	return "Gather", []string{x, c.e.integers("index", c.n, index...)}, []onnx.Attribute{intAttribute("axis", c.axis)}
}

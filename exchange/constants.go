package exchange

import (
	"fmt"
	"math"
	"slices"

	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/weights/onnx"
)

// constantNode reads Constant, whose output becomes an initialiser.
func (imp *importer) constantNode(n *onnx.Node, a *attributes) error {
	var t *tensor.Tensor
	if v, ok := get[*tensor.Tensor](a, "value"); ok {
		t = v
	} else if v, ok := get[float32](a, "value_float"); ok {
		t = tensor.FromSlice([]float32{v}, []int{}...)
	} else if v, ok := get[[]float32](a, "value_floats"); ok {
		t = tensor.FromSlice(v, len(v))
	} else if v, ok := get[int64](a, "value_int"); ok {
		t = tensor.FromInts([]int64{v}, []int{}...)
	} else if v, ok := get[[]int64](a, "value_ints"); ok {
		t = tensor.FromInts(v, len(v))
	} else {
		a.fail("has no value that can be read")
	}
	if err := a.done(); err != nil {
		return err
	}
	imp.constants[n.Outputs[0]] = t
	if i := slices.IndexFunc(n.Attributes, func(a onnx.Attribute) bool { return a.Name == "value" && a.Type != 0 }); i >= 0 {
		imp.types[n.Outputs[0]] = n.Attributes[i].Type
	}
	return nil
}

// constantOfShape reads ConstantOfShape, which fills a tensor with one number.
func (imp *importer) constantOfShape(n *onnx.Node, a *attributes) error {
	fill, ok := get[*tensor.Tensor](a, "value")
	if !ok {
		fill = tensor.New(1)
	}
	if fill != nil && fill.Numel() != 1 {
		a.fail("its value has shape %v, but must be one number", fill.Shape())
	}
	if err := a.done(); err != nil {
		return err
	}
	return imp.addFilled(n, fill)
}

// addFilled adds a constant that repeats one number; its shape is the node's last input.
func (imp *importer) addFilled(n *onnx.Node, fill *tensor.Tensor) error {
	names := imp.inputNames(n, 1)
	out, zero := n.Outputs[0], fill.DType() == tensor.Float32 && fill.Data()[0] == 0
	room := maxConstant
	if t := imp.constants[names[len(names)-1]]; t != nil {
		room = int(maxComputed) - int(imp.computedElements)
		imp.zeroBiases[out] = zero
	}
	imp.apply(n.String(), out, names[len(names)-1:], func(in []value) value {
		dims := in[0].integers("the shape")
		if len(dims) > graph.MaxDimensions {
			panic(tensor.Misusef("asks for %d dimensions, and at most %d are supported", len(dims), graph.MaxDimensions))
		}
		checkSize(room, dims...)
		shape := make(tensor.Shape, len(dims))
		for i, d := range dims {
			shape[i] = int(d)
		}
		if fill.DType() == tensor.Int64 {
			return value{data: tensor.FromInts(slices.Repeat(fill.Ints(), shape.Numel()), shape...)}
		}
		if zero {
			return value{data: tensor.New(shape...)}
		}
		return value{data: tensor.New(shape...).Fill(fill.Data()[0])}
	})
	return nil
}

// expand reads Expand, which broadcasts; for one constant number it does the same as ConstantOfShape.
func (imp *importer) expand(n *onnx.Node, a *attributes) error {
	if err := a.done(); err != nil {
		return err
	}
	if len(n.Inputs) != 2 {
		return fmt.Errorf("has %d inputs, not two", len(n.Inputs))
	}
	if t, ok := imp.constants[imp.resolve(n.Inputs[0])]; ok && t.Numel() == 1 && len(t.Shape()) < 2 {
		if to, ok := imp.constants[imp.resolve(n.Inputs[1])]; ok && to.DType() == tensor.Int64 && to.Numel() >= len(t.Shape()) {
			return imp.addFilled(n, t)
		}
	}
	return imp.compute(n, a, func(in []value) value {
		dims := in[1].integers("the shape")
		to := make(tensor.Shape, len(dims))
		for i, d := range dims {
			checkSize(maxIndices, d)
			to[i] = int(d)
		}
		checkSize(0, dims...)
		return onNodes(likeInputs, func(in []*graph.Node) *graph.Node {
			to := broadcastShape(in[0].Shape, to)
			checkSize(0, to...)
			return in[0].Broadcast(to...)
		})(in[:1])
	})
}

// cast reads Cast and CastLike. Computed values are always float32, so casting them to a
// float changes nothing and to another type is an error. Constants become integers, booleans
// or floats.
func (imp *importer) cast(n *onnx.Node, a *attributes) error {
	a.ignore("saturate", "round_mode")
	to := onnx.ElementType(a.int("to", 0))
	if err := a.done(); err != nil {
		return err
	}
	names := imp.unchangedInputNames(n)
	if n.Op == "CastLike" {
		if len(names) != 2 {
			return fmt.Errorf("has %d inputs, not two", len(names))
		}
		to = onnx.Float
		if v, err := imp.value(names[1]); err == nil && v.isInteger() {
			to = onnx.Int64
		}
	}
	v, err := value{}, error(nil)
	if names[0] != imp.net.inputName {
		v, err = imp.value(names[0])
	}
	switch {
	case err != nil:
		return err
	case v.data == nil && !to.IsFloat():
		return imp.compute(n, a, onNodes(asFloats, func(in []*graph.Node) *graph.Node { return truncated(in[0], to) }))
	case v.data == nil || to.IsFloat() && v.data.DType() == tensor.Float32:
		if names[0] == imp.preparedImages && imp.uses[n.Inputs[0]] != 1 {
			imp.preparedImages = ""
		}
		imp.aliasInput(n, names[0])
		return nil
	}
	imp.apply(n.String(), n.Outputs[0], names[:1], func(in []value) value { return value{data: converted(in[0].data, to)} })
	imp.types[n.Outputs[0]] = to
	return nil
}

// truncated returns what a cast of x to an integer type gives, as floats: 0 and 1 for BOOL, and
// otherwise x without its fraction.
func truncated(x *graph.Node, to onnx.ElementType) *graph.Node {
	if to == onnx.Bool {
		return x.NotEqual(x.Graph.Constant(0))
	}
	return graph.Sign.Of(x, 0, 0).Mul(graph.Floor.Of(x.Abs(), 0, 0))
}

// converted converts a constant to another type. Floats are truncated to integers.
func converted(t *tensor.Tensor, to onnx.ElementType) *tensor.Tensor {
	if to.IsFloat() {
		return buffer(t).Value
	}
	ints := make([]int64, t.Numel())
	for i, x := range float64s(t) {
		switch {
		case to == onnx.Bool && x != 0:
			ints[i] = 1
		case to == onnx.Bool:
		case t.DType() == tensor.Int64:
			ints[i] = t.Ints()[i]
		case x != x || math.Abs(x) >= 1<<62:
			panic(tensor.Misusef("%v cannot become an integer", x))
		default:
			ints[i] = int64(x)
		}
	}
	return tensor.FromInts(ints, t.Shape()...)
}

// size reads Shape and Size; their values are constants once the graph is traced.
func (imp *importer) size(n *onnx.Node, a *attributes) error {
	start, end := a.int("start", 0), a.int("end", math.MaxInt64)
	return imp.compute(n, a, func(in []value) value {
		s := in[0].shape()
		if n.Op == "Size" {
			return value{data: tensor.FromInts([]int64{int64(s.Numel())}, []int{}...)}
		}
		from, to := clampIndex(start, len(s)), clampIndex(end, len(s))
		list := []int64{}
		for d := from; d < to; d++ {
			list = append(list, int64(s[d]))
		}
		return value{data: tensor.FromInts(list, len(list))}
	})
}

// rangeNode reads Range, whose inputs must be constants.
func (imp *importer) rangeNode(n *onnx.Node, a *attributes) error {
	if len(n.Inputs) != 3 {
		return fmt.Errorf("has %d inputs, not three", len(n.Inputs))
	}
	return imp.compute(n, a, func(in []value) value {
		var at [3]float64
		integers := true
		for i, v := range in {
			list := v.numbers("a bound")
			if len(list) != 1 {
				panic(tensor.Misusef("a bound has %d numbers, not one", len(list)))
			}
			at[i], integers = list[0], integers && v.isInteger()
		}
		count := math.Ceil((at[1] - at[0]) / at[2])
		if !(count <= maxConstant) {
			panic(tensor.Misusef("the range from %v to %v in steps of %v has more than %d numbers", at[0], at[1], at[2], maxConstant))
		}
		ints, reals := []int64{}, []float32{}
		for i := range int(max(count, 0)) {
			x := at[0] + float64(float64(i)*at[2])
			ints, reals = append(ints, int64(x)), append(reals, float32(x))
		}
		if integers {
			return value{data: tensor.FromInts(ints, len(ints))}
		}
		return value{data: tensor.FromSlice(reals, len(reals))}
	})
}

package exchange

import (
	"fmt"
	"math"
	"slices"

	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/weights/onnx"
)

// addReshape adds a node that reshapes its first input to the shape that to returns. The
// elements and their order stay the same.
func (imp *importer) addReshape(n *onnx.Node, in []string, to func(in []value) tensor.Shape) {
	imp.apply(n.String(), n.Outputs[0], in, func(in []value) value {
		s := to(in)
		if from := in[0].shape(); s.Numel() != from.Numel() {
			panic(tensor.Misusef("%v cannot become %v", from, s))
		}
		if in[0].node == nil {
			return value{data: in[0].data.Reshape(s...)}
		}
		x := in[0].node
		if len(s) == 2 && len(x.Shape) > 2 && s[0] == x.Shape[0] {
			return value{node: nn.Flatten{}.Forward(x)}
		}
		return value{node: x.Reshape(s...)}
	})
	if imp.constants[in[0]] == nil {
		imp.reshapedFrom[n.Outputs[0]] = in[0]
	}
}

// flatten reads Flatten: the dimensions before the axis become one, and those from the axis on another.
func (imp *importer) flatten(n *onnx.Node, a *attributes) error {
	axis := a.int("axis", 1)
	if err := a.done(); err != nil {
		return err
	}
	imp.addReshape(n, imp.inputNames(n, 1), func(in []value) tensor.Shape {
		s := in[0].shape()
		if axis < -int64(len(s)) || axis > int64(len(s)) {
			panic(tensor.Misusef("axis=%d does not exist in a tensor of %d dimensions", axis, len(s)))
		}
		at := clampIndex(axis, len(s))
		return tensor.Shape{s[:at].Numel(), s[at:].Numel()}
	})
	return nil
}

// reshape reads Reshape. The new shape may be computed from the input's, so it is known only
// when the graph is traced.
func (imp *importer) reshape(n *onnx.Node, a *attributes) error {
	allowZero := a.int("allowzero", 0) != 0
	if err := a.done(); err != nil {
		return err
	}
	names := imp.inputNames(n, 2)
	_, fixed := imp.constants[names[1]]
	_, constant := imp.constants[names[0]]
	batch := imp.batch() // a 1 in the shape that is this fixed batch stands for the actual batch
	if fixed = fixed && batch > 0 && !constant; fixed {
		names = append(names[:2:2], imp.net.inputName)
	}
	imp.addReshape(n, names, func(in []value) tensor.Shape {
		from, dims := in[0].shape(), slices.Clone(in[1].integers("the shape"))
		if fixed && len(dims) > 0 && len(from) > 0 && dims[0] == batch && from[0] == in[2].node.Shape[0] {
			dims[0] = int64(from[0])
		}
		return reshaped(from, dims, allowZero)
	})
	return nil
}

// reshaped returns the shape for dims, where 0 copies the input's size (unless allowZero)
// and one -1 is inferred from the others.
func reshaped(from tensor.Shape, dims []int64, allowZero bool) tensor.Shape {
	to := make(tensor.Shape, len(dims))
	infer, product := -1, 1
	for i, d := range dims {
		switch {
		case d == 0 && !allowZero && i < len(from):
			to[i] = from[i]
		case d == -1 && infer < 0:
			infer = i
			continue
		case d < 0 || d > int64(from.Numel()) || product > math.MaxInt32:
			panic(tensor.Misusef("%v cannot become %v", from, dims))
		default:
			to[i] = int(d)
		}
		product *= to[i]
	}
	if infer >= 0 && product > 0 {
		to[infer] = from.Numel() / product
	}
	return to
}

// squeeze reads Squeeze.
func (imp *importer) squeeze(n *onnx.Node, a *attributes) error {
	listed := a.ints("axes")
	if err := a.done(); err != nil {
		return err
	}
	imp.addReshape(n, imp.inputNames(n, 1), func(in []value) tensor.Shape {
		s, axes := in[0].shape(), axesOf(in, listed)
		at := axisIndices(axes, len(s))
		to := tensor.Shape{}
		for d, size := range s {
			switch {
			case axes == nil && size == 1 && (d > 0 || in[0].node == nil), slices.Contains(at, d) && size == 1: // without axes, the batch dimension stays
			case slices.Contains(at, d):
				panic(tensor.Misusef("removes dimension %d of %v, which is not 1", d, s))
			default:
				to = append(to, size)
			}
		}
		return to
	})
	return nil
}

// unsqueeze reads Unsqueeze.
func (imp *importer) unsqueeze(n *onnx.Node, a *attributes) error {
	listed := a.ints("axes")
	if err := a.done(); err != nil {
		return err
	}
	imp.addReshape(n, imp.inputNames(n, 1), func(in []value) tensor.Shape {
		s, axes := in[0].shape(), axesOf(in, listed)
		at := axisIndices(axes, len(s)+len(axes))
		if len(s)+len(axes) > graph.MaxDimensions {
			panic(tensor.Misusef("adds to %v %d dimensions, and a tensor can have at most %d", s, len(axes), graph.MaxDimensions))
		}
		to := tensor.Shape{}
		for d, next := 0, 0; d < len(s)+len(axes); d++ {
			if slices.Contains(at, d) {
				to = append(to, 1)
			} else {
				to = append(to, s[next])
				next++
			}
		}
		return to
	})
	return nil
}

// identity reads Identity, which gives its input another name.
func (imp *importer) identity(n *onnx.Node, a *attributes) error {
	name := imp.unchangedInputNames(n)[0]
	if name != imp.net.inputName {
		if v, err := imp.value(name); err != nil || !v.present() {
			return fmt.Errorf("input %q is not known", name)
		}
	}
	if name == imp.preparedImages && imp.uses[n.Inputs[0]] != 1 {
		imp.preparedImages = ""
	}
	imp.aliasInput(n, name)
	return a.done()
}

// dropout reads Dropout, which does nothing in evaluation mode.
func (imp *importer) dropout(n *onnx.Node, a *attributes) error {
	a.ignore("ratio", "seed", "is_test")
	x, _, err := imp.computedInput(n, 0)
	if err != nil {
		return err
	}
	training, err := imp.constant(n, 2)
	if err != nil {
		return err
	}
	if training != nil && slices.ContainsFunc(training.Ints(), func(v int64) bool { return v != 0 }) {
		return fmt.Errorf("is in training mode; export the network in evaluation mode")
	}
	imp.aliasInput(n, x)
	return a.done()
}

// transpose reads Transpose. If the graph takes images [N, H, W, C], their Transpose to
// [N, C, H, W] is left out, since Forward takes images in that order.
func (imp *importer) transpose(n *onnx.Node, a *attributes) error {
	perm := a.ints("perm")
	if err := a.done(); err != nil {
		return err
	}
	if name := imp.unchangedInputNames(n)[0]; imp.transposePending && name == imp.net.inputName {
		imp.transposePending = false
		if imp.uses[n.Inputs[0]] != 1 {
			imp.preparedImages = ""
		}
		imp.aliasInput(n, name)
		return nil
	}
	return imp.compute(n, a, onNodes(likeInputs, func(in []*graph.Node) *graph.Node {
		rank := len(in[0].Shape)
		axes := indices(rank)
		slices.Reverse(axes)
		if perm != nil {
			axes = axes[:0]
			for _, d := range perm {
				axes = append(axes, axisIndex(d, rank))
			}
		}
		return in[0].Transpose(axes...)
	}))
}

// gather reads Gather. Its indices must be constant and may have any shape.
func (imp *importer) gather(n *onnx.Node, a *attributes) error {
	axis := a.int("axis", 0)
	if len(n.Inputs) != 2 {
		return fmt.Errorf("has %d inputs, not two", len(n.Inputs))
	}
	return imp.compute(n, a, func(in []value) value {
		if in[1].data == nil || !in[1].isInteger() {
			panic(tensor.Misusef("has no constant indices"))
		}
		s := in[0].shape()
		d := axisIndex(axis, len(s))
		checkSize(0, append(append(s[:d:d].Clone(), in[1].data.Shape()...), s[d+1:]...)...)
		index := []int{}
		for _, i := range in[1].data.Ints() {
			if i < -int64(s[d]) || i >= int64(s[d]) {
				panic(tensor.Misusef("index %d is outside of a dimension of size %d", i, s[d]))
			}
			index = append(index, axisIndex(i, s[d]))
		}
		return onNodes(likeInputs, func(x []*graph.Node) *graph.Node {
			y := x[0].Gather(d, index...)
			to := append(append(s[:d:d].Clone(), in[1].data.Shape()...), s[d+1:]...)
			return y.Reshape(to...)
		})(in[:1])
	})
}

// gatherElements reads GatherElements. Negative indices count from the end.
func (imp *importer) gatherElements(n *onnx.Node, a *attributes) error {
	axis := a.int("axis", 0)
	if len(n.Inputs) != 2 {
		return fmt.Errorf("has %d inputs, not two", len(n.Inputs))
	}
	return imp.compute(n, a, onNodes(likeInputs, func(in []*graph.Node) *graph.Node {
		x, index := in[0], in[1]
		d := axisIndex(axis, len(x.Shape))
		zero, size := index.Graph.Constant(0), index.Graph.Constant(float64(x.Shape[d]))
		return x.GatherElements(d, index.Less(zero).Where(index.Add(size), index))
	}))
}

// slice reads Slice. Its starts and ends are inputs since version 10 and attributes before that.
func (imp *importer) slice(n *onnx.Node, a *attributes) error {
	starts, ends, listed := a.ints("starts"), a.ints("ends"), a.ints("axes")
	if err := a.done(); err != nil {
		return err
	}
	imp.apply(n.String(), n.Outputs[0], imp.inputNames(n, 5), func(in []value) value {
		starts, ends, axes, steps := starts, ends, listed, []int64(nil)
		for i, to := range []*[]int64{&starts, &ends, &axes, &steps} {
			if in[1+i].present() {
				*to = in[1+i].integers("the list of places")
			}
		}
		if axes == nil {
			for d := range starts {
				axes = append(axes, int64(d))
			}
		}
		if len(starts) != len(axes) || len(ends) != len(axes) || steps != nil && len(steps) != len(axes) {
			panic(tensor.Misusef("has %d starts, %d ends and %d steps for %d axes", len(starts), len(ends), len(steps), len(axes)))
		}
		s := in[0].shape()
		axisIndices(axes, len(s))
		return onNodes(likeInputs, func(x []*graph.Node) *graph.Node {
			y := x[0]
			for i, d := range axes {
				step := int64(1)
				if steps != nil {
					step = steps[i]
				}
				at := axisIndex(d, len(s))
				y = y.Gather(at, sliceIndices(starts[i], ends[i], step, s[at])...)
			}
			return y
		})(in[:1])
	})
	return nil
}

// sliceIndices lists the indices of a dimension from start to end (exclusive).
func sliceIndices(start, end, step int64, size int) []int {
	n := int64(size)
	if step == 0 {
		panic(tensor.Misusef("has a step of 0"))
	}
	if start < 0 {
		start += n
	}
	if end < 0 {
		end += n
	}
	list := []int{}
	if step > 0 {
		start, end = max(start, 0), min(end, n)
		for i := start; i < end; i += step {
			list = append(list, int(i))
			if step > n {
				break
			}
		}
		return list
	}
	start, end = min(max(start, 0), n-1), max(end, -1)
	for i := start; i > end; i += step {
		list = append(list, int(i))
		if step < -n {
			break
		}
	}
	return list
}

// split reads Split, into parts of given sizes or of equal size.
func (imp *importer) split(n *onnx.Node, a *attributes) error {
	axis, listed := a.int("axis", 0), a.ints("split")
	a.ignore("num_outputs")
	if len(n.Outputs) > maxSide {
		a.fail("has %d parts, and at most %d are supported", len(n.Outputs), maxSide)
	}
	if err := a.done(); err != nil {
		return err
	}
	names := imp.inputNames(n, 2)
	for k, out := range n.Outputs {
		if out == "" {
			continue
		}
		imp.apply(n.String(), out, names, func(in []value) value {
			s := in[0].shape()
			d := axisIndex(axis, len(s))
			sizes := axesOf(in, listed)
			if sizes == nil {
				part := (s[d] + len(n.Outputs) - 1) / len(n.Outputs)
				for i := range n.Outputs {
					sizes = append(sizes, int64(max(min(part, s[d]-i*part), 0)))
				}
			}
			from, total := int64(0), int64(0)
			for i, size := range sizes {
				if size < 0 || size > int64(s[d]) {
					panic(tensor.Misusef("has a part of %d for dimension %d of %v", size, d, s))
				}
				if i < k {
					from += size
				}
				total += size
			}
			if len(sizes) != len(n.Outputs) || total != int64(s[d]) {
				panic(tensor.Misusef("has parts of %v for dimension %d of %v", sizes, d, s))
			}
			return onNodes(likeInputs, func(x []*graph.Node) *graph.Node { return x[0].Slice(d, int(from), int(from+sizes[k])) })(in[:1])
		})
	}
	return nil
}

// concat reads Concat.
func (imp *importer) concat(n *onnx.Node, a *attributes) error {
	axis := a.int("axis", 1)
	if len(n.Inputs) == 0 || slices.Contains(n.Inputs, "") {
		return fmt.Errorf("an input is missing")
	}
	return imp.compute(n, a, onNodes(likeInputs, func(in []*graph.Node) *graph.Node {
		if len(in) == 1 {
			return in[0]
		}
		return graph.Join(axisIndex(axis, len(in[0].Shape)), in...)
	}))
}

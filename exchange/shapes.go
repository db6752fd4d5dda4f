package exchange

import (
	"fmt"
	"slices"

	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/weights/onnx"
)

// flatten reads Flatten with the one axis that keeps the batch.
func (imp *importer) flatten(n *onnx.Node, a *attributes) error {
	x, rank, err := imp.activation(n, 0)
	if err != nil {
		return err
	}
	if axis := a.int("axis", 1); axis != 1 && axis != int64(1-rank) {
		a.fail("axis=%d is not supported, only 1, which keeps the batch", axis)
	}
	imp.layer(n, 2, x, nn.Flatten{})
	return a.done()
}

// reshape reads Reshape. Its shape is known when the graph is traced, for it may
// be made of the input's.
func (imp *importer) reshape(n *onnx.Node, a *attributes) error {
	t, constant := imp.constantOf(n, 0)
	if constant || imp.isInteger(n, 0) {
		a.ignore("allowzero")
		if err := a.done(); err != nil {
			return err
		}
		if constant {
			return imp.listed(n, t)
		}
		return imp.sameIntegers(n)
	}
	x, _, err := imp.activation(n, 0)
	if err != nil {
		return err
	}
	allowZero := a.int("allowzero", 0) != 0
	if err := a.done(); err != nil {
		return err
	}
	to, length, err := imp.integers(n, 1)
	if err != nil {
		return err
	}
	batch := 0 // a fixed one: it stands for the run's
	if d := imp.model.Graph.Inputs[0].Shape[0]; d.Size > 0 {
		batch = d.Size
	}
	_, constant = imp.net.known[to]
	imp.add(n, length, []string{x, to}, func(in []value) value {
		dims := slices.Clone(in[1].ints)
		from := in[0].node.Shape
		if constant && batch > 0 && len(dims) > 0 && dims[0] == int64(batch) {
			dims[0] = int64(from[0])
		}
		return value{node: reshaped(in[0].node, dims, allowZero)}
	})
	return nil
}

// reshaped gives x the shape of dims, where 0 takes the size of x and one -1 what
// is left.
func reshaped(x *graph.Node, dims []int64, allowZero bool) *graph.Node {
	to := make(tensor.Shape, len(dims))
	infer, product := -1, 1
	for i, d := range dims {
		switch {
		case d == 0 && !allowZero && i < len(x.Shape):
			to[i] = x.Shape[i]
		case d == -1 && infer < 0:
			infer = i
			continue
		case d < 1 || d > int64(x.Shape.Numel()):
			panic(fmt.Sprintf("%v cannot become %v", x.Shape, dims))
		default:
			to[i] = int(d)
		}
		product *= to[i]
	}
	if infer >= 0 && product > 0 {
		to[infer] = x.Shape.Numel() / product
	}
	if len(to) == 2 && len(x.Shape) >= 2 && to[0] == x.Shape[0] && to[1] == x.Shape[1:].Numel() {
		return nn.Flatten{}.Forward(x)
	}
	return x.Graph.Apply(&graph.Reshape{To: to}, x)
}

// squeeze takes out height and width after a global pooling, or a dimension of
// integers.
func (imp *importer) squeeze(n *onnx.Node, a *attributes) error {
	axes := a.ints("axes")
	if t, err := imp.constant(n, 1); err != nil {
		return err
	} else if t != nil {
		axes = t.Ints()
	}
	if err := a.done(); err != nil {
		return err
	}
	if imp.isInteger(n, 0) {
		return imp.sameIntegers(n)
	}
	x, err := imp.image(n)
	if err != nil {
		return err
	}
	axes = slices.Clone(axes)
	for i := range axes {
		if axes[i] < 0 {
			axes[i] += 4
		}
	}
	if slices.Sort(axes); !slices.Equal(axes, []int64{2, 3}) {
		return fmt.Errorf("of the axes %v is not supported, only of height and width (2, 3)", axes)
	}
	imp.add(n, 2, []string{x}, func(in []value) value {
		if s := in[0].node.Shape; s[2] != 1 || s[3] != 1 {
			panic(fmt.Sprintf("%v has more than one pixel", s))
		}
		return value{node: nn.Flatten{}.Forward(in[0].node)}
	})
	return nil
}

func (imp *importer) identity(n *onnx.Node, a *attributes) error {
	name := imp.resolve(n.Inputs[0])
	if _, ok := imp.kinds[name]; !ok {
		if _, ok := imp.constants[name]; !ok {
			return fmt.Errorf("input %q is not known", n.Inputs[0])
		}
	}
	if name == imp.prepared && imp.uses[n.Inputs[0]] != 1 {
		imp.prepared = ""
	}
	imp.pass(n, name)
	return a.done()
}

// dropout does nothing, as the network is one for evaluation.
func (imp *importer) dropout(n *onnx.Node, a *attributes) error {
	a.ignore("ratio", "seed")
	x, _, err := imp.activation(n, 0)
	if err != nil {
		return err
	}
	training, err := imp.constant(n, 2)
	if err != nil {
		return err
	}
	if training != nil && slices.ContainsFunc(training.Ints(), func(v int64) bool { return v != 0 }) {
		return fmt.Errorf("works as in training; export the network in evaluation mode")
	}
	imp.pass(n, x)
	return a.done()
}

// cast changes nothing: floats here are float32 and integers int64.
func (imp *importer) cast(n *onnx.Node, a *attributes) error {
	to := onnx.ElementType(a.int("to", 0))
	a.ignore("saturate", "round_mode")
	if err := a.done(); err != nil {
		return err
	}
	if imp.isInteger(n, 0) {
		if to != onnx.Int64 && to != onnx.Int32 {
			return fmt.Errorf("of integers to %v is not supported", to)
		}
		return imp.sameIntegers(n)
	}
	x, _, err := imp.activation(n, 0)
	if err != nil {
		return err
	}
	if !to.IsFloat() {
		return fmt.Errorf("of what is computed to %v is not supported", to)
	}
	imp.pass(n, x)
	return nil
}

// transpose reads the one transposition that is supported: of images that have
// their channels last.
func (imp *importer) transpose(n *onnx.Node, a *attributes) error {
	x, err := imp.image(n)
	if err != nil {
		return err
	}
	in := &imp.net.Input
	if perm := a.ints("perm"); !slices.Equal(perm, []int64{0, 3, 1, 2}) || x != imp.prepared || in.ChannelsLast || in.Scale != nil {
		a.fail("perm=%v is not supported, only that of the input from [N, H, W, C] to [N, C, H, W], perm=[0 3 1 2]", perm)
	}
	in.ChannelsLast = true
	in.Height, in.Width, in.Channels = in.Channels, in.Height, in.Width
	imp.pass(n, x)
	return a.done()
}

// constantNode reads Constant as an initialiser of that name.
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
	return nil
}

// isInteger reports whether an input is a list of integers.
func (imp *importer) isInteger(n *onnx.Node, i int) bool {
	_, _, err := imp.integers(n, i)
	return err == nil
}

// integers returns the name and length of an input that is a list of integers,
// such as a shape.
func (imp *importer) integers(n *onnx.Node, i int) (name string, length int, err error) {
	if i >= len(n.Inputs) || n.Inputs[i] == "" {
		return "", 0, fmt.Errorf("has no input %d", i)
	}
	name = imp.resolve(n.Inputs[i])
	if t, ok := imp.constants[name]; ok && t.DType() == tensor.Int64 && t.Numel() <= mostIntegers {
		imp.net.known[name] = value{ints: t.Ints()}
		return name, t.Numel(), nil
	}
	if k, ok := imp.kinds[name]; ok && k.rank == 0 {
		return name, k.length, nil
	}
	return "", 0, fmt.Errorf("input %q is no short list of integers, such as a shape", n.Inputs[i])
}

// mostIntegers is beyond the dimensions of any tensor.
const mostIntegers = 8

// compute adds a step that makes integers. Of constants alone they are one: a fixed batch
// in it is known as such.
func (imp *importer) compute(n *onnx.Node, length int, in []string, run func(in []value) []int64) error {
	if length > mostIntegers {
		return fmt.Errorf("makes a list of %d integers, where at most %d are possible", length, mostIntegers)
	}
	values := make([]value, len(in))
	if !slices.ContainsFunc(in, func(name string) bool { return imp.constants[name] == nil }) {
		for i, name := range in {
			values[i] = imp.net.known[name]
		}
		ints := run(values)
		imp.constants[n.Outputs[0]] = tensor.FromInts(ints, len(ints))
		return nil
	}
	imp.kinds[n.Outputs[0]] = kind{length: length}
	imp.net.steps = append(imp.net.steps, step{label: n.String(), in: in, out: n.Outputs[0], run: func(in []value) value {
		return value{ints: run(in)}
	}})
	return nil
}

func (imp *importer) sameIntegers(n *onnx.Node) error {
	name, length, err := imp.integers(n, 0)
	if err != nil {
		return err
	}
	return imp.compute(n, length, []string{name}, func(in []value) []int64 { return in[0].ints })
}

func (imp *importer) shape(n *onnx.Node, a *attributes) error {
	t, constant := imp.constantOf(n, 0)
	var x string
	var rank int
	if constant {
		rank = len(t.Shape())
	} else {
		var err error
		if x, rank, err = imp.activation(n, 0); err != nil {
			return err
		}
	}
	start, end := a.int("start", 0), a.int("end", int64(rank))
	if start < 0 {
		start += int64(rank)
	}
	if end < 0 {
		end += int64(rank)
	}
	if end = min(end, int64(rank)); start < 0 || start > end {
		a.fail("start=%d, end=%d of %d dimensions", start, end, rank)
	}
	if err := a.done(); err != nil {
		return err
	}
	sizes := func(of tensor.Shape) (list []int64) {
		for _, d := range of[start:end] {
			list = append(list, int64(d))
		}
		return list
	}
	if constant {
		imp.constants[n.Outputs[0]] = tensor.FromInts(sizes(t.Shape()), int(end-start))
		return nil
	}
	return imp.compute(n, int(end-start), []string{x}, func(in []value) []int64 { return sizes(in[0].node.Shape) })
}

func (imp *importer) gather(n *onnx.Node, a *attributes) error {
	a.want("axis", 0, 0)
	if err := a.done(); err != nil {
		return err
	}
	from, length, err := imp.integers(n, 0)
	if err != nil {
		return err
	}
	indices, err := imp.constant(n, 1)
	if err != nil {
		return err
	}
	if indices == nil || indices.DType() != tensor.Int64 {
		return fmt.Errorf("has no indices")
	}
	at := slices.Clone(indices.Ints())
	for i := range at {
		if at[i] < 0 {
			at[i] += int64(length)
		}
		if at[i] < 0 || at[i] >= int64(length) {
			return fmt.Errorf("index %d of a list of %d", at[i], length)
		}
	}
	return imp.compute(n, len(at), []string{from}, func(in []value) []int64 {
		var out []int64
		for _, i := range at {
			out = append(out, in[0].ints[i])
		}
		return out
	})
}

func (imp *importer) unsqueeze(n *onnx.Node, a *attributes) error {
	a.ignore("axes") // one number and a list of one are the same here
	if err := a.done(); err != nil {
		return err
	}
	return imp.sameIntegers(n)
}

func (imp *importer) concat(n *onnx.Node, a *attributes) error {
	if axis := a.int("axis", 0); axis != 0 && axis != -1 {
		a.fail("axis=%d is not supported: only lists of integers are joined", axis)
	}
	if err := a.done(); err != nil {
		return err
	}
	var names []string
	total := 0
	for i := range n.Inputs {
		name, length, err := imp.integers(n, i)
		if err != nil {
			return err
		}
		names = append(names, name)
		total += length
	}
	return imp.compute(n, total, names, func(in []value) []int64 {
		var out []int64
		for _, v := range in {
			out = append(out, v.ints...)
		}
		return out
	})
}

package exchange

import (
	"slices"

	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/tensor"
)

// value is what a name stands for while a graph is traced: a node, or data that is known by
// then, such as weights and shapes. It is neither if an optional input was left out.
type value struct {
	node      *graph.Node
	data      *tensor.Tensor
	parameter *nn.Parameter // data as a buffer, if it is a constant of the file
}

// operation computes the output of a node from its inputs. It panics with a message if it cannot.
type operation func(in []value) value

// computedNode is one node of an ONNX graph whose output is not constant.
type computedNode struct {
	label string // the node, for messages
	in    []string
	out   string
	run   operation
}

// present reports whether an input was given.
func (v value) present() bool { return v.node != nil || v.data != nil }

// shape returns the shape of the node or the data.
func (v value) shape() tensor.Shape {
	if v.node != nil {
		return v.node.Shape
	}
	return v.data.Shape()
}

func (v value) isInteger() bool { return v.data != nil && v.data.DType() == tensor.Int64 }

// integers returns the elements of constant integer data, such as a shape or a list of axes.
func (v value) integers(what string) []int64 {
	switch {
	case v.node != nil:
		panic(tensor.Misusef("%s is computed from the images, but must be constant", what))
	case v.data == nil:
		panic(tensor.Misusef("has no %s", what))
	case v.data.DType() != tensor.Int64 || v.data.Numel() > maxIntegers:
		panic(tensor.Misusef("%s is not a short list of integers, such as a shape", what))
	}
	return v.data.Ints()
}

// maxIntegers bounds lists such as shapes; it is far above the number of dimensions of any tensor.
const maxIntegers = 64

// numbers returns the elements of constant data.
func (v value) numbers(what string) []float64 {
	if v.data == nil {
		panic(tensor.Misusef("%s is computed from the images, but must be constant", what))
	}
	return float64s(v.data)
}

// float64s returns the elements of a tensor as float64.
func float64s(t *tensor.Tensor) []float64 {
	out := make([]float64, t.Numel())
	for i := range out {
		if t.DType() == tensor.Int64 {
			out[i] = float64(t.Ints()[i])
		} else {
			out[i] = float64(t.Data()[i])
		}
	}
	return out
}

// asNode returns v as a node of g: its own, a constant, or a variable that is not trained.
func (v value) asNode(g *graph.Graph) *graph.Node {
	if v.node != nil {
		return v.node
	}
	if v.data == nil {
		panic(tensor.Misusef("an input is missing"))
	}
	t := v.data
	for _, d := range t.Shape() {
		checkSize(maxIndices, d)
	}
	if n := t.Numel(); n > 0 {
		if t.DType() == tensor.Int64 && !slices.ContainsFunc(t.Ints(), func(i int64) bool { return i != t.Ints()[0] }) {
			return g.Constant(float64(t.Ints()[0]), t.Shape()...)
		}
		if t.DType() == tensor.Float32 && !slices.ContainsFunc(t.Data(), func(x float32) bool { return x != t.Data()[0] }) {
			return g.Constant(float64(t.Data()[0]), t.Shape()...)
		}
	}
	if v.parameter != nil {
		return g.Variable(v.parameter)
	}
	return g.Variable(buffer(t))
}

// buffer wraps a tensor in a parameter that is not trained, as float32.
func buffer(t *tensor.Tensor) *nn.Parameter {
	if t.DType() == tensor.Int64 {
		floats := tensor.New(t.Shape()...)
		for i, v := range t.Ints() {
			floats.Data()[i] = float32(v)
		}
		t = floats
	}
	return &nn.Parameter{Value: t}
}

// graphOf returns the graph of the nodes among some values, or nil if all are constant.
func graphOf(in []value) *graph.Graph {
	for _, v := range in {
		if v.node != nil {
			return v.node.Graph
		}
	}
	return nil
}

// resultType is the type of a constant that is computed from others.
type resultType uint8

const (
	likeInputs resultType = iota // integers if all inputs are, else floats
	asFloats                     // floats
	asBooleans                   // 0 and 1, as integers
)

// onNodes turns a function on nodes into an operation on values. If all inputs are constant,
// the result is a constant too, computed in float64 by graph.Reference.
func onNodes(result resultType, run func(in []*graph.Node) *graph.Node) operation {
	return func(in []value) value {
		g := graphOf(in)
		if g == nil {
			return onConstants(result, in, run)
		}
		nodes := make([]*graph.Node, len(in))
		for i, v := range in {
			if v.present() {
				nodes[i] = v.asNode(g)
			}
		}
		return value{node: run(nodes)}
	}
}

// onConstants computes an operation on constants.
func onConstants(result resultType, in []value, run func(in []*graph.Node) *graph.Node) value {
	g := graph.New(graph.Eval)
	feeds := map[*graph.Node][]float64{}
	nodes := make([]*graph.Node, len(in))
	integers := result != asFloats
	for i, v := range in {
		if v.data == nil {
			continue
		}
		if v.data.Numel() > maxFromSize {
			panic(tensor.Misusef("is computed from a constant of shape %v, which is too large; let the exporter fold constants", v.data.Shape()))
		}
		nodes[i] = g.Input("constant", tensor.Float32, v.data.Shape()...)
		feeds[nodes[i]] = float64s(v.data)
		integers = integers && (v.isInteger() || result == asBooleans)
	}
	y := run(nodes)
	bounds := bounds{maxElements: maxConstant}
	bounds.check(g)
	numbers := graph.Reference([]*graph.Node{y}, feeds)[0]
	if integers {
		ints := make([]int64, len(numbers))
		for i, x := range numbers {
			ints[i] = int64(x)
		}
		return value{data: tensor.FromInts(ints, y.Shape...)}
	}
	t := tensor.New(y.Shape...)
	for i, x := range numbers {
		t.Data()[i] = float32(x)
	}
	return value{data: t}
}

// Bounds on what a small file can ask for.
const (
	maxElements = 1 << 30 // elements of one activation, more than any image network needs
	maxIndices  = 1 << 24 // indices of all gathers in one trace
	maxConstant = 1 << 22 // elements of one constant that is computed from others
	maxFolded   = 1 << 27 // elements of all constants that others are computed from
	maxFromSize = 1 << 24 // numbers computed from the image size in one trace
	maxComputed = 160e6   // elements of all computed constants; VGG-19 has 144 million
)

// bounds counts the resources that the nodes of a trace use, and panics if they are too many.
type bounds struct {
	checked     int // nodes that were checked
	gathered    int // indices of gathers
	fromSize    int // numbers computed from the image size
	maxElements int // largest number of elements of one node; 0 means the constant maxElements
}

// count panics if too many numbers are computed from the image size.
func (b *bounds) count(in []value, out value) {
	if out.data == nil {
		return
	}
	for _, v := range append(slices.Clone(in), out) {
		if v.data != nil {
			b.fromSize += v.data.Numel()
		}
	}
	if b.fromSize > maxFromSize {
		panic(tensor.Misusef("computes, with the nodes before it, more than %d numbers from the image size; the file is damaged", maxFromSize))
	}
}

// check panics if a new node of g is too large.
func (b *bounds) check(g *graph.Graph) {
	for _, n := range g.Nodes[min(b.checked, len(g.Nodes)):] {
		checkSize(b.maxElements, n.Shape...)
		for _, d := range n.Shape {
			checkSize(maxIndices, d)
		}
		if op, ok := n.Op.(graph.Take); ok {
			for _, list := range op.Index {
				b.gathered += len(list)
			}
		}
	}
	b.checked = len(g.Nodes)
	if b.gathered > maxIndices {
		panic(tensor.Misusef("gathers, with the nodes before it, more than %d elements; the file is damaged", maxIndices))
	}
}

// checkSize panics if a tensor of this shape would have more than limit elements; a limit of 0
// stands for maxElements.
func checkSize[T int | int64](limit int, shape ...T) {
	if limit == 0 {
		limit = maxElements
	}
	size := int64(1)
	for _, d := range shape {
		if d < 0 || d > 0 && size > int64(limit)/int64(d) {
			panic(tensor.Misusef("asks for a tensor of %v; the file is damaged", shape))
		}
		if d > 0 {
			size *= int64(d)
		}
	}
}

// catchMisuse runs f and returns the tensor.Misuse that it panics with as an error.
func catchMisuse(f func()) (err error) {
	defer func() {
		if m := tensor.Recovered(recover()); m != nil {
			err = m
		}
	}()
	f()
	return nil
}

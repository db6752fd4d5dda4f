package exchange

import (
	"fmt"
	"slices"

	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/weights/onnx"
)

// value is what a name stands for while a graph is traced: a node, or data that is known by
// then, such as weights and shapes. It is neither if an optional input was left out.
type value struct {
	node *graph.Node
	data *tensor.Tensor
	held *nn.Parameter // data as a buffer, if it is a constant of the file
}

// operation computes the output of a node from its inputs. It panics with a message if it cannot.
type operation func(in []value) value

// step is one node of an ONNX graph whose output is not constant.
type step struct {
	label string // the node, for messages
	in    []string
	out   string
	run   operation
}

// there reports whether an input was given.
func (v value) there() bool { return v.node != nil || v.data != nil }

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
	case v.data.DType() != tensor.Int64 || v.data.Numel() > mostIntegers:
		panic(tensor.Misusef("%s is not a short list of integers, such as a shape", what))
	}
	return v.data.Ints()
}

// mostIntegers bounds lists such as shapes; it is far above the number of dimensions of any tensor.
const mostIntegers = 64

// numbers returns the elements of constant data.
func (v value) numbers(what string) []float64 {
	if v.data == nil {
		panic(tensor.Misusef("%s is computed from the images, but must be constant", what))
	}
	return wide(v.data)
}

// wide returns the elements of a tensor as float64.
func wide(t *tensor.Tensor) []float64 {
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

// on returns v as a node of g: its own, a constant, or a variable that is not trained.
func (v value) on(g *graph.Graph) *graph.Node {
	if v.node != nil {
		return v.node
	}
	if v.data == nil {
		panic(tensor.Misusef("an input is missing"))
	}
	t := v.data
	for _, d := range t.Shape() {
		limited(mostListed, d)
	}
	if n := t.Numel(); n > 0 {
		if t.DType() == tensor.Int64 && !slices.ContainsFunc(t.Ints(), func(i int64) bool { return i != t.Ints()[0] }) {
			return g.Constant(float64(t.Ints()[0]), t.Shape()...)
		}
		if t.DType() == tensor.Float32 && !slices.ContainsFunc(t.Data(), func(x float32) bool { return x != t.Data()[0] }) {
			return g.Constant(float64(t.Data()[0]), t.Shape()...)
		}
	}
	if v.held != nil {
		return g.Variable(v.held)
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

// kindOfResult is the type of a constant that is computed from others.
type kindOfResult uint8

const (
	asInputs  kindOfResult = iota // integers if all inputs are, else floats
	asNumbers                     // floats
	asFlags                       // 0 and 1, as integers
)

// over turns a function on nodes into an operation on values. If all inputs are constant,
// the result is a constant too, computed in float64 by graph.Reference.
func over(result kindOfResult, run func(in []*graph.Node) *graph.Node) operation {
	return func(in []value) value {
		g := graphOf(in)
		if g == nil {
			return worked(result, in, run)
		}
		nodes := make([]*graph.Node, len(in))
		for i, v := range in {
			if v.there() {
				nodes[i] = v.on(g)
			}
		}
		return value{node: run(nodes)}
	}
}

// worked computes an operation on constants.
func worked(result kindOfResult, in []value, run func(in []*graph.Node) *graph.Node) value {
	g := graph.New(graph.Eval)
	feeds := map[*graph.Node][]float64{}
	nodes := make([]*graph.Node, len(in))
	whole := result != asNumbers
	for i, v := range in {
		if v.data == nil {
			continue
		}
		if v.data.Numel() > mostWorked {
			panic(tensor.Misusef("would be computed from a constant of shape %v; let the exporter fold constants", v.data.Shape()))
		}
		nodes[i] = g.Input("constant", tensor.Float32, v.data.Shape()...)
		feeds[nodes[i]] = wide(v.data)
		whole = whole && (v.isInteger() || result == asFlags)
	}
	y := run(nodes)
	bounds := bounds{most: mostMade}
	bounds.check(g)
	numbers := graph.Reference([]*graph.Node{y}, feeds)[0]
	if whole {
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
	mostElements = 1 << 30 // elements of one activation, more than any image network needs
	mostListed   = 1 << 24 // indices of all gathers in one trace
	mostMade     = 1 << 22 // elements of one constant that is computed from others
	mostFolded   = 1 << 27 // elements of all constants that others are computed from
	mostWorked   = 1 << 24 // numbers computed from the image size in one trace
	mostFilled   = 160e6   // elements of all computed constants; VGG-19 has 144 million
)

// bounds counts the resources that the nodes of a trace use, and panics if they are too many.
type bounds struct {
	seen   int // nodes that were checked
	listed int // indices of gathers
	worked int // numbers computed from the image size
	most   int // largest number of elements of one node; 0 means mostElements
}

// count panics if too many numbers are computed from the image size.
func (b *bounds) count(in []value, out value) {
	if out.data == nil {
		return
	}
	for _, v := range append(slices.Clone(in), out) {
		if v.data != nil {
			b.worked += v.data.Numel()
		}
	}
	if b.worked > mostWorked {
		panic(tensor.Misusef("computes, with the nodes before it, more than %d numbers from the image size; the file is damaged", mostWorked))
	}
}

// check panics if a new node of g is too large.
func (b *bounds) check(g *graph.Graph) {
	for _, n := range g.Nodes[min(b.seen, len(g.Nodes)):] {
		limited(b.most, n.Shape...)
		for _, d := range n.Shape {
			limited(mostListed, d)
		}
		if op, ok := n.Op.(graph.Take); ok {
			for _, list := range op.Index {
				b.listed += len(list)
			}
		}
	}
	b.seen = len(g.Nodes)
	if b.listed > mostListed {
		panic(tensor.Misusef("gathers, with the nodes before it, more than %d elements; the file is damaged", mostListed))
	}
}

// limited panics if a tensor of this shape would have more than most elements; 0 stands for
// mostElements.
func limited[T int | int64](most int, shape ...T) {
	if most == 0 {
		most = mostElements
	}
	size := int64(1)
	for _, d := range shape {
		if d < 0 || d > 0 && size > int64(most)/int64(d) {
			panic(tensor.Misusef("asks for a tensor of %v; the file is damaged", shape))
		}
		if d > 0 {
			size *= int64(d)
		}
	}
}

// guarded runs f and returns the tensor.Misuse that it panics with as an error.
func guarded(f func()) (err error) {
	defer func() {
		if m := tensor.Recovered(recover()); m != nil {
			err = m
		}
	}()
	f()
	return nil
}

// named returns the resolved names of all inputs of a node, padded with "" to at least count.
// Inputs that are left out are "". The node uses the images itself if it takes prepared, so
// Input no longer describes everything done to them.
func (imp *importer) named(n *onnx.Node, count int) []string {
	names := make([]string, max(count, len(n.Inputs)))
	for i, name := range n.Inputs {
		if name == imp.prepared || imp.resolve(name) == imp.prepared {
			if imp.prepared != "" {
				imp.prepared = "" // Input would not describe this node's input
			}
		}
		if name != "" {
			names[i] = imp.resolve(name)
		}
	}
	return names
}

// value returns the value of a resolved name in the trace.
func (imp *importer) value(name string) (value, error) {
	if name == "" {
		return value{}, nil
	}
	if v, ok := imp.values[name]; ok {
		return v, nil
	}
	if t, ok := imp.constants[name]; ok {
		return value{data: t}, nil
	}
	if name != imp.net.from {
		return value{}, fmt.Errorf("input %q is not known", name)
	}
	in := &imp.net.Input
	if in.Channels == 0 {
		return value{}, imp.noChannels()
	}
	if imp.turn {
		return value{}, fmt.Errorf("takes uint8 images with the channels last; before their Transpose only Add, Sub, Mul and Div with one number, or one for each channel, are supported")
	}
	h, w := in.sides()
	v := value{node: imp.graph.Input(in.Name, tensor.Float32, 1, in.Channels, h, w)}
	imp.values[name] = v
	return v, nil
}

// apply runs an operation on resolved names and gives its result the name out. The result is
// a constant if all inputs are, and otherwise becomes a step of the network. Errors go to
// imp.failed.
func (imp *importer) apply(label, out string, in []string, run operation) {
	if imp.failed == nil && in[0] == "" {
		imp.failed = fmt.Errorf("has no input 0")
	}
	if imp.failed != nil {
		return
	}
	values := make([]value, len(in))
	constant := true
	for i, name := range in {
		if values[i], imp.failed = imp.value(name); imp.failed != nil {
			return
		}
		if _, ok := imp.constants[name]; !ok && name != "" {
			constant = false
		}
	}
	if !constant {
		for i, name := range in {
			if t, ok := imp.constants[name]; ok {
				known, ok := imp.net.known[name]
				if !ok {
					known = value{data: t, held: buffer(t)}
					imp.net.known[name] = known
				}
				values[i] = known
			}
		}
	}
	var result value
	if imp.failed = guarded(func() {
		result = run(values)
		imp.bounds.check(imp.graph)
		if !constant {
			imp.bounds.count(values, result)
		}
	}); imp.failed != nil {
		return
	}
	if constant {
		imp.failed = imp.make(out, result.data, values)
		return
	}
	imp.values[out] = result
	imp.net.steps = append(imp.net.steps, step{label: label, in: in, out: out, run: run})
}

// make adds a constant that a node has computed from others.
func (imp *importer) make(out string, t *tensor.Tensor, of []value) error {
	size := int64(t.Numel())
	for _, v := range of {
		if v.data == nil {
			continue
		}
		if sameNumbers(v.data, t) {
			imp.constants[out] = t
			return nil
		}
		size += int64(v.data.Numel())
	}
	if imp.made += int64(t.Numel()); imp.made > mostFilled {
		return fmt.Errorf("makes a constant of shape %v, and all constants together would have more than %d numbers", t.Shape(), int(mostFilled))
	}
	if len(of) > 0 && size > int64(t.Numel())+mostIntegers {
		if imp.folded += size; imp.folded > mostFolded {
			return fmt.Errorf("computes a constant from others that have more than %d numbers together; let the exporter fold constants", mostFolded)
		}
	}
	imp.constants[out] = t
	return nil
}

// sameNumbers reports whether two tensors share their memory.
func sameNumbers(a, b *tensor.Tensor) bool {
	if a.Numel() == 0 || a.Numel() != b.Numel() || a.DType() != b.DType() {
		return false
	}
	if a.DType() == tensor.Int64 {
		return &a.Ints()[0] == &b.Ints()[0]
	}
	return &a.Data()[0] == &b.Data()[0]
}

// compute adds a node whose first output is computed from all its inputs, none of which may
// be left out.
func (imp *importer) compute(n *onnx.Node, a *attributes, run operation) error {
	if i := slices.Index(n.Inputs, ""); i >= 0 {
		return fmt.Errorf("has no input %d", i)
	}
	return imp.optional(n, a, run)
}

// optional is compute for nodes whose inputs after the first may be left out.
func (imp *importer) optional(n *onnx.Node, a *attributes, run operation) error {
	if err := a.done(); err != nil {
		return err
	}
	imp.apply(n.String(), n.Outputs[0], imp.named(n, 1), run)
	return nil
}

// layer adds a step that applies a module to one input.
func (imp *importer) layer(n *onnx.Node, _ int, in string, m nn.Module) {
	net := imp.net
	imp.apply(n.String(), n.Outputs[0], []string{in}, func(in []value) value { return value{node: net.current(m).Forward(in[0].node)} })
}

// activation returns the resolved name and the rank of an input that is computed from the images.
func (imp *importer) activation(n *onnx.Node, i int) (string, int, error) {
	if i >= len(n.Inputs) || n.Inputs[i] == "" {
		return "", 0, fmt.Errorf("has no input %d", i)
	}
	name := imp.resolve(n.Inputs[i])
	if name == imp.prepared && imp.uses[n.Inputs[i]] != 1 {
		imp.prepared = "" // Input would also describe the other nodes' input
	}
	if name == imp.net.from {
		return name, 4, nil
	}
	if v, ok := imp.values[name]; ok && v.node != nil {
		return name, len(v.node.Shape), nil
	}
	return "", 0, fmt.Errorf("input %q is not computed from the images", n.Inputs[i])
}

// shapeOf returns the shape of a value computed for one image, or nil if it is not traced.
func (imp *importer) shapeOf(name string) tensor.Shape {
	if v, ok := imp.values[name]; ok && v.node != nil {
		return v.node.Shape
	}
	return nil
}

// constant returns an input that is a weight or another constant, or nil if it is left out.
func (imp *importer) constant(n *onnx.Node, i int) (*tensor.Tensor, error) {
	if i >= len(n.Inputs) || n.Inputs[i] == "" {
		return nil, nil
	}
	t, ok := imp.constants[imp.resolve(n.Inputs[i])]
	if !ok {
		return nil, fmt.Errorf("input %q is computed, but must be constant", n.Inputs[i])
	}
	return t, nil
}

package exchange

import (
	"fmt"
	"slices"

	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/weights/onnx"
)

// value is what a name stands for while a graph is traced: a node, or numbers that are
// known then, such as weights and shapes. It is neither where an input was left out.
type value struct {
	node *graph.Node
	data *tensor.Tensor
	held *nn.Parameter // data as a buffer, where it is a constant of the file
}

// operation computes what a node gives. It panics with the reason where it cannot.
type operation func(in []value) value

// step is one node of an ONNX graph that is not a constant.
type step struct {
	label string // the node, for messages
	in    []string
	out   string
	run   operation
}

func (v value) there() bool { return v.node != nil || v.data != nil }

func (v value) shape() tensor.Shape {
	if v.node != nil {
		return v.node.Shape
	}
	return v.data.Shape()
}

func (v value) isInteger() bool { return v.data != nil && v.data.DType() == tensor.Int64 }

// integers returns the numbers of a shape, of axes or the like.
func (v value) integers(what string) []int64 {
	switch {
	case v.node != nil:
		panic(tensor.Misusef("%s is computed from the images, where only a constant is possible", what))
	case v.data == nil:
		panic(tensor.Misusef("has no %s", what))
	case v.data.DType() != tensor.Int64 || v.data.Numel() > mostIntegers:
		panic(tensor.Misusef("%s is no short list of integers, such as a shape", what))
	}
	return v.data.Ints()
}

// mostIntegers is far beyond the dimensions of any tensor.
const mostIntegers = 64

// numbers returns the elements of constant data.
func (v value) numbers(what string) []float64 {
	if v.data == nil {
		panic(tensor.Misusef("%s is computed from the images, where only a constant is possible", what))
	}
	return wide(v.data)
}

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

// on returns v as a node of g.
func (v value) on(g *graph.Graph) *graph.Node {
	if v.node != nil {
		return v.node
	}
	if v.data == nil {
		panic(tensor.Misusef("lacks an input"))
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

// buffer returns a tensor as one that nothing trains.
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

// graphOf returns the graph that the nodes among some values belong to, nil where there
// are none.
func graphOf(in []value) *graph.Graph {
	for _, v := range in {
		if v.node != nil {
			return v.node.Graph
		}
	}
	return nil
}

// kindOfResult says of what kind numbers are that are worked out of constants.
type kindOfResult uint8

const (
	asInputs  kindOfResult = iota // integers where all inputs are
	asNumbers                     // with a fraction
	asFlags                       // 0 and 1, which are integers
)

// over makes an operation of one on nodes. Of constants alone the result is one, worked
// out in float64 by the reference loops.
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

// worked works an operation out of constants.
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
			panic(tensor.Misusef("would be worked out of a constant of %v; let the exporter fold constants", v.data.Shape()))
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

// Bounds of what a small file can ask for.
const (
	mostElements = 1 << 30 // of one activation, more than any network of images takes
	mostListed   = 1 << 24 // indices of all elements that are taken in one trace
	mostMade     = 1 << 22 // elements of one constant that nodes make of others
	mostFolded   = 1 << 27 // elements of all constants that others are worked out of
	mostWorked   = 1 << 24 // numbers worked out of the sizes of the images in one trace
	mostFilled   = 160e6   // elements of all constants that nodes make: VGG-19 has 144 million
)

// bounds watches over the nodes of a trace.
type bounds struct {
	seen   int // nodes
	listed int
	worked int // numbers worked out of the sizes of the images
	most   int // elements of one; 0: mostElements
}

// count panics where too much is worked out of the sizes of the images.
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
		panic(tensor.Misusef("works out more than %d numbers with the nodes before it; the file is damaged", mostWorked))
	}
}

// check panics where a node that is new is too large.
func (b *bounds) check(g *graph.Graph) {
	for _, n := range g.Nodes[min(b.seen, len(g.Nodes)):] {
		limited(b.most, n.Shape...)
		for _, d := range n.Shape {
			limited(mostListed, d)
		}
		if op, ok := n.Op.(*graph.Take); ok {
			for _, list := range op.Index {
				b.listed += len(list)
			}
		}
	}
	b.seen = len(g.Nodes)
	if b.listed > mostListed {
		panic(tensor.Misusef("takes more than %d elements by their indices, with the nodes before it; the file is damaged", mostListed))
	}
}

// limited panics where a tensor of this shape would have more than so many elements, or
// mostElements where most is 0.
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

// named returns the resolved names of a node's inputs, the first count of them or all;
// those left out are empty.
func (imp *importer) named(n *onnx.Node, count int) []string {
	names := make([]string, max(count, len(n.Inputs)))
	for i, name := range n.Inputs {
		if name == imp.prepared || imp.resolve(name) == imp.prepared {
			if imp.prepared != "" {
				imp.prepared = "" // what Input says would not hold for this node
			}
		}
		if name != "" {
			names[i] = imp.resolve(name)
		}
	}
	return names
}

// value returns what a resolved name stands for in the trace.
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
		return value{}, fmt.Errorf("takes images with their channels last as bytes, with which only one number or one for each channel can be added or multiplied")
	}
	h, w := in.sides()
	v := value{node: imp.graph.Input(in.Name, tensor.Float32, 1, in.Channels, h, w)}
	imp.values[name] = v
	return v, nil
}

// apply runs an operation on resolved names and calls the result out: a constant where
// all it takes are constants, else a step of the network. What goes wrong is noted.
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

// make notes a constant that a node has made of others.
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
		return fmt.Errorf("makes a constant of %v, with which all together have more than %d numbers", t.Shape(), int(mostFilled))
	}
	if len(of) > 0 && size > int64(t.Numel())+mostIntegers {
		if imp.folded += size; imp.folded > mostFolded {
			return fmt.Errorf("makes a constant of others, which all together have more than %d numbers; let the exporter fold constants", mostFolded)
		}
	}
	imp.constants[out] = t
	return nil
}

// sameNumbers reports whether two tensors share their numbers.
func sameNumbers(a, b *tensor.Tensor) bool {
	if a.Numel() == 0 || a.Numel() != b.Numel() || a.DType() != b.DType() {
		return false
	}
	if a.DType() == tensor.Int64 {
		return &a.Ints()[0] == &b.Ints()[0]
	}
	return &a.Data()[0] == &b.Data()[0]
}

// compute adds a node that computes its first output of all its inputs, of which none is
// left out.
func (imp *importer) compute(n *onnx.Node, a *attributes, run operation) error {
	if i := slices.Index(n.Inputs, ""); i >= 0 {
		return fmt.Errorf("has no input %d", i)
	}
	return imp.optional(n, a, run)
}

// optional is compute where inputs behind the first may be left out.
func (imp *importer) optional(n *onnx.Node, a *attributes, run operation) error {
	if err := a.done(); err != nil {
		return err
	}
	imp.apply(n.String(), n.Outputs[0], imp.named(n, 1), run)
	return nil
}

// layer adds a step that is a module on one input.
func (imp *importer) layer(n *onnx.Node, _ int, in string, m nn.Module) {
	imp.apply(n.String(), n.Outputs[0], []string{in}, func(in []value) value { return value{node: m.Forward(in[0].node)} })
}

// activation returns the resolved name and rank of an input that is computed.
func (imp *importer) activation(n *onnx.Node, i int) (string, int, error) {
	if i >= len(n.Inputs) || n.Inputs[i] == "" {
		return "", 0, fmt.Errorf("has no input %d", i)
	}
	name := imp.resolve(n.Inputs[i])
	if name == imp.prepared && imp.uses[n.Inputs[i]] != 1 {
		imp.prepared = "" // what Input says would hold for the others too
	}
	if name == imp.net.from {
		return name, 4, nil
	}
	if v, ok := imp.values[name]; ok && v.node != nil {
		return name, len(v.node.Shape), nil
	}
	return "", 0, fmt.Errorf("input %q is not computed from the images", n.Inputs[i])
}

// shapeOf returns the shape of something computed for one image, nil before it is traced.
func (imp *importer) shapeOf(name string) tensor.Shape {
	if v, ok := imp.values[name]; ok && v.node != nil {
		return v.node.Shape
	}
	return nil
}

// constant returns an input that is a weight or another constant; nil where it
// is left out.
func (imp *importer) constant(n *onnx.Node, i int) (*tensor.Tensor, error) {
	if i >= len(n.Inputs) || n.Inputs[i] == "" {
		return nil, nil
	}
	t, ok := imp.constants[imp.resolve(n.Inputs[i])]
	if !ok {
		return nil, fmt.Errorf("input %q is computed, where only a constant is possible", n.Inputs[i])
	}
	return t, nil
}

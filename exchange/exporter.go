package exchange

import (
	"fmt"
	"slices"
	"strings"

	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/weights/onnx"
)

// The names that an exported graph gives its input, its output and the batch dimension.
const (
	InputName  = "images"
	OutputName = "logits"
	BatchName  = "N"
)

// exporter writes the nodes of a trace as ONNX nodes, in their order.
type exporter struct {
	model  *onnx.Model
	names  map[*graph.Node]string
	used   map[string]bool // names of values
	titles map[string]bool // names of nodes
	out    *graph.Node

	others     []*graph.Graph              // traces at other batch and image sizes, node by node
	repeated   map[*graph.Node]repeated    // broadcasts that are written when an operation needs them
	conditions map[*graph.Node]string      // names of the booleans from which 0 and 1 were made
	uses       map[*graph.Node]int         // how many nodes take a node's output
	folded     map[*graph.Node]*graph.Node // the batch norm that is folded into each layer
}

// unique returns a name that no other value of the graph has.
func (e *exporter) unique(name string) string { return unique(e.used, name) }

// unique returns the name itself, or with a number appended if it is used already.
func unique(used map[string]bool, name string) string {
	free := name
	for i := 2; used[free]; i++ {
		free = fmt.Sprintf("%s_%d", name, i)
	}
	used[free] = true
	return free
}

// initialiser adds a tensor under a name and returns the name.
func (e *exporter) initialiser(name string, t *tensor.Tensor) string {
	e.model.Graph.Initialisers = append(e.model.Graph.Initialisers, tensor.Named{Name: name, Tensor: t})
	return name
}

// emit adds an ONNX node.
func (e *exporter) emit(name, op string, in []string, out string, attributes ...onnx.Attribute) {
	name = unique(e.titles, name) // a layer that is called twice becomes two nodes
	e.model.Graph.Nodes = append(e.model.Graph.Nodes, onnx.Node{Name: name, Op: op, Inputs: in, Outputs: []string{out}, Attributes: attributes})
}

func sizes(name string, values ...int) onnx.Attribute {
	v := make([]int64, len(values))
	for i := range values {
		v[i] = int64(values[i])
	}
	return onnx.Attribute{Name: name, Value: v}
}

func number(name string, value int) onnx.Attribute {
	return onnx.Attribute{Name: name, Value: int64(value)}
}

func real32(name string, value float64) onnx.Attribute {
	return onnx.Attribute{Name: name, Value: float32(value)}
}

func word(name, value string) onnx.Attribute { return onnx.Attribute{Name: name, Value: value} }

func flag(name string, value bool) onnx.Attribute {
	if value {
		return number(name, 1)
	}
	return number(name, 0)
}

// title names an ONNX node after the module whose weights it takes, or else after its
// number in the trace.
func (e *exporter) title(n *graph.Node, op, path string) string {
	if path == "" {
		return fmt.Sprintf("%s_%d", op, n.ID)
	}
	return path + "/" + op
}

// name chooses the name of a node's output.
func (e *exporter) name(n *graph.Node, op, path string) string {
	if n == e.out {
		return OutputName
	}
	return e.unique(e.title(n, op, path) + "_output")
}

// plain writes an ONNX node whose inputs are those of the traced node.
func (e *exporter) plain(n *graph.Node, op string, attributes ...onnx.Attribute) {
	var in []string
	for _, node := range n.Inputs {
		in = append(in, e.value(node))
	}
	e.last(n, op, in, attributes...)
}

// step writes one of several ONNX nodes that the traced node n becomes, and returns the name of
// its output.
func (e *exporter) step(n *graph.Node, op string, in []string, attributes ...onnx.Attribute) string {
	title := e.title(n, op, "")
	out := e.unique(title + "_step")
	e.emit(title, op, in, out, attributes...)
	return out
}

// last writes the ONNX node whose output is that of the traced node n.
func (e *exporter) last(n *graph.Node, op string, in []string, attributes ...onnx.Attribute) {
	e.names[n] = e.name(n, op, "")
	e.emit(e.title(n, op, ""), op, in, e.names[n], attributes...)
}

// scalar adds a number and returns its name.
func (e *exporter) scalar(n *graph.Node, value float64) string {
	return e.initialiser(e.unique(fmt.Sprintf("number_%d", n.ID)), tensor.New().Fill(float32(value)))
}

// integers adds a list of integers, such as a shape, and returns its name.
func (e *exporter) integers(what string, n *graph.Node, list ...int) string {
	values := make([]int64, len(list))
	for i, v := range list {
		values[i] = int64(v)
	}
	return e.initialiser(e.unique(fmt.Sprintf("%s_%d", what, n.ID)), tensor.FromInts(values, len(values)))
}

// path returns the path of the module that a parameter belongs to, "" for other nodes.
func path(n *graph.Node) string {
	l, ok := n.Op.(*graph.Leaf)
	if !ok {
		return ""
	}
	if dot := strings.LastIndexByte(l.Variable.Name, '.'); dot > 0 {
		return l.Variable.Name[:dot]
	}
	return ""
}

// varies reports whether a dimension of n depends on the batch size or, in a graph for images of
// any size, on that size.
func (e *exporter) varies(n *graph.Node, d int) bool {
	return slices.ContainsFunc(e.others, func(other *graph.Graph) bool { return other.Nodes[n.ID].Shape[d] != n.Shape[d] })
}

// repeated is a tensor that a node broadcasts to its own shape. The broadcast is only written if
// an operation needs it, and a constant has no name before it is used.
type repeated struct {
	name  string
	shape tensor.Shape
}

// repeat notes that n broadcasts the tensor of that name and shape.
func (e *exporter) repeat(n *graph.Node, name string, shape tensor.Shape) {
	if shape.Equal(n.Shape) {
		e.names[n] = name
		return
	}
	e.repeated[n] = repeated{name, shape}
}

// value returns the name of a node's value. It writes a broadcast that was only noted so far.
func (e *exporter) value(n *graph.Node) string {
	r, ok := e.repeated[n]
	if e.names[n] != "" || !ok {
		return e.names[n]
	}
	if c, ok := n.Op.(*graph.Constant); ok && !slices.ContainsFunc(counted(len(n.Shape)), func(d int) bool { return e.varies(n, d) }) {
		e.names[n] = e.constant(n, c.Value, n.Shape)
		return e.names[n]
	}
	e.last(n, "Expand", []string{e.before(n), e.target(n, r.shape)})
	return e.names[n]
}

// before returns the name of the tensor that n broadcasts.
func (e *exporter) before(n *graph.Node) string {
	r := e.repeated[n]
	if c, ok := n.Op.(*graph.Constant); ok && r.name == "" {
		r.name = e.constant(n, c.Value, r.shape)
		e.repeated[n] = r
	}
	return r.name
}

// constant adds a tensor of one value and returns its name.
func (e *exporter) constant(n *graph.Node, value float64, shape tensor.Shape) string {
	return e.initialiser(e.unique(fmt.Sprintf("constant_%d", n.ID)), tensor.New(shape...).Fill(float32(value)))
}

// target writes the shape to which n broadcasts a tensor. A dimension that varies must be the
// batch, whose size is taken from the images.
func (e *exporter) target(n *graph.Node, from tensor.Shape) string {
	to, more, batch := slices.Clone(n.Shape), len(n.Shape)-len(from), -1
	for d := range to {
		switch {
		case d >= more && from[d-more] == to[d]:
			to[d] = 1 // Expand keeps the size
		case e.varies(n, d):
			batch = d
		}
	}
	if batch < 0 {
		return e.integers("shape", n, to...)
	}
	in := []string{e.step(n, "Gather", []string{e.step(n, "Shape", []string{InputName}), e.integers("batch", n, 0)}, number("axis", 0))}
	if batch > 0 {
		in = append([]string{e.integers("before", n, to[:batch]...)}, in...)
	}
	if batch+1 < len(to) {
		in = append(in, e.integers("after", n, to[batch+1:]...))
	}
	return e.step(n, "Concat", in, number("axis", 0))
}

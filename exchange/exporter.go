package exchange

import (
	"fmt"
	"slices"
	"strings"

	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/quant"
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

	others     []*graph.Graph                     // traces at other batch and image sizes, node by node
	broadcasts map[*graph.Node]pendingBroadcast   // broadcasts that are written only when an operation needs them
	conditions map[*graph.Node]string             // for a node of zeros and ones, the name of the booleans that it was made from
	uses       map[*graph.Node]int                // how many nodes take a node's output
	sums       map[*graph.Variable]*quant.Grid    // grids of the terms of sums, by the weights of their layers
	rounded    map[*graph.Node]graph.FakeQuantize // roundings that are added behind a node
	folded     map[*graph.Node]*graph.Node        // the batch norm that is folded into each layer
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

// intsAttribute, intAttribute, floatAttribute, stringAttribute and boolAttribute make attributes of
// ONNX nodes.
func intsAttribute(name string, values ...int) onnx.Attribute {
	v := make([]int64, len(values))
	for i := range values {
		v[i] = int64(values[i])
	}
	return onnx.Attribute{Name: name, Value: v}
}

func intAttribute(name string, value int) onnx.Attribute {
	return onnx.Attribute{Name: name, Value: int64(value)}
}

func floatAttribute(name string, value float64) onnx.Attribute {
	return onnx.Attribute{Name: name, Value: float32(value)}
}

func stringAttribute(name, value string) onnx.Attribute {
	return onnx.Attribute{Name: name, Value: value}
}

func boolAttribute(name string, value bool) onnx.Attribute {
	if value {
		return intAttribute(name, 1)
	}
	return intAttribute(name, 0)
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

// sameInputs writes an ONNX node whose inputs are those of the traced node.
func (e *exporter) sameInputs(n *graph.Node, op string, attributes ...onnx.Attribute) {
	var in []string
	for _, node := range n.Inputs {
		in = append(in, e.value(node))
	}
	e.result(n, op, in, attributes...)
}

// intermediate writes one of several ONNX nodes that the traced node n becomes, except the last,
// and returns the name of its output.
func (e *exporter) intermediate(n *graph.Node, op string, in []string, attributes ...onnx.Attribute) string {
	title := e.title(n, op, "")
	out := e.unique(title + "_step")
	e.emit(title, op, in, out, attributes...)
	return out
}

// result writes the last ONNX node that n becomes, whose output is the output of n.
func (e *exporter) result(n *graph.Node, op string, in []string, attributes ...onnx.Attribute) {
	e.names[n] = e.name(n, op, "")
	e.emit(e.title(n, op, ""), op, in, e.names[n], attributes...)
}

// scalar adds an initialiser with one number and returns its name.
func (e *exporter) scalar(n *graph.Node, value float64) string {
	return e.initialiser(e.unique(fmt.Sprintf("number_%d", n.ID)), tensor.New().Fill(float32(value)))
}

// integers adds an initialiser with a list of integers, such as a shape, and returns its name.
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
// any size, on the image size.
func (e *exporter) varies(n *graph.Node, d int) bool {
	return slices.ContainsFunc(e.others, func(other *graph.Graph) bool { return other.Nodes[n.ID].Shape[d] != n.Shape[d] })
}

// pendingBroadcast is a tensor that a node broadcasts to its own shape. The broadcast is written
// only if an operation needs it. A constant has no name until it is used.
type pendingBroadcast struct {
	name  string
	shape tensor.Shape
}

// noteBroadcast records that n broadcasts the tensor of that name and shape.
func (e *exporter) noteBroadcast(n *graph.Node, name string, shape tensor.Shape) {
	if shape.Equal(n.Shape) {
		e.names[n] = name
		return
	}
	e.broadcasts[n] = pendingBroadcast{name, shape}
}

// value returns the name of a node's value. If the value is a pending broadcast, it writes it.
func (e *exporter) value(n *graph.Node) string {
	r, ok := e.broadcasts[n]
	if e.names[n] != "" || !ok {
		return e.names[n]
	}
	if c, ok := n.Op.(*graph.Constant); ok && !slices.ContainsFunc(indices(len(n.Shape)), func(d int) bool { return e.varies(n, d) }) {
		e.names[n] = e.constant(n, c.Value, n.Shape)
		return e.names[n]
	}
	e.result(n, "Expand", []string{e.broadcastSource(n), e.broadcastTarget(n, r.shape)})
	return e.names[n]
}

// broadcastSource returns the name of the tensor that n broadcasts.
func (e *exporter) broadcastSource(n *graph.Node) string {
	r := e.broadcasts[n]
	if c, ok := n.Op.(*graph.Constant); ok && r.name == "" {
		r.name = e.constant(n, c.Value, r.shape)
		e.broadcasts[n] = r
	}
	return r.name
}

// constant adds an initialiser that repeats one number and returns its name.
func (e *exporter) constant(n *graph.Node, value float64, shape tensor.Shape) string {
	return e.initialiser(e.unique(fmt.Sprintf("constant_%d", n.ID)), tensor.New(shape...).Fill(float32(value)))
}

// broadcastTarget writes the shape to which n broadcasts a tensor. A dimension that varies must be
// the batch; its size is read from the images.
func (e *exporter) broadcastTarget(n *graph.Node, from tensor.Shape) string {
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
	in := []string{e.intermediate(n, "Gather", []string{e.intermediate(n, "Shape", []string{InputName}), e.integers("batch", n, 0)}, intAttribute("axis", 0))}
	if batch > 0 {
		in = append([]string{e.integers("before", n, to[:batch]...)}, in...)
	}
	if batch+1 < len(to) {
		in = append(in, e.integers("after", n, to[batch+1:]...))
	}
	return e.intermediate(n, "Concat", in, intAttribute("axis", 0))
}

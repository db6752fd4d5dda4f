// Package graph describes computations symbolically: nodes, the operations between them, and
// the construction of gradients.
//
//	g := graph.New(graph.Train)
//	x := g.Input("x", tensor.Float32, 8, 3)
//	w := g.Variable(weight) // a *graph.Variable
//	loss := g.Apply(graph.Linear{}, x, w).Mean()
//	grad := graph.Gradients(loss, []*graph.Node{w})[0]
//
// A graph computes nothing. Package engine compiles it and runs it on a device; function
// Reference evaluates it with the float64 reference loops that specify every operation and
// against which all kernels are tested.
//
// The important types are Graph; Node, the result of an operation, with methods such as Add and
// MatMul that add operations; Op, the interface of all operations; and Variable, a parameter or
// buffer. Each operation has a file with its shape rule, its gradient and its reference loop.
package graph

import (
	"fmt"
	"reflect"

	"github.com/residual-ml/residual/tensor"
)

// Mode says whether a graph is built for training or for evaluation. Batch normalisation and
// dropout depend on it.
type Mode uint8

const (
	Eval  Mode = iota // running statistics, no dropout
	Train             // batch statistics, dropout
)

func (m Mode) String() string {
	if m == Train {
		return "train"
	}
	return "eval"
}

// Variable is a value that persists between runs: a parameter, or a buffer such as a running
// mean. Value is the copy on the host; an engine.Store has another on the device.
type Variable struct {
	Value     *tensor.Tensor
	Trainable bool   // false for buffers
	Name      string // path in its model, set by nn.Named and used in messages
}

// Op is an operation. Its fields are attributes, never data.
type Op interface {
	// Name is the operation's name, such as "Conv2d".
	Name() string
	// Shape returns the output's shape, or panics naming the op and its input shapes.
	Shape(in []tensor.Shape) tensor.Shape
	// Gradient returns the gradient of the loss with respect to each input of n, given
	// dy, the gradient with respect to n; nil for an input that gets none.
	Gradient(n, dy *Node) []*Node
	// Reference computes n in float64 over row-major arrays. Every kernel is
	// tested against it.
	Reference(n *Node, out []float64, in [][]float64)
}

// Node is the result of one operation.
type Node struct {
	ID     int // position in its graph; inputs come before
	Op     Op
	Inputs []*Node
	Shape  tensor.Shape
	Graph  *Graph
}

func (n *Node) String() string {
	return fmt.Sprintf("%s#%d%v", n.Op.Name(), n.ID, n.Shape)
}

// Assignment writes a node's value to a variable at the end of a run.
type Assignment struct {
	Variable *Variable
	Value    *Node
}

// Call records that a module turned one node into another. Graph.Record collects calls for
// summaries. First and Last bound the IDs of the nodes made within the call.
type Call struct {
	Module      any
	Output      *Node
	First, Last int
	Inner       int // index in Graph.Calls of the first call within this one, set by Graph.Enclose; else -1
}

// Graph is a computation, built for one mode.
type Graph struct {
	Mode        Mode
	Nodes       []*Node
	Assignments []Assignment
	Calls       []Call

	variables map[*Variable]*Node
	frozen    map[*Variable]bool
	key       *Node
	streams   int
	watchers  []func(call int)
	rewrite   func(op Op, inputs []*Node) []*Node
}

// New starts an empty graph.
func New(mode Mode) *Graph {
	return &Graph{Mode: mode, variables: map[*Variable]*Node{}}
}

// Apply adds a node that applies op to inputs. It panics if op does not accept their shapes.
//
// Operations are values, such as Conv2d{...}. A pointer to one, &Conv2d{...}, is the same
// operation: the node gets a copy of the value. Only an operation whose methods have
// pointer receivers stays a pointer.
func (g *Graph) Apply(op Op, inputs ...*Node) *Node {
	shapes := make([]tensor.Shape, len(inputs))
	for i, in := range inputs {
		needNode(op, in, i)
		if in.Graph != g {
			panic(tensor.Misusef("%s: input %v belongs to another graph", op.Name(), in))
		}
		shapes[i] = in.Shape
	}
	op = asValue(op)
	if g.rewrite != nil {
		inputs = g.rewritten(op, inputs)
	}
	n := &Node{ID: len(g.Nodes), Op: op, Inputs: inputs, Shape: op.Shape(shapes), Graph: g}
	g.Nodes = append(g.Nodes, n)
	return n
}

// rewritten returns the inputs that the function given to Rewrite chooses.
func (g *Graph) rewritten(op Op, inputs []*Node) []*Node {
	f := g.rewrite
	g.rewrite = nil
	defer func() { g.rewrite = f }()
	out := f(op, inputs)
	if len(out) != len(inputs) {
		panic(tensor.Misusef("%s: Rewrite changed %d inputs to %d", op.Name(), len(inputs), len(out)))
	}
	for i, n := range out {
		if !n.Shape.Equal(inputs[i].Shape) {
			panic(tensor.Misusef("%s: Rewrite changed input %d from %v to %v", op.Name(), i, inputs[i], n))
		}
	}
	return out
}

// needNode panics if input i of an operation is nil.
func needNode(op Op, in *Node, i int) {
	if in == nil {
		panic(tensor.Misusef("%s: input %d is nil", op.Name(), i))
	}
}

// asValue returns the operation to which op points, if that is an operation itself.
func asValue(op Op) Op {
	v := reflect.ValueOf(op)
	if v.Kind() != reflect.Pointer || v.IsNil() {
		return op
	}
	if value, ok := v.Elem().Interface().(Op); ok {
		return value
	}
	return op
}

// Input adds a node whose value is fed before a run.
func (g *Graph) Input(name string, dtype tensor.DType, shape ...int) *Node {
	return g.Apply(&Input{Label: name, DType: dtype, Size: tensor.Shape(shape).Clone()})
}

// Constant adds a tensor filled with one value.
func (g *Graph) Constant(value float64, shape ...int) *Node {
	return g.Apply(&Constant{Value: value, Size: tensor.Shape(shape).Clone()})
}

// Variable returns the node of v. It is the same node for every call.
func (g *Graph) Variable(v *Variable) *Node {
	n, ok := g.variables[v]
	if !ok {
		n = g.Apply(&Leaf{Variable: v})
		g.variables[v] = n
	}
	return n
}

// Variables returns the variables used so far, in order of first use.
func (g *Graph) Variables() []*Variable {
	var vs []*Variable
	for _, n := range g.Nodes {
		if l, ok := n.Op.(*Leaf); ok {
			vs = append(vs, l.Variable)
		}
	}
	return vs
}

// Freeze makes variables constants in this graph: nothing updates them, and a batch norm whose
// running statistics are frozen uses these, as in evaluation.
func (g *Graph) Freeze(vs ...*Variable) {
	if g.frozen == nil {
		g.frozen = map[*Variable]bool{}
	}
	for _, v := range vs {
		g.frozen[v] = true
	}
}

// Frozen reports whether Freeze was given v.
func (g *Graph) Frozen(v *Variable) bool { return g.frozen[v] }

// Assign writes value to v at the end of every run of this graph.
func (g *Graph) Assign(v *Variable, value *Node) {
	if !v.Value.Shape().Equal(value.Shape) {
		panic(tensor.Misusef("graph: assigning %v to a variable of shape %v", value, v.Value.Shape()))
	}
	g.Assignments = append(g.Assignments, Assignment{v, value})
}

// Key returns the Int64 scalar input on which all random operations depend. Every run sets it;
// runs with the same key use the same random numbers.
func (g *Graph) Key() *Node {
	if g.key == nil {
		g.key = g.Input("key", tensor.Int64)
	}
	return g.key
}

// IsKey reports whether n is the node that Key returns.
func (g *Graph) IsKey(n *Node) bool { return n != nil && n == g.key }

// NextStream returns a new number for a random operation of the graph, so that two operations
// use different random numbers with the same key.
func (g *Graph) NextStream() int {
	g.streams++
	return g.streams
}

// Record records a call of module that made the nodes from ID first on, with the result out.
// It returns out.
func (g *Graph) Record(module any, first int, out *Node) *Node {
	g.Calls = append(g.Calls, Call{module, out, first, len(g.Nodes), -1})
	for _, f := range g.watchers {
		f(len(g.Calls) - 1)
	}
	return out
}

// Enclose records that the calls from index first on were made within the last recorded call.
// Without Enclose this follows from the nodes that the calls made, but some calls make none.
func (g *Graph) Enclose(first int) { g.Calls[len(g.Calls)-1].Inner = first }

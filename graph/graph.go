// Package graph holds symbolic computations: nodes, the operations between
// them, and the rule by which gradients are built. Nothing is computed here but
// the float64 reference of each operation, which is its specification.
//
// A file holds one operation: its shape rule, its gradient, its reference loop.
package graph

import (
	"fmt"
	"strings"

	"github.com/residual-ml/residual/tensor"
)

// Mode says what a graph is traced for; batch normalisation and dropout differ.
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

// Variable is a value that outlives a run: a parameter, or a buffer such as a
// running mean. Value is the host copy; a device keeps its own while it works.
type Variable struct {
	Value     *tensor.Tensor
	Trainable bool   // false for buffers
	Name      string // path in its model, set by nn.Named; for messages only
}

// Op is one kind of operation. Its fields are attributes, never data.
type Op interface {
	// Name is the operation's name, such as "Conv2d".
	Name() string
	// Shape returns the output's shape, or panics naming the op and its input shapes.
	Shape(in []tensor.Shape) tensor.Shape
	// Gradient returns the gradient of the loss for each input of n, given the
	// one of n itself; nil where none flows.
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

// Assignment writes a node's value to a variable once a run is over.
type Assignment struct {
	Variable *Variable
	Value    *Node
}

// Call says which module made which node of which other one; Graph.Record
// collects them for summaries. First and Last bound the IDs of what was made within.
type Call struct {
	Module      any
	Output      *Node
	First, Last int
	Inner       int // of Graph.Calls, the first made within, as Graph.Enclose noted it; else -1
}

// Graph is one trace of a computation in one mode.
type Graph struct {
	Mode        Mode
	Nodes       []*Node
	Assignments []Assignment
	Calls       []Call

	variables map[*Variable]*Node
	frozen    map[*Variable]bool
	key       *Node
	streams   int
}

// New starts an empty graph.
func New(mode Mode) *Graph {
	return &Graph{Mode: mode, variables: map[*Variable]*Node{}}
}

// Apply adds a node. It panics when op does not take inputs of these shapes.
func (g *Graph) Apply(op Op, inputs ...*Node) *Node {
	shapes := make([]tensor.Shape, len(inputs))
	for i, in := range inputs {
		if in.Graph != g {
			panic(fmt.Sprintf("%s: input %v belongs to another graph", op.Name(), in))
		}
		shapes[i] = in.Shape
	}
	n := &Node{ID: len(g.Nodes), Op: op, Inputs: inputs, Shape: op.Shape(shapes), Graph: g}
	g.Nodes = append(g.Nodes, n)
	return n
}

// Input adds a value that is fed at every run.
func (g *Graph) Input(name string, dtype tensor.DType, shape ...int) *Node {
	return g.Apply(&Input{Label: name, DType: dtype, Size: tensor.Shape(shape).Clone()})
}

// Constant adds a tensor filled with one value.
func (g *Graph) Constant(value float64, shape ...int) *Node {
	return g.Apply(&Constant{Value: value, Size: tensor.Shape(shape).Clone()})
}

// Variable returns the node of v, the same one at every call.
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

// Freeze makes variables constants of this trace: nothing moves them, and a batch norm
// whose running statistics are among them uses those, as in evaluation.
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
		panic(fmt.Sprintf("graph: assigning %v to a variable of shape %v", value, v.Value.Shape()))
	}
	g.Assignments = append(g.Assignments, Assignment{v, value})
}

// Key is the Int64 scalar input that random operations draw from: the run's
// number in its random stream, given at every run.
func (g *Graph) Key() *Node {
	if g.key == nil {
		g.key = g.Input("key", tensor.Int64)
	}
	return g.key
}

// IsKey reports whether n is what Key returns.
func (g *Graph) IsKey(n *Node) bool { return n != nil && n == g.key }

// NextStream numbers the random operations of a graph, so that two draw
// different numbers under one key.
func (g *Graph) NextStream() int {
	g.streams++
	return g.streams
}

// Record notes that module turned its input into out, having made the nodes
// from first on, and returns out.
func (g *Graph) Record(module any, first int, out *Node) *Node {
	g.Calls = append(g.Calls, Call{module, out, first, len(g.Nodes), -1})
	return out
}

// Enclose notes that the calls from the one numbered first on were made within the last
// that was recorded. Which those are is otherwise told from the nodes that they made, and
// some make none.
func (g *Graph) Enclose(first int) { g.Calls[len(g.Calls)-1].Inner = first }

// badShapes panics with the op and the shapes it was given.
func badShapes(op Op, in []tensor.Shape, why string, args ...any) {
	names := make([]string, len(in))
	for i, s := range in {
		names[i] = s.String()
	}
	panic(fmt.Sprintf("%s: %s (inputs %s)", op.Name(), fmt.Sprintf(why, args...), strings.Join(names, " ")))
}

// wantInputs panics unless op got between least and most inputs.
func wantInputs(op Op, in []tensor.Shape, least, most int) {
	if len(in) < least || len(in) > most {
		if least == most {
			badShapes(op, in, "wants %d inputs", least)
		}
		badShapes(op, in, "wants %d to %d inputs", least, most)
	}
}

// wantRank panics unless input i of op has that many dimensions, named by what.
func wantRank(op Op, in []tensor.Shape, i, rank int, what string) {
	if len(in[i]) != rank {
		badShapes(op, in, "input %d is not %s", i, what)
	}
}

// wantShape panics unless input i of op has the given sizes.
func wantShape(op Op, in []tensor.Shape, i int, what string, sizes ...int) {
	if !in[i].Equal(tensor.Shape(sizes)) {
		badShapes(op, in, "%s (input %d) is not %v", what, i, tensor.Shape(sizes))
	}
}

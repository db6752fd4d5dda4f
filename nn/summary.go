package nn

import (
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/tensor"
)

// Row describes one call of a module.
type Row struct {
	Path   string // path of the module as in Named, the first if it has several; empty for the whole model
	Class  string // "Conv2d"
	Output tensor.Shape
	Params int64 // elements of the parameters of the module and those below it
	MACs   int64 // multiply-adds of its convolutions and linear layers for the whole batch
	Depth  int   // 0 for the whole model
}

// Table is the summary of a model.
type Table struct {
	Rows    []Row // in the order of the calls; a module comes before those within it
	Params  int64 // elements of all parameters
	Buffers int64 // elements of all buffers, such as running statistics
	MACs    int64 // multiply-adds of one forward pass over the whole batch
}

// Summary returns a table of the layers of m, with their outputs in evaluation mode for an
// input of the given shape. If the shape does not fit, the error names the layer.
func Summary(m Module, input tensor.Shape) (*Table, error) {
	Named(m) // gives parameters the names that errors use
	g := graph.New(graph.Eval)
	if err := trace(g, m, input); err != nil {
		return nil, err
	}
	w := walkFields(m)
	t := &Table{MACs: macs(g.Nodes)}
	t.Params, t.Buffers = w.count()
	t.add(g, w, topCalls(g.Calls, 0), nil, 0)
	return t, nil
}

// Shallow returns the table without the rows of this depth and below; 1 leaves the whole model.
func (t *Table) Shallow(depth int) *Table {
	shallow := *t
	shallow.Rows = slices.DeleteFunc(slices.Clone(t.Rows), func(r Row) bool { return r.Depth >= depth })
	return &shallow
}

// trace runs m's Forward and returns a tensor.Misuse, such as one about shapes, as an error.
func trace(g *graph.Graph, m Module, input tensor.Shape) error {
	_, err := traceOn(g.Input("input", tensor.Float32, input...), m)
	return err
}

// traceOn runs m's Forward on x, records the call if m does not, and returns a tensor.Misuse,
// such as one about shapes, as an error.
func traceOn(x *graph.Node, m Module) (out *graph.Node, err error) {
	defer func() {
		if r := tensor.Recovered(recover()); r != nil {
			err = fmt.Errorf("%s does not take an input of shape %v: %w", Class(m), x.Shape, r)
		}
	}()
	g, first, calls := x.Graph, len(x.Graph.Nodes), len(x.Graph.Calls)
	out = m.Forward(x)
	if n := len(g.Calls); n == calls || identity(g.Calls[n-1].Module) != identity(m) {
		g.Record(m, first, out)
	}
	g.Enclose(calls)
	return out, nil
}

// add appends the rows of the calls within the call of parent, which is nil for the outermost
// calls.
func (t *Table) add(g *graph.Graph, w *fieldWalker, list []*calls, parent *namedModule, depth int) {
	for i, p := range w.callModules(list, parent) {
		c := list[i]
		params, _ := walkFields(c.Module).count()
		t.Rows = append(t.Rows, Row{
			Path: p.path, Class: Class(c.Module), Output: c.Output.Shape, Depth: depth,
			Params: params, MACs: macs(g.Nodes[c.First:c.Last]),
		})
		t.add(g, w, c.within, p, depth+1)
	}
}

// Output is the output of a layer in a graph.
type Output struct {
	Path  string // as in Named
	Class string // "Conv2d"
	Node  *graph.Node
}

// Outputs lists the outputs of the innermost modules of m in g, a graph that m's Forward was
// added to, in the order of their computation.
func Outputs(m Module, g *graph.Graph) (list []Output) {
	w := walkFields(m)
	var visit func(within []*calls, parent *namedModule)
	visit = func(within []*calls, parent *namedModule) {
		for i, p := range w.callModules(within, parent) {
			c := within[i]
			if len(c.within) == 0 {
				list = append(list, Output{p.path, Class(c.Module), c.Output})
			}
			visit(c.within, p)
		}
	}
	visit(topCalls(g.Calls, 0), nil)
	slices.SortStableFunc(list, func(a, b Output) int { return a.Node.ID - b.Node.ID })
	return list
}

func macs(nodes []*graph.Node) int64 {
	var n int64
	for _, node := range nodes {
		n += graph.MACs(node)
	}
	return n
}

// String formats the table in columns.
func (t *Table) String() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "layer\tclass\toutput shape\tparameters\tmultiply-adds")
	for _, r := range t.Rows {
		fmt.Fprintf(w, "%s%s\t%s\t%v\t%s\t%s\n", strings.Repeat("  ", r.Depth), r.Path, r.Class, r.Output, thousands(r.Params), thousands(r.MACs))
	}
	w.Flush()
	fmt.Fprintf(&b, "%s parameters, %s buffers, %s multiply-adds\n", thousands(t.Params), thousands(t.Buffers), thousands(t.MACs))
	return b.String()
}

// thousands groups digits: 11,178,378.
func thousands(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

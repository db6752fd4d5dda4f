package quant

import (
	"slices"

	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/tensor"
)

// Forward adds m.Forward(x) to the graph of x, with the layers of s quantised. It returns the
// error of Check if s does not fit m, and panics where m.Forward does.
func (s *Scheme) Forward(m nn.Module, x *graph.Node) (*graph.Node, error) {
	stop, err := s.Apply(m, x.Graph)
	if err != nil {
		return nil, err
	}
	defer stop()
	return m.Forward(x), nil
}

// Apply quantises the layers of m that are added to g from now on, until stop is called. It
// returns the error of Check if s does not fit m.
func (s *Scheme) Apply(m nn.Module, g *graph.Graph) (stop func(), err error) {
	if err := s.Check(m); err != nil {
		return nil, err
	}
	a := &application{g: g, layers: map[*graph.Variable]Layer{}, rounded: map[onGrid]*graph.Node{}, first: map[*graph.Node]*graph.Node{}}
	for _, p := range nn.Named(m) {
		if l, ok := s.Layers[p.Name]; ok {
			a.layers[p.Variable] = l
		}
	}
	return g.Rewrite(a.inputs), nil
}

// application quantises the operations that are added to one graph.
type application struct {
	g       *graph.Graph
	layers  map[*graph.Variable]Layer // by their weights
	rounded map[onGrid]*graph.Node    // values with their rounded versions
	first   map[*graph.Node]*graph.Node
}

type onGrid struct {
	n *graph.Node
	g Grid
}

// inputs returns what an operation reads instead of its inputs.
func (a *application) inputs(op graph.Op, in []*graph.Node) []*graph.Node {
	if w := weightOf(op, in); w != nil {
		l, ok := a.layers[w]
		if !ok {
			return a.others(op, in)
		}
		out := append([]*graph.Node{a.round(in[0], l.Input), a.g.Apply(graph.Int8(l.Weight...), in[1])}, in[2:]...)
		return out
	}
	return a.others(op, in)
}

// others returns the inputs of an operation that is no layer of the scheme: what layers read
// instead of them, or, in a sum, the rounded output of a layer with a grid for it.
func (a *application) others(op graph.Op, in []*graph.Node) []*graph.Node {
	_, sum := op.(graph.Add)
	out := slices.Clone(in)
	for i, n := range in {
		if r := a.first[n]; a.alive(r) {
			out[i] = r
		} else if l, ok := a.layers[layerBehind(n)]; ok && sum && l.Output != nil {
			out[i] = a.round(n, *l.Output)
		}
	}
	return out
}

// round returns n rounded to a grid; it is the same node for every call.
func (a *application) round(n *graph.Node, g Grid) *graph.Node {
	k := onGrid{n, g}
	if r := a.rounded[k]; a.alive(r) {
		return r
	}
	r := a.g.Apply(g.Op(), n)
	a.rounded[k] = r
	if !a.alive(a.first[n]) {
		a.first[n] = r
	}
	return r
}

// alive reports whether n is a node that Graph.Truncate has not removed.
func (a *application) alive(n *graph.Node) bool {
	return n != nil && n.ID < len(a.g.Nodes) && a.g.Nodes[n.ID] == n
}

// weightOf returns the weight of a convolution or linear layer, or nil if op is neither or its
// weight is computed.
func weightOf(op graph.Op, in []*graph.Node) *graph.Variable {
	switch op.(type) {
	case graph.Conv2d, graph.Linear:
		w := in[1]
		if _, ok := w.Op.(graph.FakeQuantize); ok {
			w = w.Inputs[0]
		}
		if l, ok := w.Op.(*graph.Leaf); ok && l.Variable.Value.DType() == tensor.Float32 {
			return l.Variable
		}
	}
	return nil
}

// layerBehind returns the weight of the layer whose output n is, also through a batch norm, or
// nil.
func layerBehind(n *graph.Node) *graph.Variable {
	if _, ok := n.Op.(graph.BatchNorm); ok {
		n = n.Inputs[0]
	}
	return weightOf(n.Op, n.Inputs)
}

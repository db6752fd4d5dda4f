package graph

import (
	"slices"

	"github.com/residual-ml/residual/tensor"
)

// Watch calls f with the index of every call that Record appends to Calls, until the returned
// function is called. f may panic to leave the Forward that records the call.
func (g *Graph) Watch(f func(call int)) (stop func()) {
	g.watchers = append(g.watchers, f)
	n := len(g.watchers)
	return func() { g.watchers = g.watchers[:n-1] }
}

// Truncate removes the nodes from ID nodes on, what depends on them, and the calls from index
// calls on, as if they had not been added. It forgets that a variable was used first there.
func (g *Graph) Truncate(nodes, calls int) {
	for v, n := range g.variables {
		if n.ID >= nodes {
			delete(g.variables, v)
		}
	}
	if g.key != nil && g.key.ID >= nodes {
		g.key = nil
	}
	g.Assignments = slices.DeleteFunc(g.Assignments, func(a Assignment) bool { return a.Value.ID >= nodes })
	g.Nodes, g.Calls = g.Nodes[:nodes], g.Calls[:calls]
}

// Rewrite makes Apply replace the inputs of every operation by those that f returns, until the
// returned function is called. f may add nodes, which are not rewritten. The inputs that f
// returns must have the shapes of those that it is given. The modules that add the operations
// need not know about it; package quant quantises layers in this way.
//
// Rewrite panics if the graph is already being rewritten.
func (g *Graph) Rewrite(f func(op Op, inputs []*Node) []*Node) (stop func()) {
	if g.rewrite != nil {
		panic(tensor.Misusef("graph: Rewrite was called twice without a stop in between"))
	}
	g.rewrite = f
	return func() { g.rewrite = nil }
}

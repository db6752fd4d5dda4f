package graph

import "slices"

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

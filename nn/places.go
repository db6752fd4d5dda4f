package nn

import (
	"reflect"
	"strings"

	"github.com/residual-ml/residual/graph"
)

// calls is a node of the tree of recorded calls. A call is recorded when it ends, so the calls
// within it come before it.
type calls struct {
	graph.Call
	number int // index in Graph.Calls
	within []*calls
}

// topCalls returns the outermost of the calls from index first on.
func topCalls(list []graph.Call, first int) []*calls {
	var open []*calls
	for i, c := range list[first:] {
		node := &calls{Call: c, number: first + i}
		n := len(open)
		fields := node.fields()
		for n > 0 && node.contains(open[n-1], fields) {
			n--
			open[n].uses(fields)
		}
		node.within = append(node.within, open[n:]...)
		open = append(open[:n], node)
	}
	return open
}

// fields counts the modules below that of c, for contains. It is nil if contains needs none.
func (c *calls) fields() map[any]int {
	if c.Inner >= 0 {
		return nil
	}
	counts := map[any]int{}
	for _, m := range walkFields(c.Module).modules {
		if m.path != "" {
			counts[identity(m.module)]++
		}
	}
	return counts
}

// uses subtracts the modules of c and of the calls within it from counts.
func (c *calls) uses(counts map[any]int) {
	if counts == nil {
		return
	}
	if !unique(c.Module) { // a module that can be identified may be called again
		counts[identity(c.Module)]--
	}
	for _, d := range c.within {
		d.uses(counts)
	}
}

// contains reports whether the earlier call d was made within c. A call that made no node,
// such as dropout in evaluation, could also have been made before c; it counts as within c if
// its module is among c's fields that have not been called since.
func (c *calls) contains(d *calls, fields map[any]int) bool {
	switch {
	case c.Inner >= 0:
		return d.number >= c.Inner
	case d.First < c.First:
		return false
	case d.First < d.Last || d.First > c.First:
		return true
	}
	return fields[identity(d.Module)] > 0
}

// unique reports whether identity distinguishes m from every other module.
func unique(m any) bool {
	v := reflect.ValueOf(plain(m))
	switch v.Kind() {
	case reflect.Pointer:
		return v.Type().Elem().Size() > 0
	case reflect.Slice:
		return v.Len() > 0
	}
	return false
}

// callModules returns the module of every call made within a call of parent; parent is nil for the
// outermost calls. A module with an identity is the one that Named lists. Modules without
// fields are all equal, so route chooses among those below the parent. A module made within a
// Forward gets its class as its path.
func (w *fieldWalker) callModules(list []*calls, parent *namedModule) []*namedModule {
	all := w.identities()
	r := route{w: w, top: parent, all: all, called: map[any]bool{}}
	for r.top != nil && r.top.module == nil { // made within a Forward: search where it was called
		r.top = r.top.parent
	}
	for _, c := range list {
		r.called[identity(c.Module)] = true
	}
	found := r.choose(list)
	for i, c := range list {
		if found[i] == nil {
			found[i] = &namedModule{path: join(parent.name(), "("+Class(c.Module)+")"), parent: parent}
		}
	}
	return found
}

// name returns the path of m, or "" if m is nil.
func (m *namedModule) name() string {
	if m == nil {
		return ""
	}
	return m.path
}

// below reports whether m is p or below it, which its path says.
func (m *namedModule) below(p *namedModule) bool {
	return p.path == "" || strings.HasPrefix(m.path+".", p.path+".")
}

// identities returns the modules by their identity, and links them to a tree.
func (w *fieldWalker) identities() map[any][]*namedModule {
	if w.byIdentity != nil {
		return w.byIdentity
	}
	w.byIdentity = map[any][]*namedModule{}
	var open []*namedModule
	for i, m := range w.modules {
		m.index = i
		for len(open) > 0 && !m.below(open[len(open)-1]) {
			open = open[:len(open)-1]
		}
		if n := len(open); n > 0 {
			m.parent, m.depth, m.ordinal = open[n-1], open[n-1].depth+1, len(open[n-1].children)
			m.parent.children = append(m.parent.children, m)
		}
		open = append(open, m)
		w.byIdentity[identity(m.module)] = append(w.byIdentity[identity(m.module)], m)
	}
	return w.byIdentity
}

package nn

import (
	"reflect"
	"slices"
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

func topCalls(list []graph.Call) []*calls {
	var open []*calls
	for i, c := range list {
		node := &calls{Call: c, number: i}
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
	for _, m := range walk(c.Module).modules {
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

// places returns the module of every call made within a call of parent; parent is nil for the
// outermost calls. A module with an identity is the one that Named lists. Modules without
// fields are all equal, so places chooses one below the parent by these rules: it is not below
// a module that has a call of its own in the list; if the calls before and after belong to
// layers of one module without a call, it belongs to that module, too; and each is chosen once
// before any is chosen again. A module made within a Forward gets its class as its path.
func (w *walker) places(list []*calls, parent *namedModule) []*namedModule {
	all := w.identities()
	p := placing{parent: parent, all: all, called: map[any]bool{}, used: map[*namedModule]bool{}, taken: map[*namedModule]int{}}
	for _, c := range list {
		p.called[identity(c.Module)] = true
		if m := p.known(c); m != nil {
			for m = m.parent; m != nil; m = m.parent {
				p.used[m] = true
			}
		}
	}
	found := make([]*namedModule, len(list))
	for i, c := range list {
		found[i] = p.choose(all[identity(c.Module)], list, i)
		if found[i] == nil {
			found[i] = &namedModule{path: join(parent.name(), "("+Class(c.Module)+")"), parent: parent}
		}
		p.taken[found[i]]++
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

// identities returns the modules by their identity, and sets their parents.
func (w *walker) identities() map[any][]*namedModule {
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
			m.parent = open[n-1]
		}
		open = append(open, m)
		w.byIdentity[identity(m.module)] = append(w.byIdentity[identity(m.module)], m)
	}
	return w.byIdentity
}

// placing is the state of places.
type placing struct {
	parent *namedModule
	all    map[any][]*namedModule
	called map[any]bool          // identities of the modules in the list
	used   map[*namedModule]bool // modules of which something is in the list
	taken  map[*namedModule]int  // number of calls assigned to each module
}

// known returns the module of a call if it has an identity, and nil otherwise.
func (p *placing) known(c *calls) *namedModule {
	if found := p.all[identity(c.Module)]; unique(c.Module) && found != nil {
		return found[0]
	}
	return nil
}

// choose returns the candidate to which call i belongs, or nil.
func (p *placing) choose(candidates []*namedModule, list []*calls, i int) (best *namedModule) {
	if m := p.known(list[i]); m != nil {
		return m
	}
	var before, after *namedModule // modules of the nearest known calls
	for k := i - 1; k >= 0 && before == nil; k-- {
		before = p.known(list[k])
	}
	for k := i + 1; k < len(list) && after == nil; k++ {
		after = p.known(list[k])
	}
	var least [4]int
	for _, q := range candidates {
		unseen, depth, ok := p.between(q)
		if !ok {
			continue
		}
		due := 1
		if p.together(q, before) && q.index > before.index && p.taken[q] < p.taken[before] ||
			p.together(q, after) && q.index < after.index && p.taken[q] <= p.taken[after] {
			due = 0
		}
		key := [4]int{unseen, due, depth, p.taken[q]}
		if best == nil || slices.Compare(key[:], least[:]) < 0 {
			best, least = q, key
		}
	}
	return best
}

// together reports whether q and m are below the same module without a call.
func (p *placing) together(q, m *namedModule) bool {
	if m == nil {
		return false
	}
	top := p.searched()
	for a := q.parent; a != nil && a != top && a.path != ""; a = a.parent {
		if m.below(a) {
			return true
		}
	}
	return false
}

// searched returns the module below which candidates are searched: the parent or, if that was
// made within a Forward, the module that called it.
func (p *placing) searched() *namedModule {
	m := p.parent
	for m != nil && m.module == nil {
		m = m.parent
	}
	return m
}

// between examines the modules between the parent and q. depth counts them, and unseen counts
// those of which no known module was called. ok is false if one of them records a call, or q
// is not below the parent.
func (p *placing) between(q *namedModule) (unseen, depth int, ok bool) {
	top := p.searched()
	if q == top {
		return 0, 0, false
	}
	for m := q.parent; m != top; m = m.parent {
		if m == nil || p.called[identity(m.module)] {
			return 0, 0, false
		}
		depth++
		if !p.used[m] && m.parent != nil {
			unseen++
		}
	}
	return unseen, depth, true
}

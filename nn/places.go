package nn

import (
	"reflect"
	"slices"
	"strings"

	"github.com/residual-ml/residual/graph"
)

// calls is a node of the tree that the recorded calls make. A call is recorded
// once it is over, so those within it come before it.
type calls struct {
	graph.Call
	number int // in Graph.Calls
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

// fields counts the modules below that of c, for contains; nil where it needs none.
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

// uses takes the modules of c and within it off counts.
func (c *calls) uses(counts map[any]int) {
	if counts == nil {
		return
	}
	if !unique(c.Module) { // what is told from all others may be called again
		counts[identity(c.Module)]--
	}
	for _, d := range c.within {
		d.uses(counts)
	}
}

// contains reports whether the earlier call d was made within c. Where c does not say,
// one that made no node, such as a dropout in evaluation, fits before c too: then it must
// be among c's fields that were not called since.
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

// unique reports whether identity tells m from every other module.
func unique(m any) bool {
	v := reflect.ValueOf(m)
	switch v.Kind() {
	case reflect.Pointer:
		return v.Type().Elem().Size() > 0
	case reflect.Slice:
		return v.Len() > 0
	}
	return false
}

// places finds the module of every call that was made within a call of parent, nil for
// the calls that nobody made. One with an identity is where Named has it. Modules without
// fields are all equal, so that one of the parent's is taken: not from below a module that
// has a call of its own here; with the layers between which it is called, where these are
// below a module without a call, and each once before any is taken again. A module made
// within a Forward gets its class for a path.
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

// name is the path of m, empty for none.
func (m *namedModule) name() string {
	if m == nil {
		return ""
	}
	return m.path
}

// below reports whether the path of m begins with that of p.
func (m *namedModule) below(p *namedModule) bool {
	return p.path == "" || strings.HasPrefix(m.path+".", p.path+".")
}

// identities lists the modules by their identity, and tells them their parents.
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
	called map[any]bool          // by identity, what is in the list
	used   map[*namedModule]bool // something of it is in the list
	taken  map[*namedModule]int  // calls that were found to be of it
}

// known returns the module of a call that has an identity, or nil.
func (p *placing) known(c *calls) *namedModule {
	if found := p.all[identity(c.Module)]; unique(c.Module) && found != nil {
		return found[0]
	}
	return nil
}

// choose returns the candidate that call i is of, or nil.
func (p *placing) choose(candidates []*namedModule, list []*calls, i int) (best *namedModule) {
	if m := p.known(list[i]); m != nil {
		return m
	}
	var before, after *namedModule // the nearest calls that are known
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

// together reports whether q and m are below one module that has no call.
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

// searched is the module that candidates are below: the parent, or what a parent made
// within a Forward was called by.
func (p *placing) searched() *namedModule {
	m := p.parent
	for m != nil && m.module == nil {
		m = m.parent
	}
	return m
}

// between looks at the modules between the parent and q, which record no call: ok is
// false where one has, or where q is elsewhere, depth counts them, and unseen those of
// which nothing known was called.
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

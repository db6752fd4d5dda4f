package nn

import "slices"

// route finds which modules were called in turn, where only some calls identify their module.
//
// The others are calls of modules without fields, such as ReLU, of which any below the top may
// be meant. A Forward usually calls its fields in the order of their declaration. route
// therefore chooses the modules whose sequence departs from that order least, as cost measures
// it; the calls that identify their module are fixed points of the sequence. This also places
// the layers of modules that do not record their own calls.
type route struct {
	w      *walker
	top    *namedModule // the modules are below it; nil stands for all
	all    map[any][]*namedModule
	called map[any]bool // identities of the modules that were called

	idle map[*namedModule]bool  // modules with layers of their own, none of which was called
	live map[*namedModule][]int // number of a module's first i children that count

	choices map[any][]*namedModule
}

// The cost of a step in the sequence is the number of modules that it passes over, weighted by
// where they lie, plus these.
const (
	leadingCost = 2 // for a module before the first that is called in its parent
	passCost    = 3 // for a module between two that are called in turn in their parent
	followCost  = 3 // for a module after the last that is called in its parent

	backwardCost = 2 // for calling a module declared before the last one
	outCost      = 1 // for leaving a module in order to go backward
	repeatCost   = 5 // for calling a module twice in turn
	idleCost     = 4 // for a layer of an idle module

	beam   = 8  // number of sequences that are followed
	window = 64 // number of modules that are tried for a call
)

// known returns the module of a call if it has an identity, and nil otherwise.
func (r *route) known(c *calls) *namedModule {
	if found := r.all[identity(c.Module)]; unique(c.Module) && found != nil {
		return found[0]
	}
	return nil
}

// leg is a possible end of the sequence up to a call.
type leg struct {
	at   *namedModule // the module of the call, or nil if there is none
	last *namedModule // the last module of the sequence that is below the top
	far  *namedModule // of the modules called in turn in last's parent, the one declared last
	from *leg
	cost int
}

// choose returns the module of every call, and nil for those that have none.
func (r *route) choose(list []*calls) []*namedModule {
	found := make([]*namedModule, len(list))
	ends := []*leg{{}}
	for i, c := range list {
		if found[i] = r.known(c); found[i] == nil {
			r.prepare()
		}
	}
	if r.idle == nil {
		return found
	}
	for i, c := range list {
		candidates := []*namedModule{found[i]}
		if found[i] == nil {
			candidates = near(r.candidates(identity(c.Module)), ends[0].last)
		}
		var next []*leg
		for _, m := range candidates {
			var best *leg
			for _, end := range ends {
				if l := r.extend(end, m); best == nil || l.cost < best.cost {
					best = l
				}
			}
			next = append(next, best)
		}
		slices.SortStableFunc(next, func(a, b *leg) int { return a.cost - b.cost })
		ends = next[:min(len(next), beam)]
	}
	last := ends[0]
	for _, end := range ends {
		if r.end(end) < r.end(last) {
			last = end
		}
	}
	for i := len(list) - 1; i >= 0; i-- {
		found[i], last = last.at, last.from
	}
	return found
}

// extend returns the sequence with one more module. A module that is listed elsewhere than
// below the top says nothing.
func (r *route) extend(l *leg, m *namedModule) *leg {
	next := &leg{at: m, last: l.last, far: l.far, from: l, cost: l.cost}
	if m != nil && r.inside(m) {
		next.cost += r.cost(l.last, l.far, m)
		if l.last == nil || l.last.parent != m.parent || m.ordinal > l.far.ordinal {
			next.far = m
		}
		next.last = m
	}
	return next
}

// prepare finds out which modules are idle.
func (r *route) prepare() {
	if r.idle != nil {
		return
	}
	r.idle, r.live, r.choices = map[*namedModule]bool{}, map[*namedModule][]int{}, map[any][]*namedModule{}
	layers, used := map[*namedModule]bool{}, map[*namedModule]bool{}
	for _, m := range r.w.modules {
		if !unique(m.module) || !r.inside(m) {
			continue
		}
		for a := m; a != nil; a = a.parent {
			layers[a] = layers[a] || len(m.children) == 0
			used[a] = used[a] || r.called[identity(m.module)]
		}
	}
	for m := range layers {
		r.idle[m] = layers[m] && !used[m]
	}
}

// inside reports whether m is below the top.
func (r *route) inside(m *namedModule) bool {
	if r.top == nil {
		return true
	}
	for m != nil && m.depth > r.top.depth {
		m = m.parent
	}
	return m == r.top
}

// candidates lists the modules that a call of the given identity can be of; nil is the only one
// if there is none.
func (r *route) candidates(id any) []*namedModule {
	list, ok := r.choices[id]
	if !ok {
		list = slices.DeleteFunc(slices.Clone(r.all[id]), func(m *namedModule) bool { return !r.candidate(m) })
		if len(list) == 0 {
			list = []*namedModule{nil}
		}
		r.choices[id] = list
	}
	return list
}

// near returns the candidates that are declared nearest to the last module.
func near(candidates []*namedModule, last *namedModule) []*namedModule {
	if len(candidates) <= window || last == nil {
		return candidates
	}
	at, _ := slices.BinarySearchFunc(candidates, last.index, func(m *namedModule, index int) int { return m.index - index })
	from := min(max(at-window/2, 0), len(candidates)-window)
	return candidates[from : from+window]
}

// candidate reports whether a call can be one of m: m is below the top, and not below a module
// whose own call would contain it.
func (r *route) candidate(m *namedModule) bool {
	if m == r.top || !r.inside(m) {
		return false
	}
	for a := m.parent; a != nil && a != r.top; a = a.parent {
		if r.called[identity(a.module)] {
			return false
		}
	}
	return true
}

// between counts the children of m from ordinal i up to, but not including, j that were
// possibly called.
func (r *route) between(m *namedModule, i, j int) int {
	if m == nil || j <= i {
		return 0
	}
	sums := r.live[m]
	if sums == nil {
		sums = make([]int, len(m.children)+1)
		for k, c := range m.children {
			sums[k+1] = sums[k]
			if !r.idle[c] && (r.called[identity(c.module)] || len(c.children) > 0) {
				sums[k+1]++
			}
		}
		r.live[m] = sums
	}
	return sums[j] - sums[i]
}

// cost measures how far the step from a call of p to one of q departs from the order in which
// modules are declared. p is nil for the first call; far is the leg's.
func (r *route) cost(p, far, q *namedModule) int {
	n := 0
	if r.idle[q] || q.parent != nil && q.parent != r.top && r.idle[q.parent] {
		n += idleCost
	}
	if p == q {
		return n + repeatCost
	}
	start := p
	for p != nil && p.depth > q.depth {
		n, p, far = n+followCost*r.following(far), p.parent, p.parent
	}
	for q != r.top && q.parent != nil && (p == nil || q.depth > p.depth) {
		n, q = n+leadingCost*r.between(q.parent, 0, q.ordinal), q.parent
	}
	if p == nil || p == q {
		return n
	}
	for p.parent != q.parent {
		n += followCost*r.following(far) + leadingCost*r.between(q.parent, 0, q.ordinal)
		p, q, far = p.parent, q.parent, p.parent
	}
	if q.ordinal > p.ordinal {
		return n + passCost*r.between(q.parent, max(p.ordinal, far.ordinal)+1, q.ordinal)
	}
	if p != start {
		n += outCost
	}
	return n + backwardCost + passCost*r.between(q.parent, q.ordinal+1, p.ordinal)
}

// following counts what follows m in its parent.
func (r *route) following(m *namedModule) int {
	if m.parent == nil {
		return 0
	}
	return r.between(m.parent, m.ordinal+1, len(m.parent.children))
}

// end measures what the sequence leaves out at its end.
func (r *route) end(l *leg) int {
	n := l.cost
	for m := l.far; m != nil && m != r.top; m = m.parent {
		n += followCost * r.following(m)
	}
	return n
}

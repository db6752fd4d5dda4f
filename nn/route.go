package nn

import "slices"

// route finds the sequence of called modules, given that only some calls identify their module.
//
// The other calls are of modules without fields, such as ReLU, and could be of any such module
// below the top. A Forward usually calls its fields in the order of their declaration. So
// route chooses the modules whose sequence deviates least from that order, as measured by cost.
// The calls that identify their module are fixed points of the sequence. This also finds the
// layers of modules that do not record their own calls.
type route struct {
	w      *fieldWalker
	top    *namedModule // the called modules are below it; nil means that all modules are
	all    map[any][]*namedModule
	called map[any]bool // identities of the modules that were called

	idle map[*namedModule]bool  // modules none of whose own layers was called
	live map[*namedModule][]int // number of a module's first i children that count

	choices map[any][]*namedModule
}

// The cost of one step in the sequence is the weighted number of modules that it skips, plus
// these penalties. The weight of a skipped module depends on its position.
const (
	leadingCost = 2 // for a module before the first that is called in its parent
	passCost    = 3 // for a module between two that are called in turn in their parent
	followCost  = 3 // for a module after the last that is called in its parent

	backwardCost = 2 // for calling a module declared before the last one
	outCost      = 1 // for leaving a module in order to go backward
	repeatCost   = 5 // for calling a module twice in turn
	idleCost     = 4 // for a layer of an idle module

	beam   = 8  // number of sequences that the search keeps (beam search)
	window = 64 // number of modules that it tries for each call
)

// known returns the module of a call if it has an identity, and nil otherwise.
func (r *route) known(c *calls) *namedModule {
	if found := r.all[identity(c.Module)]; unique(c.Module) && found != nil {
		return found[0]
	}
	return nil
}

// leg is the end of one possible sequence of modules, up to a call.
type leg struct {
	at   *namedModule // the module of the call, or nil if there is none
	last *namedModule // the last module of the sequence that is below the top
	far  *namedModule // the module declared last among those called in last's parent
	from *leg
	cost int
}

// choose returns the module of every call, or nil for a call without one.
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

// extend returns the sequence with one more module. A module that is not below the top does not
// change the sequence.
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

// candidates lists the modules that a call with the given identity may belong to. If there is
// none, the list contains only nil.
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

// near returns the candidates whose declaration is nearest to that of the last module.
func near(candidates []*namedModule, last *namedModule) []*namedModule {
	if len(candidates) <= window || last == nil {
		return candidates
	}
	at, _ := slices.BinarySearchFunc(candidates, last.index, func(m *namedModule, index int) int { return m.index - index })
	from := min(max(at-window/2, 0), len(candidates)-window)
	return candidates[from : from+window]
}

// candidate reports whether a call may be a call of m: m must be below the top, but not below a
// module whose own call would contain the call.
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

// between counts the children of m with index i <= k < j that may have been called.
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

// cost measures how much a call of q after a call of p deviates from the order in which modules
// are declared. p is nil for the first call; far is the field of the leg.
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

// following counts the modules after m in its parent.
func (r *route) following(m *namedModule) int {
	if m.parent == nil {
		return 0
	}
	return r.between(m.parent, m.ordinal+1, len(m.parent.children))
}

// end measures the cost of the modules that follow the end of the sequence.
func (r *route) end(l *leg) int {
	n := l.cost
	for m := l.far; m != nil && m != r.top; m = m.parent {
		n += followCost * r.following(m)
	}
	return n
}

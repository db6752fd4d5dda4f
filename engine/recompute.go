package engine

import (
	"cmp"
	"maps"
	"math"
	"slices"
)

// recompute returns steps that need less memory and give the same bits. It drops large
// values of the forward pass that only the backward pass still reads, and computes them
// again just before their first use there. Each is recomputed at most once, so the cost is
// at most one more forward pass (Chen et al. 2016, "Training Deep Nets with Sublinear
// Memory Cost"). steps must be in order; the forward pass consists of the steps that
// outputs and assignments depend on.
//
// recompute searches for the best set of retained values. It first tries cuts through the
// forward pass for several memory budgets, and then changes single values. It compares the
// memory that the plan would take and, if that is equal, the work.
func recompute(steps []Step, outputs []*Value) []Step {
	r := newRecomputing(steps, outputs)
	if len(r.large) == 0 {
		return steps
	}
	all := map[*Value]bool{}
	for _, v := range r.large {
		all[v] = true
	}
	best := r.try(all)
	for _, retained := range r.cuts() {
		if t := r.try(retained); t.better(best) {
			best = t
		}
	}
	return r.improve(best).steps
}

// cheapShare is the fraction of a training step's work that recomputeCheap may add.
const cheapShare = 0.0075

// recomputeCheap is [recompute] for values that cost almost nothing to compute again:
// outputs of batch norms, the largest first and of equal ones the cheapest, whose inputs the
// backward pass reads anyway.
// It drops them as long as that saves memory and the additional work stays below
// cheapShare. In a residual network this saves a third of the activations for a hundredth
// of the time. Compile does it for every training program.
func recomputeCheap(steps []Step, outputs []*Value) []Step {
	r := newRecomputing(steps, outputs)
	retained, work := map[*Value]bool{}, 0.0
	var norms []*Value
	for _, v := range r.large {
		retained[v] = true
		if _, ok := steps[r.maker[v]].(*BatchNorm); ok {
			norms = append(norms, v)
		}
	}
	for _, s := range steps {
		work += price(s)
	}
	cost := func(v *Value) float64 { return price(steps[r.maker[v]]) }
	slices.SortStableFunc(norms, func(a, b *Value) int {
		return cmp.Or(cmp.Compare(b.Words(), a.Words()), cmp.Compare(cost(a), cost(b)))
	})
	best := r.try(retained)
	for _, v := range norms {
		retained := maps.Clone(best.retained)
		delete(retained, v)
		if t := r.try(retained); t.peak < best.peak && t.cost < cheapShare*work {
			best = t
		}
	}
	return best.steps
}

// forward returns the outputs of a program other than the gradients of its updates.
func (lo *lowering) forward(spec Spec) []*Value {
	var values []*Value
	for _, n := range spec.Outputs {
		if !slices.ContainsFunc(spec.Updates, func(u Update) bool { return u.Gradient == n }) {
			values = append(values, lo.values[n])
		}
	}
	return values
}

// recomputing is the state of recompute's search.
type recomputing struct {
	steps   []Step
	forward []bool         // by step: whether it belongs to the forward pass
	maker   map[*Value]int // for values that may be dropped, the index of the step that computes them
	large   []*Value       // these values, in the order of their steps
	count   int            // the largest ID of a value
	tries   int            // programs tried so far
}

// smallPart bounds which values may be dropped: only those larger than 1/smallPart of the
// largest value. Dropping statistics, logits and losses is not worth it.
const smallPart = 256

func newRecomputing(steps []Step, outputs []*Value) *recomputing {
	r := &recomputing{steps: steps, forward: forwardPass(steps, outputs), maker: map[*Value]int{}}
	most := 0
	for i, s := range steps {
		for _, v := range s.Writes() {
			r.count = max(r.count, v.ID)
			if r.forward[i] && v.Place == Temporary {
				most = max(most, v.Words())
			}
		}
	}
	for i, s := range steps {
		if v := repeatable(s); r.forward[i] && v != nil && v.Place == Temporary && !v.Keep && v.Words() > most/smallPart {
			r.maker[v] = i
			r.large = append(r.large, v)
		}
	}
	return r
}

// forwardPass marks the steps that outputs and assignments depend on.
func forwardPass(steps []Step, outputs []*Value) []bool {
	needed := map[*Value]bool{}
	for _, v := range outputs {
		needed[v] = true
	}
	marks := make([]bool, len(steps))
	for i, s := range slices.Backward(steps) {
		_, marks[i] = s.(*Assign)
		for _, v := range s.Writes() {
			marks[i] = marks[i] || needed[v]
		}
		if marks[i] {
			for _, v := range s.Reads() {
				needed[v] = true
			}
		}
	}
	return marks
}

// repeatable returns the value that s can compute a second time, or nil if there is none.
// Statistics are never computed again.
func repeatable(s Step) *Value {
	switch s := s.(type) {
	case *Conv:
		return s.Y
	case *BatchNorm:
		return s.Y
	case *Compute:
		return s.Out
	case *Relayout:
		return s.To
	}
	return nil
}

// price estimates how long a step takes, in multiply-adds. A core does about twelve of
// them while it moves one element from or to memory. 3x3 convolutions of stride 1 take about
// half of their multiply-adds, by Winograd's algorithm.
func price(s Step) float64 {
	const move = 12
	p := 0.0
	for _, v := range slices.Concat(s.Reads(), s.Writes()) {
		p += move * float64(v.Numel())
	}
	multiplies := func(w *Window, out, weight *Value) {
		sums := float64(out.Numel()) * float64(weight.Numel()/weight.Shape[0])
		if w.KH == 3 && w.KW == 3 && w.StrideH == 1 && w.StrideW == 1 {
			sums /= 2
		}
		p += sums
	}
	switch s := s.(type) {
	case *Conv:
		multiplies(&s.Window, s.Y, s.W)
	case *ConvGradInput:
		multiplies(&s.Window, s.DY, s.W)
	case *ConvGradWeight:
		multiplies(&s.Window, s.DY, s.DW)
	}
	return p
}

// trial is a program that retains some of the large values and recomputes the others.
type trial struct {
	retained map[*Value]bool
	clones   map[*Value]*Value // of the values that are computed again
	steps    []Step
	peak     int     // largest number of words in use at the same time
	cost     float64 // work of the recomputation
}

func (t *trial) better(o *trial) bool {
	return cmp.Or(cmp.Compare(t.peak, o.peak), cmp.Compare(t.cost, o.cost)) < 0
}

// try builds the program that retains these values.
func (r *recomputing) try(retained map[*Value]bool) *trial {
	r.tries++
	t := &trial{retained: retained, clones: map[*Value]*Value{}}
	for i, s := range r.steps {
		if !r.forward[i] {
			s = replace(s, func(v *Value) *Value { return r.again(t, v) })
		}
		t.steps = append(t.steps, s)
	}
	temps := lives(t.steps)
	shareInPlace(t.steps)
	t.peak = peak(temps, len(t.steps))
	return t
}

// again returns the value that the backward pass reads in place of v: v itself if it is
// retained, else its clone. The step that computes a new clone comes right after those of
// the clones that it reads.
func (r *recomputing) again(t *trial, v *Value) *Value {
	i, dropped := r.maker[v]
	if !dropped || t.retained[v] {
		return v
	}
	if c := t.clones[v]; c != nil {
		return c
	}
	c := *v
	c.ID = r.count + len(t.clones) + 1
	t.clones[v] = &c
	s := replace(r.steps[i], func(w *Value) *Value {
		switch {
		case w == v:
			return &c
		case slices.Contains(r.steps[i].Writes(), w): // statistics
			return nil
		}
		return r.again(t, w)
	})
	t.steps = append(t.steps, s)
	t.cost += price(s)
	return &c
}

// improve retains or drops single values, or exchanges one for the value before it. It
// first minimises memory alone, since saving work early would use up memory that a later
// choice needs, and then work as well.
func (r *recomputing) improve(best *trial) *trial {
	best = r.climb(best, func(t, o *trial) bool { return t.peak < o.peak })
	return r.climb(best, (*trial).better)
}

// climbing bounds the total number of steps of the programs that one climb tries. It
// takes about a second.
const climbing = 3 << 20

// climb makes single changes that improve the program until there are none or it has
// tried enough. It begins with the values that cost most for their size.
func (r *recomputing) climb(best *trial, better func(t, o *trial) bool) *trial {
	worth := func(v *Value) float64 { return price(r.steps[r.maker[v]]) / float64(v.Words()) }
	values := slices.Clone(r.large)
	slices.SortStableFunc(values, func(a, b *Value) int { return cmp.Compare(worth(b), worth(a)) })
	limit := r.tries + climbing/len(r.steps)
	flip := func(vs ...*Value) {
		if r.tries >= limit {
			return
		}
		retained := maps.Clone(best.retained)
		for _, v := range vs {
			retained[v] = !retained[v]
		}
		if t := r.try(retained); better(t, best) {
			best = t
		}
	}
	for r.tries < limit {
		before := best
		for _, v := range values {
			flip(v)
		}
		for i, v := range r.large[1:] {
			if w := r.large[i]; best.retained[v] != best.retained[w] {
				flip(v, w)
			}
		}
		if best == before {
			break
		}
	}
	return best
}

// cuts returns sets of values to retain, for memory budgets between the size of the largest
// value and that of all of them. A cut after a forward step retains the values that later
// forward steps read; the backward pass recomputes the part between two cuts in one go.
func (r *recomputing) cuts() []map[*Value]bool {
	const budgets = 160
	f := r.flow()
	low, high := 1.0, 0.0
	for _, w := range f.words {
		low, high = max(low, float64(w)), high+float64(w)
	}
	var sets []map[*Value]bool
	for i := range budgets {
		if retained := f.cut(low * math.Pow(high/low, float64(i)/budgets)); retained != nil {
			sets = append(sets, retained)
		}
	}
	return sets
}

// flow describes the forward pass for the choice of cuts. Steps are numbered within the
// forward pass.
type flow struct {
	large  []*Value
	made   []int // for each large value, the step that computes it
	until  []int // for each large value, its last reader
	words  []int // for each step, the words it computes for the backward pass
	across []int // for each step, the words of large values that later steps read
}

func (r *recomputing) flow() *flow {
	none := r.try(map[*Value]bool{})
	f := &flow{large: r.large, made: make([]int, len(r.large)), until: make([]int, len(r.large))}
	index := map[*Value]int{}
	for i, s := range r.steps {
		if !r.forward[i] {
			continue
		}
		at := len(f.words)
		f.words = append(f.words, 0)
		for _, v := range s.Reads() {
			if k, ok := index[v]; ok {
				f.until[k] = at
			}
		}
		if v := repeatable(s); v != nil && len(index) < len(r.large) && r.large[len(index)] == v {
			k := len(index)
			index[v], f.made[k], f.until[k] = k, at, at
			if none.clones[v] != nil {
				f.words[at] = v.Words()
			}
		}
	}
	f.across = make([]int, len(f.words))
	for k, v := range f.large {
		for at := f.made[k]; at < f.until[k]; at++ {
			f.across[at] += v.Words()
		}
	}
	return f
}

// cut chooses the cuts that retain the fewest words, on the condition that no part of the
// pass, together with the values retained before it, takes more than budget words. It
// returns nil if there are no such cuts. Values retained after a part do not count: they
// are no longer needed when the backward pass reaches it.
func (f *flow) cut(budget float64) map[*Value]bool {
	n := len(f.words)
	least := make([]float64, n+1) // words retained by the best cuts of which the last is before step i
	from := make([]int, n+1)
	for j := 1; j <= n; j++ {
		from[j] = -1
		part := 0.0
		for i := j - 1; i >= 0; i-- {
			part += float64(f.words[i])
			if part > budget {
				break
			}
			if from[i] < 0 || least[i]+part > budget {
				continue
			}
			retained := least[i]
			if j < n {
				retained += float64(f.across[j-1])
			}
			if from[j] < 0 || retained < least[j] {
				least[j], from[j] = retained, i
			}
		}
	}
	if n == 0 || from[n] < 0 {
		return nil
	}
	retained := map[*Value]bool{}
	for j := from[n]; j > 0; j = from[j] {
		for k, v := range f.large {
			if f.made[k] < j && f.until[k] >= j {
				retained[v] = true
			}
		}
	}
	return retained
}

// replace returns a copy of s with every value v replaced by f(v).
func replace(s Step, f func(*Value) *Value) Step {
	sub := func(vs ...**Value) {
		for _, v := range vs {
			if *v != nil {
				*v = f(*v)
			}
		}
	}
	switch s := s.(type) {
	case *Conv:
		c := *s
		sub(&c.X, &c.W, &c.Bias, &c.Residual, &c.Y, &c.Stats)
		if s.Norm != nil {
			norm := *s.Norm
			sub(&norm.Stats, &norm.Gamma, &norm.Beta)
			c.Norm = &norm
		}
		return &c
	case *ConvGradInput:
		c := *s
		sub(&c.W, &c.DY, &c.Base, &c.DX)
		if s.Reduce != nil {
			reduce := *s.Reduce
			sub(&reduce.X, &reduce.Stats, &reduce.Mask, &reduce.Out)
			c.Reduce = &reduce
		}
		return &c
	case *ConvGradWeight:
		c := *s
		sub(&c.X, &c.DY, &c.DW)
		return &c
	case *BatchNorm:
		c := *s
		sub(&c.X, &c.Stats, &c.Gamma, &c.Beta, &c.Residual, &c.Y)
		return &c
	case *BatchNormReduce:
		c := *s
		sub(&c.X, &c.Stats, &c.DY, &c.Mask, &c.Out)
		return &c
	case *BatchNormGrad:
		c := *s
		sub(&c.X, &c.Stats, &c.Gamma, &c.Reduced, &c.DY, &c.Mask, &c.DX, &c.Masked, &c.Sum)
		return &c
	case *Compute:
		c := *s
		c.In = slices.Clone(s.In)
		for i := range c.In {
			sub(&c.In[i])
		}
		sub(&c.Out)
		return &c
	case *Relayout:
		c := *s
		sub(&c.From, &c.To)
		return &c
	}
	return s
}

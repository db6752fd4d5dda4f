package engine

import (
	"cmp"
	"maps"
	"math"
	"slices"
)

// recompute returns steps that need less memory and give the same bits: large
// values of the forward pass that only the backward pass still wants are dropped
// and computed again just before their first use there, each at most once, so
// that all of it costs at most one more forward pass (Chen et al. 2016, "Training
// Deep Nets with Sublinear Memory Cost"). steps are in order; the forward pass is
// what outputs and assignments depend on.
//
// What is kept is searched for: cuts through the forward pass for several budgets
// of memory, then single values one by one, judged by the memory that the plan
// itself would take and, where that is equal, by the work.
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
	for _, kept := range r.cuts() {
		if t := r.try(kept); t.better(best) {
			best = t
		}
	}
	return r.improve(best).steps
}

// cheapShare of a step's work may be done twice unasked.
const cheapShare = 0.0075

// recomputeCheap does what [recompute] does for what costs next to nothing: outputs of
// batch norms, the largest first, whose inputs the backward pass wants anyway. They are
// dropped as long as that saves memory and all of it takes less than cheapShare of the
// work: a third of the activations of a residual network for a hundredth of the time.
func recomputeCheap(steps []Step, outputs []*Value) []Step {
	r := newRecomputing(steps, outputs)
	kept, work := map[*Value]bool{}, 0.0
	var norms []*Value
	for _, v := range r.large {
		kept[v] = true
		if _, ok := steps[r.maker[v]].(*BatchNorm); ok {
			norms = append(norms, v)
		}
	}
	for _, s := range steps {
		work += price(s)
	}
	slices.SortStableFunc(norms, func(a, b *Value) int { return cmp.Compare(b.Words(), a.Words()) })
	best := r.try(kept)
	for _, v := range norms {
		kept := maps.Clone(best.kept)
		delete(kept, v)
		if t := r.try(kept); t.peak < best.peak && t.cost < cheapShare*work {
			best = t
		}
	}
	return best.steps
}

// forward returns what a program gives beside the gradients of its updates.
func (lo *lowering) forward(spec Spec) []*Value {
	var values []*Value
	for _, n := range spec.Outputs {
		if !slices.ContainsFunc(spec.Updates, func(u Update) bool { return u.Gradient == n }) {
			values = append(values, lo.values[n])
		}
	}
	return values
}

// recomputing is what recompute knows about a program.
type recomputing struct {
	steps   []Step
	forward []bool         // by step
	maker   map[*Value]int // the steps of values that may be dropped
	large   []*Value       // these values, in the order of their steps
	count   int            // the largest ID
	tries   int            // programs tried
}

// smallPart of the largest value is not worth dropping: statistics, logits, losses.
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

// repeatable returns the value that s can compute a second time, or nil.
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

// price is about how long a step takes, in multiply-adds: a core does some twelve
// of them while it moves one element from or to memory.
func price(s Step) float64 {
	const move = 12
	p := 0.0
	for _, v := range slices.Concat(s.Reads(), s.Writes()) {
		p += move * float64(v.Words())
	}
	multiplies := func(out, weight *Value) { p += float64(out.Numel()) * float64(weight.Numel()/weight.Shape[0]) }
	switch s := s.(type) {
	case *Conv:
		multiplies(s.Y, s.W)
	case *ConvGradInput:
		multiplies(s.DY, s.W)
	case *ConvGradWeight:
		multiplies(s.DY, s.DW)
	}
	return p
}

// trial is a program that keeps some of the large values.
type trial struct {
	kept   map[*Value]bool
	clones map[*Value]*Value // of those that are not kept but wanted again
	steps  []Step
	peak   int // words in use at once
	cost   float64
}

func (t *trial) better(o *trial) bool {
	return cmp.Or(cmp.Compare(t.peak, o.peak), cmp.Compare(t.cost, o.cost)) < 0
}

// try builds the program that keeps these values.
func (r *recomputing) try(kept map[*Value]bool) *trial {
	r.tries++
	t := &trial{kept: kept, clones: map[*Value]*Value{}}
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

// again returns v for the backward pass: v itself, or its clone, whose step comes
// right after those of the clones it needs.
func (r *recomputing) again(t *trial, v *Value) *Value {
	i, dropped := r.maker[v]
	if !dropped || t.kept[v] {
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

// improve keeps or drops one value after the other, or one in place of the one
// before it: first for memory alone, since work saved in between fills the room
// that a later choice would need, then for work as well.
func (r *recomputing) improve(best *trial) *trial {
	best = r.climb(best, func(t, o *trial) bool { return t.peak < o.peak })
	return r.climb(best, (*trial).better)
}

// climbing bounds the steps of all programs that one climb tries: about a second.
const climbing = 3 << 20

// climb makes single changes that are better, the dearest values for their size
// first, until there are none or it has tried enough.
func (r *recomputing) climb(best *trial, better func(t, o *trial) bool) *trial {
	worth := func(v *Value) float64 { return price(r.steps[r.maker[v]]) / float64(v.Words()) }
	values := slices.Clone(r.large)
	slices.SortStableFunc(values, func(a, b *Value) int { return cmp.Compare(worth(b), worth(a)) })
	limit := r.tries + climbing/len(r.steps)
	flip := func(vs ...*Value) {
		if r.tries >= limit {
			return
		}
		kept := maps.Clone(best.kept)
		for _, v := range vs {
			kept[v] = !kept[v]
		}
		if t := r.try(kept); better(t, best) {
			best = t
		}
	}
	for r.tries < limit {
		before := best
		for _, v := range values {
			flip(v)
		}
		for i, v := range r.large[1:] {
			if w := r.large[i]; best.kept[v] != best.kept[w] {
				flip(v, w)
			}
		}
		if best == before {
			break
		}
	}
	return best
}

// cuts returns sets of values to keep, for budgets between the largest value and
// all of them. A cut after a forward step keeps what later forward steps read;
// the pass between two cuts is what the backward pass computes again at once.
func (r *recomputing) cuts() []map[*Value]bool {
	const budgets = 160
	f := r.flow()
	low, high := 1.0, 0.0
	for _, w := range f.words {
		low, high = max(low, float64(w)), high+float64(w)
	}
	var sets []map[*Value]bool
	for i := range budgets {
		if kept := f.cut(low * math.Pow(high/low, float64(i)/budgets)); kept != nil {
			sets = append(sets, kept)
		}
	}
	return sets
}

// flow is the forward pass as the choice of cuts sees it, by forward step.
type flow struct {
	large  []*Value
	made   []int // of each large value
	until  []int // its last reader
	words  []int // made for the backward pass
	across []int // of large values that live on behind the step
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

// cut chooses the cuts that keep least while no part of the pass, with what is
// kept before it, takes more than budget words; nil when there are none. When the
// backward pass comes to a part it has no use any more for what was kept behind.
func (f *flow) cut(budget float64) map[*Value]bool {
	n := len(f.words)
	least := make([]float64, n+1) // words kept by the best cuts up to the last one, before step i
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
			kept := least[i]
			if j < n {
				kept += float64(f.across[j-1])
			}
			if from[j] < 0 || kept < least[j] {
				least[j], from[j] = kept, i
			}
		}
	}
	if n == 0 || from[n] < 0 {
		return nil
	}
	kept := map[*Value]bool{}
	for j := from[n]; j > 0; j = from[j] {
		for k, v := range f.large {
			if f.made[k] < j && f.until[k] >= j {
				kept[v] = true
			}
		}
	}
	return kept
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

package cpu

import (
	"cmp"
	"math"
	"slices"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/tensor"
)

// grouped is how the elements of a value form the groups of layer and group normalisation.
// Element k of group i is at offset starts[i]+within[k] and has its weight at offset
// first[i]+weight[k]. Offsets within a group ascend.
type grouped struct {
	starts, first  []int
	within, weight []int
}

func newGrouped(o graph.Grouping, v, weight *engine.Value) *grouped {
	size := o.Size(v.Shape)
	strides := v.Layout.Strides(v.Shape)
	g := &grouped{}
	weights := weight.Layout.Strides(weight.Shape)
	ofWeight := func(i int) int { return offset(weight.Shape, weights, o.Weight(v.Shape, i)) }
	base := offset(v.Shape, strides, 0)
	order := make([]int, size)
	for k := range order {
		order[k] = k
	}
	at := make([]int, size)
	for k := range at {
		at[k] = offset(v.Shape, strides, k) - base
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(at[a], at[b]) })
	for _, k := range order {
		g.within, g.weight = append(g.within, at[k]), append(g.weight, ofWeight(k))
	}
	for i := 0; i < v.Numel(); i += size {
		g.starts, g.first = append(g.starts, offset(v.Shape, strides, i)), append(g.first, ofWeight(i))
	}
	return g
}

// moments returns the mean of a group, in float64, and 1/√(var + eps).
func (g *grouped) moments(x activation, i int, eps float64) (mean, scale float64) {
	sum := 0.0
	for _, at := range g.within {
		sum += float64(x.get(g.starts[i] + at))
	}
	mean = sum / float64(len(g.within))
	sum = 0
	for _, at := range g.within {
		d := float64(x.get(g.starts[i]+at)) - mean
		sum += float64(d * d)
	}
	return mean, 1 / math.Sqrt(sum/float64(len(g.within))+eps)
}

// neighbours is how many groups one task computes: those that share cache lines.
func (g *grouped) neighbours() int { return max(1, min(16, (1<<14)/len(g.within))) }

// each calls f for every group, in parallel.
func (g *grouped) each(p *pool, f func(i int)) func() {
	n := g.neighbours()
	work := func(task int) {
		for i := task * n; i < min((task+1)*n, len(g.starts)); i++ {
			f(i)
		}
	}
	return func() { p.run(ceil(len(g.starts), n), work) }
}

// groupNorm binds layer and group normalisation.
func (b *binder) groupNorm(o graph.Grouping, eps float64, s *engine.Compute) func() {
	g := newGrouped(o, s.In[0], s.In[1])
	x, weight, bias, y := b.act(s.In[0]), b.act(s.In[1]), b.act(s.In[2]), b.act(s.Out)
	return g.each(b.pool, func(i int) {
		mean, scale := g.moments(x, i, eps)
		start, first := g.starts[i], g.first[i]
		for k, at := range g.within {
			w := first + g.weight[k]
			xhat := float64(float64(x.get(start+at))-mean) * scale
			y.set(start+at, float32(float64(xhat*float64(weight.get(w)))+float64(bias.get(w))))
		}
	})
}

// groupNormGrad binds the gradients of layer and group normalisation for their input.
func (b *binder) groupNormGrad(o graph.Grouping, eps float64, s *engine.Compute) func() {
	g := newGrouped(o, s.In[0], s.In[1])
	x, weight, dy, dx := b.act(s.In[0]), b.act(s.In[1]), b.act(s.In[2]), b.act(s.Out)
	return g.each(b.pool, func(i int) {
		mean, scale := g.moments(x, i, eps)
		start, first := g.starts[i], g.first[i]
		at := func(k int) (d, xhat float64) {
			o := start + g.within[k]
			return float64(dy.get(o)) * float64(weight.get(first+g.weight[k])), float64(float64(x.get(o))-mean) * scale
		}
		sum, dot := 0.0, 0.0
		for k := range g.within {
			d, xhat := at(k)
			sum += d
			dot += float64(d * xhat)
		}
		n := float64(len(g.within))
		sum, dot = sum/n, dot/n
		for k, o := range g.within {
			d, xhat := at(k)
			dx.set(start+o, float32(float64(d-sum-float64(xhat*dot))*scale))
		}
	})
}

// gatherElements binds the choice of one element for every index.
func (b *binder) gatherElements(op graph.GatherElements, s *engine.Compute) func() {
	x, index, y := s.In[0], s.In[1], s.Out
	from, to := x.Layout.Strides(x.Shape), y.Layout.Strides(y.Shape)
	src, chosen, dst := b.act(x), b.act(index), b.act(y)
	along := from[op.Axis]
	from = slices.Clone(from)
	from[op.Axis] = 0
	return b.rows(y.Numel(), func(i, _ int) {
		o := offset(y.Shape, to, i)
		v := float32(math.NaN())
		if k := chosen.get(o); k >= 0 && k < float32(x.Shape[op.Axis]) {
			v = src.get(offset(y.Shape, from, i) + int(k)*along)
		}
		dst.set(o, v)
	})
}

// gatherElementsGrad binds the gradient of gatherElements. Each line along the axis is summed
// by one task, in the order of the indices.
func (b *binder) gatherElementsGrad(op graph.GatherElementsGrad, s *engine.Compute) func() {
	index, dy, dx := s.In[0], s.In[1], s.Out
	from, to := dy.Layout.Strides(dy.Shape), dx.Layout.Strides(dx.Shape)
	chosen, src, dst := b.act(index), b.act(dy), b.act(dx)
	lines := tensor.Shape(slices.Clone(dx.Shape))
	lines[op.Axis] = 1
	b.areas.need(op.Size)
	return b.rows(lines.Numel(), func(i, thread int) {
		area := b.areas.of(thread)
		sums := area[:op.Size]
		clear(sums)
		at := offset(lines, from, i)
		for range dy.Shape[op.Axis] {
			if k := chosen.get(at); k >= 0 && k < float32(op.Size) {
				sums[int(k)] += src.get(at)
			}
			at += from[op.Axis]
		}
		at = offset(lines, to, i)
		for _, v := range sums {
			dst.set(at, v)
			at += to[op.Axis]
		}
	})
}

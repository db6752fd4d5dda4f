package cpu

import (
	"cmp"
	"slices"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/tensor"
)

// moving binds operations that move elements, reduce or normalise dimensions, and products
// of matrices.
func (b *binder) moving(s *engine.Compute) (func(), bool) {
	switch op := s.Op.(type) {
	case graph.Take:
		strides := s.In[0].Layout.Strides(s.In[0].Shape)
		offsets := make([][]int, len(s.Out.Shape))
		for d, size := range s.Out.Shape {
			list := op.Index[d]
			if list == nil {
				list = counted(size)
			}
			offsets[d] = scaled(list, strides[d])
		}
		m := newMove(s.Out.Shape, s.Out.Layout.Strides(s.Out.Shape), offsets)
		return b.move(m, b.act(s.Out), b.act(s.In[0]), float32(op.Fill)), true
	case graph.Transpose:
		strides := s.In[0].Layout.Strides(s.In[0].Shape)
		offsets := make([][]int, len(s.Out.Shape))
		for d, size := range s.Out.Shape {
			offsets[d] = scaled(counted(size), strides[op.Axes[d]])
		}
		m := newMove(s.Out.Shape, s.Out.Layout.Strides(s.Out.Shape), offsets)
		return b.move(m, b.act(s.Out), b.act(s.In[0]), 0), true
	case graph.Concat:
		return b.concat(op, s), true
	case graph.TakeGrad:
		return b.takeGrad(op, s), true
	case graph.Reduce:
		return b.reduce(op, s), true
	case graph.ExtremeGrad:
		return b.extremeGrad(op, s), true
	case graph.ProductOfOthers:
		return b.productOfOthers(op, s), true
	case graph.MatMul:
		return b.matMul(s), true
	case graph.LayerNorm:
		return b.groupNorm(op, op.Eps, s), true
	case graph.GroupNorm:
		return b.groupNorm(op, op.Eps, s), true
	case graph.LayerNormGrad:
		return b.groupNormGrad(op, op.Eps, s), true
	case graph.GroupNormGrad:
		return b.groupNormGrad(op, op.Eps, s), true
	case graph.GatherElements:
		return b.gatherElements(op, s), true
	case graph.GatherElementsGrad:
		return b.gatherElementsGrad(op, s), true
	}
	return nil, false
}

func counted(n int) []int {
	list := make([]int, n)
	for i := range list {
		list[i] = i
	}
	return list
}

// scaled multiplies indices by a stride; -1 stays -1.
func scaled(list []int, stride int) []int {
	out := make([]int, len(list))
	for i, v := range list {
		out[i] = -1
		if v >= 0 {
			out[i] = v * stride
		}
	}
	return out
}

// axisMove is one dimension of a move. Index i is at offset i*stride in the destination
// and at offset from[i] in the source; -1 means that the source has none.
type axisMove struct {
	stride int
	from   []int
}

// newMove sorts the dimensions of a move by their strides in the destination, the
// smallest last. The result has at least one dimension.
func newMove(shape tensor.Shape, strides []int, offsets [][]int) []axisMove {
	var m []axisMove
	for d, size := range shape {
		if size != 1 || offsets[d][0] != 0 {
			m = append(m, axisMove{strides[d], offsets[d]})
		}
	}
	slices.SortStableFunc(m, func(a, b axisMove) int { return cmp.Compare(b.stride, a.stride) })
	if len(m) == 0 {
		m = []axisMove{{1, []int{0}}}
	}
	return m
}

// move binds a copy of elements from src to dst, a row of the innermost dimension at a
// time. Elements that src does not have become fill.
func (b *binder) move(m []axisMove, dst, src activation, fill float32) func() {
	rows := 1
	for _, a := range m[:len(m)-1] {
		rows *= len(a.from)
	}
	inner := m[len(m)-1]
	run := inner.stride == 1 && consecutive(inner.from)
	return b.rows(rows, func(i, _ int) {
		to, at := 0, 0
		for d := len(m) - 2; d >= 0; d-- {
			k := i % len(m[d].from)
			i /= len(m[d].from)
			to += k * m[d].stride
			if m[d].from[k] < 0 || at < 0 {
				at = -1
			} else {
				at += m[d].from[k]
			}
		}
		n := len(inner.from)
		if at >= 0 && run && n > 0 && dst.copy(to, src, at+inner.from[0], n) {
			return
		}
		for k, from := range inner.from {
			v := fill
			if from >= 0 && at >= 0 {
				v = src.get(at + from)
			}
			dst.set(to+k*inner.stride, v)
		}
	})
}

// consecutive reports whether a list has no -1 and counts up by ones.
func consecutive(list []int) bool {
	for i, v := range list {
		if v < 0 || v != list[0]+i {
			return false
		}
	}
	return true
}

func (b *binder) concat(op graph.Concat, s *engine.Compute) func() {
	strides := s.Out.Layout.Strides(s.Out.Shape)
	dst := b.act(s.Out)
	var parts []func()
	at := 0
	for _, in := range s.In {
		own := in.Layout.Strides(in.Shape)
		offsets := make([][]int, len(in.Shape))
		for d, size := range in.Shape {
			offsets[d] = scaled(counted(size), own[d])
		}
		if in.Numel() > 0 {
			parts = append(parts, b.move(newMove(in.Shape, strides, offsets), dst.at(at*strides[op.Axis]), b.act(in), 0))
		}
		at += in.Shape[op.Axis]
	}
	return inOrder(parts...)
}

// places lists the offsets of the elements that differ only in the chosen dimensions,
// whose index in all others is 0.
func places(shape tensor.Shape, strides []int, chosen func(d int) bool) []int {
	list := []int{0}
	for d, size := range shape {
		if !chosen(d) {
			continue
		}
		next := make([]int, 0, len(list)*size)
		for _, base := range list {
			for i := range size {
				next = append(next, base+i*strides[d])
			}
		}
		list = next
	}
	return list
}

// takeGrad sums, for every element of the input, the gradients of the output elements
// that took it, in the order of the output.
func (b *binder) takeGrad(op graph.TakeGrad, s *engine.Compute) func() {
	if op.Broadcasts(op.To) {
		var axes []int
		for d, list := range op.Index {
			if list != nil {
				axes = append(axes, d)
			}
		}
		return b.reduce(graph.Reduce{Reduction: graph.Total, Axes: axes}, s)
	}
	dy, dx := s.In[0], s.Out
	from, to := dy.Layout.Strides(dy.Shape), dx.Layout.Strides(dx.Shape)
	takers := make([][][]int, len(dx.Shape)) // for each dimension and index, the offsets in dy
	for d, size := range dx.Shape {
		takers[d] = make([][]int, size)
		for i := range dy.Shape[d] {
			k := i
			if op.Index[d] != nil {
				k = op.Index[d][i]
			}
			if k >= 0 {
				takers[d][k] = append(takers[d][k], i*from[d])
			}
		}
	}
	src, dst := b.act(dy), b.act(dx)
	rank := len(dx.Shape)
	return b.rows(dx.Numel(), func(i, _ int) {
		var lists [graph.MaxDimensions][]int
		at := 0
		for d := rank - 1; d >= 0; d-- {
			k := i % dx.Shape[d]
			i /= dx.Shape[d]
			lists[d] = takers[d][k]
			at += k * to[d]
		}
		dst.set(at, float32(sumTaken(src, lists[:rank])))
	})
}

// sumTaken sums the elements of src whose offset is the sum of one offset of each list, in the
// order of the lists.
func sumTaken(src activation, lists [][]int) float64 {
	var index [graph.MaxDimensions]int
	at := 0
	for _, list := range lists {
		if len(list) == 0 {
			return 0
		}
		at += list[0]
	}
	total, last := 0.0, len(lists)-1
	if last < 0 {
		return float64(src.get(0))
	}
	for {
		for _, offset := range lists[last] {
			total += float64(src.get(at - lists[last][0] + offset))
		}
		d := last - 1
		for ; d >= 0; d-- {
			list, k := lists[d], index[d]
			if k+1 < len(list) {
				index[d] = k + 1
				at += list[k+1] - list[k]
				break
			}
			index[d] = 0
			at += list[0] - list[k]
		}
		if d < 0 {
			return total
		}
	}
}

func (b *binder) productOfOthers(op graph.ProductOfOthers, s *engine.Compute) func() {
	x, y := s.In[0], s.Out
	strides, to := x.Layout.Strides(x.Shape), y.Layout.Strides(y.Shape)
	reduced := func(d int) bool { return slices.Contains(op.Axes, d) }
	notReduced := func(d int) bool { return !reduced(d) }
	within, starts := places(x.Shape, strides, reduced), places(x.Shape, strides, notReduced)
	into, ends := places(y.Shape, to, reduced), places(y.Shape, to, notReduced)
	src, dst := b.act(x), b.act(y)
	return b.rows(len(starts), func(i, _ int) {
		before, after := 1.0, 1.0
		for k, at := range within {
			dst.set(ends[i]+into[k], float32(before))
			before *= float64(src.get(starts[i] + at))
		}
		for k, at := range slices.Backward(within) {
			to := ends[i] + into[k]
			dst.set(to, float32(float64(dst.get(to))*after))
			after *= float64(src.get(starts[i] + at))
		}
	})
}

package cpu

import (
	"cmp"
	"slices"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/graph"
)

const (
	reduceLanes = 64      // neighbouring results that one task computes, a few cache lines
	reduceBlock = 1 << 13 // elements of each of these that one task combines
)

// reduction combines elements of src into those of dst. Result i combines the elements at
// offsets starts[i]+within[k]. Results whose elements are neighbours are computed together,
// and long lists of elements in blocks whose values are combined at the end; the order of a
// sum therefore depends on the shapes alone.
type reduction struct {
	op       graph.Reduce
	src, dst activation
	starts   []int
	ends     []int // offsets in dst
	within   []int // nil: 0, 1, ... count-1
	count    int
	lanes    [][2]int // first and last+1 of the results that a task computes together
	blocks   int
	partial  []float64 // [lanes][block][reduceLanes], where there are several blocks
}

func (b *binder) reduce(op graph.Reduce, s *engine.Compute) func() {
	x, y := s.In[0], s.Out
	strides := x.Layout.Strides(x.Shape)
	reduced := func(d int) bool { return slices.Contains(op.Axes, d) }
	notReduced := func(d int) bool { return !reduced(d) }
	r := &reduction{op: op, src: b.act(x), dst: b.act(y), starts: places(x.Shape, strides, notReduced), ends: places(y.Shape, y.Layout.Strides(y.Shape), notReduced)}
	r.count = x.Numel() / max(1, len(r.starts))
	if len(r.starts) > 1 {
		r.within = places(x.Shape, strides, reduced)
		slices.Sort(r.within)
	}
	r.order()
	r.blocks = ceil(r.count, reduceBlock)
	if r.blocks > 1 {
		r.partial = make([]float64, len(r.lanes)*r.blocks*reduceLanes)
		b.private += 2 * len(r.partial)
	}
	work, finish := r.task, r.finish
	return func() {
		b.pool.run(len(r.lanes)*r.blocks, work)
		if r.blocks > 1 {
			b.pool.run(len(r.lanes), finish)
		}
	}
}

// order sorts the results by where their elements begin, and joins neighbours.
func (r *reduction) order() {
	list := make([]int, len(r.starts))
	for i := range list {
		list[i] = i
	}
	slices.SortFunc(list, func(i, k int) int { return cmp.Compare(r.starts[i], r.starts[k]) })
	starts, ends := make([]int, len(list)), make([]int, len(list))
	for i, k := range list {
		starts[i], ends[i] = r.starts[k], r.ends[k]
	}
	r.starts, r.ends = starts, ends
	for i := range starts {
		n := len(r.lanes)
		if n > 0 && starts[i] == starts[i-1]+1 && i-r.lanes[n-1][0] < reduceLanes {
			r.lanes[n-1][1]++
		} else {
			r.lanes = append(r.lanes, [2]int{i, i + 1})
		}
	}
}

// task combines one block of the elements of some neighbouring results.
func (r *reduction) task(i int) {
	lanes, block := r.lanes[i/r.blocks], i%r.blocks
	var local [reduceLanes]float64
	so := local[:lanes[1]-lanes[0]]
	for k := range so {
		so[k] = r.op.Start()
	}
	sums := r.op.Reduction == graph.Total || r.op.Reduction == graph.Mean
	for k := block * reduceBlock; k < min((block+1)*reduceBlock, r.count); k++ {
		at := r.starts[lanes[0]] + k
		if r.within != nil {
			at = r.starts[lanes[0]] + r.within[k]
		}
		for j := range so {
			if v := float64(r.src.get(at + j)); sums {
				so[j] += v
			} else {
				so[j] = r.op.Join(so[j], v)
			}
		}
	}
	if r.blocks > 1 {
		copy(r.partial[i*reduceLanes:], so)
		return
	}
	r.write(lanes, so)
}

// finish combines the blocks of some neighbouring results.
func (r *reduction) finish(i int) {
	lanes := r.lanes[i]
	so := r.partial[i*r.blocks*reduceLanes:][:lanes[1]-lanes[0]]
	for block := 1; block < r.blocks; block++ {
		for j, v := range r.partial[(i*r.blocks+block)*reduceLanes:][:len(so)] {
			so[j] = r.op.Join(so[j], v)
		}
	}
	r.write(lanes, so)
}

func (r *reduction) write(lanes [2]int, so []float64) {
	for j, v := range so {
		if r.op.Reduction == graph.Mean {
			v /= float64(r.count)
		}
		r.dst.set(r.ends[lanes[0]+j], float32(v))
	}
}

// extremeGrad binds the gradient of the largest or smallest element. It finds that element again,
// in the type in which x is stored.
func (b *binder) extremeGrad(op graph.ExtremeGrad, s *engine.Compute) func() {
	x, dy := s.In[0], s.In[1]
	strides := x.Layout.Strides(x.Shape)
	reduced := func(d int) bool { return slices.Contains(op.Axes, d) }
	notReduced := func(d int) bool { return !reduced(d) }
	starts, within := places(x.Shape, strides, notReduced), places(x.Shape, strides, reduced)
	from := places(dy.Shape, dy.Layout.Strides(dy.Shape), notReduced)
	src, gradient, dst := b.act(x), b.act(dy), b.act(s.Out)
	return b.rows(len(starts), func(i, _ int) {
		best, count := op.Start(), 0
		for _, at := range within {
			best = op.Join(best, float64(src.get(starts[i]+at)))
		}
		for _, at := range within {
			if op.Chosen(float64(src.get(starts[i]+at)), best) {
				count++
			}
		}
		share := float32(float64(gradient.get(from[i])) / float64(count))
		for _, at := range within {
			if op.Chosen(float64(src.get(starts[i]+at)), best) {
				dst.set(starts[i]+at, share)
			} else {
				dst.set(starts[i]+at, 0)
			}
		}
	})
}

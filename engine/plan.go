package engine

import (
	"slices"

	"github.com/residual-ml/residual/graph"
)

// align is the granularity of offsets in the arena, in words: one cache line of float32.
const align = 16

// schedule orders steps so that each comes after the steps whose results it reads. Where
// there is a choice it keeps the given order.
func schedule(steps []Step) []Step {
	writer := map[*Value]int{}
	for i, s := range steps {
		for _, v := range s.Writes() {
			if _, isAssign := s.(*Assign); !isAssign {
				writer[v] = i
			}
		}
	}
	out := make([]Step, 0, len(steps))
	state := make([]uint8, len(steps))
	var visit func(i int)
	visit = func(i int) {
		if state[i] != 0 {
			if state[i] == 1 {
				panic("engine: steps depend on each other in a circle")
			}
			return
		}
		state[i] = 1
		for _, v := range steps[i].Reads() {
			if w, ok := writer[v]; ok && w != i {
				visit(w)
			}
		}
		state[i] = 2
		out = append(out, steps[i])
	}
	for i, s := range steps {
		if _, last := s.(*Assign); !last {
			visit(i)
		}
	}
	for i := range steps { // assignments come last, since they overwrite what others read
		visit(i)
	}
	return out
}

// plan gives every temporary value a place in one arena and returns the arena's size in
// words. Values whose lifetimes do not overlap share memory. A step that may work in place
// writes to the memory of an input that no later step reads. concurrent, if it is not nil,
// selects the concurrent steps of a AsyncDevice.
func plan(steps []Step, concurrent func(Step) bool) int {
	temps := lives(steps)
	if concurrent != nil {
		outlast(steps, concurrent)
	}
	shareRows(steps)
	shareInPlace(steps)
	return place(temps)
}

// lives sets the lifetime of every temporary value, and returns these values, none of
// which shares memory yet.
func lives(steps []Step) []*Value {
	var temps []*Value
	for i, s := range steps {
		for _, v := range s.Writes() {
			if v.Place == Temporary {
				v.first, v.last, v.Alias, v.Shift = i, i, nil, 0
				temps = append(temps, v)
			}
		}
		for _, v := range s.Reads() {
			v.last = i
		}
	}
	for _, v := range temps {
		if v.Keep {
			v.last = len(steps)
		}
	}
	return temps
}

// outlast extends the lifetime of the values that a concurrent step reads and writes to
// the next concurrent step, or to the end of the program.
func outlast(steps []Step, concurrent func(Step) bool) {
	until := len(steps)
	for i, s := range slices.Backward(steps) {
		if !concurrent(s) {
			continue
		}
		for _, v := range append(s.Reads(), s.Writes()...) {
			v.last = max(v.last, until)
		}
		until = i
	}
}

// peak returns the largest number of words that the values of a program of n steps occupy
// at the same time.
func peak(temps []*Value, n int) int {
	change := make([]int, n+2)
	for _, v := range temps {
		if v.Alias == nil {
			change[v.first] += roundUp(v.Words())
			change[v.last+1] -= roundUp(v.Words())
		}
	}
	most, now := 0, 0
	for _, c := range change {
		now += c
		most = max(most, now)
	}
	return most
}

// shareRows places a row of a value in the memory of that value, so that no step has to
// copy it: the gradients of gamma and beta are rows of the result of BatchNormReduce. A
// second copy of the same row gets memory of its own, since both may be overwritten later.
// So does a row whose size is not a multiple of 16 bytes, since kernels read whole vectors.
func shareRows(steps []Step) {
	type row struct {
		of *Value
		i  int
	}
	taken := map[row]bool{}
	for _, s := range steps {
		c, ok := s.(*Compute)
		if !ok {
			continue
		}
		op, ok := c.Op.(graph.Row)
		if !ok {
			continue
		}
		in, out := c.In[0], c.Out
		if taken[row{in, op.I}] || in.Place != Temporary || out.Place != Temporary || in.Keep || in.DType != out.DType || !in.RowMajor() || out.Words()%4 != 0 {
			continue
		}
		taken[row{in, op.I}] = true
		out.Alias, out.Shift = in, op.I*out.Words()
		in.last = max(in.last, out.last)
	}
}

func shareInPlace(steps []Step) {
	for i, s := range steps {
		taken := map[*Value]bool{}
		for _, p := range s.InPlace() {
			in, out := p[0], p[1]
			root := in.Root()
			if in.Place != Temporary || out.Place != Temporary || out.Alias != nil || taken[root] ||
				root.last != i || in.Numel() != out.Numel() || in.Numel() != root.Numel() || in.DType != out.DType || readTwice(s, in, root) {
				continue
			}
			out.Alias = root
			root.last = max(root.last, out.last)
			taken[root] = true
		}
	}
}

// readTwice reports whether step s reads root's memory through more than one value.
func readTwice(s Step, in, root *Value) bool {
	seen := 0
	for _, v := range s.Reads() {
		if v.Root() == root {
			seen++
		}
	}
	return seen > 1
}

// place assigns offsets to values, the largest first, each at the lowest offset that is
// free during the value's lifetime. It returns the size of the arena in words.
func place(temps []*Value) int {
	var roots []*Value
	for _, v := range temps {
		if v.Alias == nil {
			roots = append(roots, v)
		}
	}
	slices.SortStableFunc(roots, func(a, b *Value) int { return b.Words() - a.Words() })
	var placed []*Value
	total := 0
	for _, v := range roots {
		size := roundUp(v.Words())
		off := 0
		for _, p := range placed { // sorted by offset
			if p.last < v.first || v.last < p.first {
				continue
			}
			if p.Offset >= off+size {
				break
			}
			off = max(off, p.Offset+roundUp(p.Words()))
		}
		v.Offset = off
		total = max(total, off+size)
		at, _ := slices.BinarySearchFunc(placed, v, func(a, b *Value) int { return a.Offset - b.Offset })
		placed = slices.Insert(placed, at, v)
	}
	return total
}

func roundUp(n int) int { return (max(n, 1) + align - 1) / align * align }

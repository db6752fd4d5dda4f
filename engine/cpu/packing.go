package cpu

import (
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/graph"
)

const (
	chunkRows   = 448       // rows that one task computes: 57 KiB of a 32-wide panel
	panelBudget = 400 << 10 // bytes of packed weights that one task reads

	// The processor prefetches residuals that are read in long stretches, not in columns
	// as wide as a panel. So with a residual the epilogue finishes several panels at once,
	// and a chunk has so few rows that all of these are still in the cache.
	joinedRows   = 192
	joinedPanels = 16
)

func clearColumns(x []float32, rows, n, ld int) {
	for r := range rows {
		clear(x[r*ld : r*ld+n])
	}
}

// weights says which weights a product packs and how.
type weights struct {
	value *engine.Value
	fill  packer
	// fetch prefetches the weights of a tap that fill reads.
	fetch func(t, q, from, until int)
	// backward says that they are packed for the gradient of the input.
	backward bool
	bf16     bool
	patches  bool
	round    *graph.FakeQuantize // rounds them to integers; may be nil
	strips   bool
}

// packKey identifies packed weights by their variable, the direction, the algorithm and
// the width of a panel.
type packKey struct {
	variable *engine.Value
	backward bool
	bf16     bool // rounded to bfloat16
	patches  bool // all taps of a filter as one sum
	strips   bool // all taps of a row of a filter as one
	tiling   int  // m of Winograd's tiling, or 0
	cols     int
	scale    *float32 // the first scale of weights rounded to integers, or nil
}

// packedWeights are the packed weights of one variable, which all static programs of
// a store share.
type packedWeights struct {
	data    memory
	version uint64
	done    bool
}

// packing reserves n elements for packed weights. It returns a function that gives
// them and a function that fills them by calling pack in parallel tasks. A program
// without updates packs a variable again only when the store's version has changed.
func (b *binder) packing(w weights, tiling, n, tasks int, pack func(packed memory, task, thread int)) (packed func() memory, prepare func()) {
	if !b.keeps(w.value) {
		packed = b.borrow(n)
		work := func(i, thread int) { pack(packed(), i, thread) }
		return packed, func() { b.pool.runOn(tasks, work) }
	}
	key := packKey{w.value, w.backward, w.bf16, w.patches, w.strips, tiling, b.set.Cols, nil}
	if w.round != nil {
		key.scale = &w.round.Scale[0]
	}
	kept := b.Derived
	if b.fixed.own[w.value] != nil {
		kept = b.fixed.packed
	}
	own, ok := kept[key].(*packedWeights)
	if !ok {
		own = &packedWeights{data: alloc(n)}
		kept[key] = own
		b.private += n
	}
	work := func(i, thread int) { pack(own.data, i, thread) }
	packed = func() memory { return own.data }
	return packed, func() {
		if !own.done || own.version != *b.Version {
			b.pool.runOn(tasks, work)
			own.done, own.version = true, *b.Version
		}
	}
}

// keeps reports whether packed weights are kept from one run to the next. Otherwise they are
// at the beginning of the scratch that the step borrows.
func (b *binder) keeps(weight *engine.Value) bool {
	return b.Static && (weight.Place == engine.Persistent || b.fixed.own[weight] != nil)
}

// packer writes the weights of all taps, for channels from <= c < until of the source, to
// panel q of group g.
type packer func(panel []float32, g, q, from, until int)

// forward packs weights [taps][k][groups*n] for a convolution.
func (b *binder) forward(value *engine.Value, groups, taps, k, n int) weights {
	cols, out, weight := b.set.Cols, groups*n, b.mem(value)
	return weights{value: value, fill: func(panel []float32, g, q, from, until int) {
		for t := range taps {
			b.set.Pack(panel[t*(until-from)*cols:], weight[(t*k+from)*out+g*n+q*cols:], until-from, min(cols, n-q*cols), out, cols)
		}
	}, fetch: func(t, q, from, until int) {
		b.fetchFloats(weight[(t*k+from)*out+q*cols:], until-from, min(cols, n-q*cols), out)
	}}
}

// backward packs weights [taps][n][groups*k] for the gradient of the input.
func (b *binder) backward(value *engine.Value, groups, taps, k, n int) weights {
	cols, out, weight := b.set.Cols, groups*k, b.mem(value)
	return weights{value: value, backward: true, fill: func(panel []float32, g, q, from, until int) {
		for t := range taps {
			b.set.PackTransposed(panel[t*(until-from)*cols:], weight[(t*n+q*cols)*out+g*k+from:], min(cols, n-q*cols), until-from, out, cols)
		}
	}, fetch: func(t, q, from, until int) {
		b.fetchFloats(weight[(t*n+q*cols)*out+from:], min(cols, n-q*cols), until-from, out)
	}}
}

// fetchFloats prefetches rows of n elements, which begin ld elements apart.
func (b *binder) fetchFloats(x memory, rows, n, ld int) {
	for at := 0; at < n; at += lineLanes {
		b.set.Int16.Tiles.Fetch(x[at:].bf16(), rows, 2*ld)
	}
}

// inOrder returns a function that calls its arguments in order, except for nil ones.
func inOrder(fs ...func()) func() {
	var some []func()
	for _, f := range fs {
		if f != nil {
			some = append(some, f)
		}
	}
	return func() {
		for _, f := range some {
			f()
		}
	}
}

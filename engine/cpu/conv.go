package cpu

import (
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu/kernel"
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

// product computes a convolution, or the gradient of its input, as a sum of matrix
// products over the taps of the filter.
type product struct {
	set    *kernel.Set
	groups int
	k      int // source channels of a group: the length of a tap's sum
	n      int // destination channels of a group
	taps   int
	chunks []chunk
	src    memory
	dst    memory
	after  *epilogue // what is fused behind the product, or nil

	panels   int  // per group
	together int  // panels that one task computes
	joined   bool // the epilogue finishes those panels at once
	each     int  // chunks that one task computes
	packed   func() memory
	base     bool // add to the contents of dst
	streamed int  // taps in a row of the filter where [product.stream] is used, else 0

	work func(int)
}

func (p *product) tapSize() int   { return p.k * p.set.Cols }
func (p *product) panelSize() int { return p.taps * p.tapSize() }

// divide divides the runs of a destination of that many images into chunks and tasks.
func (p *product) divide(runs []run, images int) {
	p.panels = ceil(p.n, p.set.Cols)
	p.together = min(p.panels, max(1, panelBudget/(4*p.panelSize())))
	p.each = 1
	rows := chunkRows
	if p.after != nil && p.after.residual.full != nil && images > 1 {
		p.joined, p.together = true, min(p.together, joinedPanels)
		rows = joinedRows
	}
	p.chunks = chunks(runs, images, p.groups*p.k, p.tapSize(), rows)
	p.work = p.task
}

// balance gives a task as many chunks as leave about four tasks for every thread. With
// few rows, reading the weights from memory is most of the work, and more chunks a task
// read them less often.
func (p *product) balance(threads int) {
	p.together = ceil(p.panels, ceil(p.panels, p.together)) // sets of about one size
	p.each = max(1, len(p.chunks)*p.groups*ceil(p.panels, p.together)/(4*threads))
	p.each = min(p.each, len(p.chunks))
}

func (p *product) tasks() int {
	return p.groups * ceil(p.panels, p.together) * ceil(len(p.chunks), p.each)
}

// task computes some chunks of rows for as many panels as fit the cache. Consecutive
// tasks use the same panels, so that a thread finds them in its own cache.
func (p *product) task(i int) {
	parts, sets := ceil(len(p.chunks), p.each), ceil(p.panels, p.together)
	g, first := i/parts/sets, i/parts%sets*p.together
	from := i % parts * p.each
	if p.joined {
		last := min(first+p.together, p.panels)
		for at := from; at < min(from+p.each, len(p.chunks)); at++ {
			for q := first; q < last; q++ {
				p.multiply(at, g, q)
			}
			c := &p.chunks[at]
			lo, hi := first*p.set.Cols, min(p.n, last*p.set.Cols)
			p.after.apply(at, c.row, c.rows, g*p.n+lo, hi-lo)
		}
		return
	}
	for q := first; q < min(first+p.together, p.panels); q++ {
		for at := from; at < min(from+p.each, len(p.chunks)); at++ {
			p.multiply(at, g, q)
		}
	}
}

// multiply computes the columns of panel q of group g of one chunk.
func (p *product) multiply(at, g, q int) {
	c := &p.chunks[at]
	dstC := p.groups * p.n
	lo, n := g*p.n+q*p.set.Cols, min(p.set.Cols, p.n-q*p.set.Cols)
	dst := p.dst[c.row*dstC+lo:]
	switch {
	case len(c.segs) > 0:
		k, aks := p.k, 1
		if c.joined.taps > 0 {
			k, aks = c.joined.taps, c.joined.step
		}
		p.set.Gemm(dst, dstC, p.src[c.source+g*p.k:], c.ars, aks,
			p.packed()[(g*p.panels+q)*p.panelSize():], p.set.Cols, c.segs, k, c.rows, n, p.base)
	case !p.base:
		clearColumns(dst, c.rows, n, dstC)
	}
	if p.after != nil && !p.joined {
		p.after.apply(at, c.row, c.rows, lo, n)
	}
}

func clearColumns(x []float32, rows, n, ld int) {
	for r := range rows {
		clear(x[r*ld : r*ld+n])
	}
}

// product binds p, which divide has divided, with the weights w.
func (b *binder) product(p *product, w weights) func() {
	if p.k == 1 && p.streamed == 0 {
		for i := range p.chunks {
			p.chunks[i].joinTaps(p.tapSize())
		}
	}
	if p.after != nil && p.after.stats != nil {
		rows := make([]int, len(p.chunks))
		for i, c := range p.chunks {
			rows[i] = c.rows
		}
		b.initMoments(p.after.stats, rows, false)
	}
	size := p.panelSize()
	panels := p.groups * p.panels
	var prepare func()
	p.packed, prepare = b.packing(w, 0, panels*size, panels, func(packed memory, i int) {
		w.fill(packed[i*size:(i+1)*size], i/p.panels, i%p.panels)
	})
	tasks := p.tasks()
	return inOrder(prepare, func() { b.pool.run(tasks, p.work) })
}

// weights says which weights a product packs and how.
type weights struct {
	value *engine.Value
	fill  packer
	// backward says that they are packed for the gradient of the input.
	backward bool
	bf16     bool
	patches  bool
}

// packKey identifies packed weights by their variable, the direction, the algorithm and
// the width of a panel.
type packKey struct {
	variable *engine.Value
	backward bool
	bf16     bool // rounded to bfloat16
	patches  bool // all taps of a filter as one sum
	tiling   int  // m of Winograd's tiling, or 0
	cols     int
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
func (b *binder) packing(w weights, tiling, n, tasks int, pack func(packed memory, task int)) (packed func() memory, prepare func()) {
	if !b.Static || w.value.Place != engine.Persistent {
		packed = b.borrow(n)
		work := func(i int) { pack(packed(), i) }
		return packed, func() { b.pool.run(tasks, work) }
	}
	key := packKey{w.value, w.backward, w.bf16, w.patches, tiling, b.set.Cols}
	own, ok := b.Derived[key].(*packedWeights)
	if !ok {
		own = &packedWeights{data: alloc(n)}
		b.Derived[key] = own
		b.private += n
	}
	work := func(i int) { pack(own.data, i) }
	packed = func() memory { return own.data }
	return packed, func() {
		if !own.done || own.version != *b.Version {
			b.pool.run(tasks, work)
			own.done, own.version = true, *b.Version
		}
	}
}

// packer writes the weights of all taps to panel q of group g.
type packer func(panel []float32, g, q int)

// forward packs weights [taps][k][groups*n] for a convolution.
func (b *binder) forward(value *engine.Value, groups, taps, k, n int) weights {
	cols, out, weight := b.set.Cols, groups*n, b.mem(value)
	return weights{value: value, fill: func(panel []float32, g, q int) {
		for t := range taps {
			b.set.Pack(panel[t*k*cols:], weight[t*k*out+g*n+q*cols:], k, min(cols, n-q*cols), out, cols)
		}
	}}
}

// backward packs weights [taps][n][groups*k] for the gradient of the input.
func (b *binder) backward(value *engine.Value, groups, taps, k, n int) weights {
	cols, out, weight := b.set.Cols, groups*k, b.mem(value)
	return weights{value: value, backward: true, fill: func(panel []float32, g, q int) {
		for t := range taps {
			b.set.PackTransposed(panel[t*k*cols:], weight[(t*n+q*cols)*out+g*k:], min(cols, n-q*cols), k, out, cols)
		}
	}}
}

// conv binds a convolution and what is fused behind it.
func (b *binder) conv(s *engine.Conv) func() {
	if isDepthwise(s.Window, s.X, s.Y) {
		return b.depthwiseConv(s)
	}
	if isBF16(s.X) {
		return b.convBF16(s)
	}
	n, cin, h, w := s.X.Dims()
	_, cout, oh, ow := s.Y.Dims()
	src, dst := imageBatch{h, w, n, cin, b.mem(s.X)}, imageBatch{oh, ow, n, cout, b.mem(s.Y)}
	taps := s.KH * s.KW
	weight := b.forward(s.W, s.Groups, taps, cin/s.Groups, cout/s.Groups)
	after, prepare, finish := b.epilogue(s, cout)
	runs := gather(oh, ow, n, func(y, x int) []tap { return forwardTaps(s.Window, h, w, y, x) })
	images := n
	if b.Static {
		images = inferenceImages
	}
	var compute func()
	if f, ok := b.tiling(s.Window, images, cin, cout, oh, ow, runs); ok {
		compute = b.winograd(f, src, dst, s.PadH, s.PadW, nil, after, weight)
	} else {
		p := &product{set: b.set, groups: s.Groups, k: cin / s.Groups, n: cout / s.Groups, taps: taps, src: src.data, dst: dst.data, after: after}
		p.divide(runs, n)
		frame := b.lines(p, s)
		compute = inOrder(frame, b.product(p, weight))
	}
	return inOrder(prepare, compute, finish)
}

// convGradInput binds the gradient of a convolution's input. It is the same sum with
// the input and output channels exchanged and the taps reversed.
func (b *binder) convGradInput(s *engine.ConvGradInput) func() {
	if isDepthwise(s.Window, s.DX, s.DY) {
		return b.depthwiseGradInput(s)
	}
	if isBF16(s.DY) {
		return b.convGradInputBF16(s)
	}
	n, cin, h, w := s.DX.Dims()
	_, cout, oh, ow := s.DY.Dims()
	src, dst := imageBatch{oh, ow, n, cout, b.mem(s.DY)}, imageBatch{h, w, n, cin, b.mem(s.DX)}
	taps := s.KH * s.KW
	weight := b.backward(s.W, s.Groups, taps, cout/s.Groups, cin/s.Groups)
	runs := gather(h, w, n, func(y, x int) []tap { return backwardTaps(s.Window, oh, ow, y, x) })
	if f, ok := b.tiling(s.Window, n, cin, cout, h, w, runs); ok {
		return b.winograd(f, src, dst, 2-s.PadH, 2-s.PadW, b.mem(s.Base), nil, weight)
	}
	p := &product{set: b.set, groups: s.Groups, k: cout / s.Groups, n: cin / s.Groups, taps: taps, src: src.data, dst: dst.data, base: s.Base != nil}
	p.divide(runs, n)
	compute := b.product(p, weight)
	if s.Base == nil {
		return compute
	}
	return inOrder(b.copy(p.dst, b.mem(s.Base)), compute)
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

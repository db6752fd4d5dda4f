package cpu

import "github.com/residual-ml/residual/engine/cpu/kernel"

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
	p.packed, prepare = b.packing(w, 0, panels*size, panels, func(packed memory, i, _ int) {
		w.fill(packed[i*size:(i+1)*size], i/p.panels, i%p.panels, 0, p.k)
	})
	tasks := p.tasks()
	return inOrder(prepare, func() { b.pool.run(tasks, p.work) })
}

package cpu

import (
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu/kernel"
	"github.com/residual-ml/residual/tensor"
)

// divide divides the runs of a destination of that many images into chunks and tasks.
func (b *binder) divide(p *bf16Product, runs []run, images int) {
	p.set, p.bf16, p.areas, p.threads = b.set, &b.set.BF16, b.areas, b.pool.threads
	depth := p.bf16.Depth
	p.patches = p.k%2 == 1 || p.k < depth/2 && p.taps > 1
	p.sum = p.k
	most, block := chunkRows, p.bf16.Cols
	if p.patches {
		p.sum = ceil(p.taps*p.k, depth) * depth
		block += p.sum / 2
		most = max(p.bf16.Rows, min(most, (192<<10)/(2*p.sum)))
	}
	p.panels = ceil(p.n, p.bf16.Cols)
	p.together = min(p.panels, max(1, panelBudget/(2*p.panelSize())))
	if len(runs) == 1 && p.rounds() && !p.patches {
		rows := runs[0].count * images
		most = p.cut(rows, rows*p.groups*p.k*p.taps)
	}
	p.chunks = chunks(runs, images, p.groups*p.k, p.tapSize(), most)
	if p.patches {
		for i := range p.chunks {
			p.offs = append(p.offs, p.offsets(&p.chunks[i]))
		}
	}
	if p.reduces {
		p.part()
	}
	p.areas.need(most*block + columnSums*p.bf16.Cols)
	p.work = p.task
}

// offsets returns, for every tap, where its patches begin in the source, or -1.
func (p *bf16Product) offsets(c *chunk) []int {
	offs := make([]int, p.taps)
	for t := range offs {
		offs[t] = -1
	}
	for _, s := range c.segs {
		offs[s.B] = s.A
	}
	return offs
}

// task computes one chunk of rows for as many panels as fit the cache.
func (p *bf16Product) task(i, thread int) {
	area := p.areas.of(thread)
	at := i % len(p.chunks)
	c := &p.chunks[at]
	sets := ceil(p.panels, p.together)
	g, first := i/len(p.chunks)/sets, i/len(p.chunks)%sets*p.together
	a, ars, segs := p.src[c.source+g*p.k:], c.ars, c.segs
	if p.patches && len(segs) > 0 {
		gathered := area[c.rows*p.bf16.Cols:].bf16()
		p.bf16.Patches(gathered, a, p.offs[at], c.rows, p.k, c.ars, p.sum)
		a, ars, segs = gathered, p.sum, oneSeg
	}
	packed, size := p.packed().bf16(), p.panelSize()
	last := min(first+p.together, p.panels)
	f := p.fetches(at, len(segs), last-first)
	for q := first; q < last; q++ {
		lo, n := g*p.n+q*p.bf16.Cols, min(p.bf16.Cols, p.n-q*p.bf16.Cols)
		panel := packed[(g*p.panels+q)*size:]
		if p.dst.full != nil {
			p.direct(at, lo, n, a, ars, panel, segs)
			continue
		}
		if p.lines == nil && len(segs) > 0 && p.rounds() && p.fits(n) {
			p.inRegisters(at, lo, n, a, ars, panel, segs, &f, area)
			continue
		}
		block := area[:c.rows*p.bf16.Cols]
		if len(segs) == 0 {
			clear(block)
		} else {
			p.multiply(block, a, ars, panel, segs, at, lo, n, &f)
		}
		p.finish(block, at, lo, n)
		if p.reduce != nil && len(segs) > 0 {
			p.reduce.take(at, c.row, c.rows, lo, n)
		}
	}
	if p.reduce != nil && len(segs) == 0 { // for all panels at once, since processors prefetch long stretches of rows
		lo := first * p.bf16.Cols
		p.reduce.take(at, c.row, c.rows, g*p.n+lo, min(p.n, last*p.bf16.Cols)-lo)
	}
}

// multiply computes n columns of a chunk, from lo on, into a block of float32.
func (p *bf16Product) multiply(block []float32, a []uint16, ars int, panel []uint16, segs []kernel.Seg, at, lo, n int, f *bf16Fetches) {
	c, ld, channels := &p.chunks[at], p.bf16.Cols, p.groups*p.n
	if f.early > 0 {
		p.bf16.DotFetch(block, ld, a, ars, panel, segs, p.sum, f.early, n, false, p.dst.bf16[c.row*channels+lo:], 2*channels)
	}
	if remaining := c.rows - f.early; remaining > 0 {
		from, pace := f.next.take(f.steps)
		p.bf16.DotFetch(block[f.early*ld:], ld, a[f.early*ars:], ars, panel, segs, p.sum, remaining, n, false, from, pace)
	}
}

// fetches chooses what is prefetched while a chunk is multiplied by some panels: the
// cache lines of each panel's result, if there are about as many as steps in some blocks
// of rows, and the inputs of the last tap of the chunk that this thread probably
// computes next, which no earlier tap has read.
func (p *bf16Product) fetches(at, segs, panels int) (f bf16Fetches) {
	c := &p.chunks[at]
	block := segs * p.sum / 2 // steps in a block of rows
	if !p.bf16.Fetches || block == 0 {
		return f
	}
	if blocks := ceil(c.rows, block); p.dst.bf16 != nil && p.lines == nil && !p.rounds() && blocks*block <= c.rows*5/4 {
		f.early = min(c.rows, blocks*p.bf16.Rows)
	}
	f.steps = block * ceil(c.rows-f.early, p.bf16.Rows)
	if at++; at < len(p.chunks) && !p.patches && len(p.chunks[at].segs) > 0 {
		c := &p.chunks[at]
		from := c.source + c.segs[len(c.segs)-1].A
		f.next = bf16Prefetch{x: p.src[from:min(len(p.src), from+c.rows*c.ars)], steps: f.steps * panels}
	}
	return f
}

// direct computes n columns of a chunk, from lo on, directly in a float32 destination.
func (p *bf16Product) direct(at, lo, n int, a []uint16, ars int, panel []uint16, segs []kernel.Seg) {
	c, channels := &p.chunks[at], p.groups*p.n
	dst := p.dst.full[c.row*channels+lo:]
	switch {
	case len(segs) > 0:
		p.bf16.Dot(dst, channels, a, ars, panel, segs, p.sum, c.rows, n, p.base.full != nil)
	case p.base.full == nil:
		clearColumns(dst, c.rows, n, channels)
	}
	if p.after != nil {
		p.after.apply(at, c.row, c.rows, lo, n)
	}
}

// finish rounds a block of sums into the destination.
func (p *bf16Product) finish(block []float32, at, lo, n int) {
	c, ld := &p.chunks[at], p.bf16.Cols
	if p.lines == nil {
		p.round(block, at, c.row, c.rows, lo, n)
		return
	}
	for i := 0; i*p.lines.distance < c.rows; i++ {
		p.round(block[i*p.lines.distance*ld:], at, c.row+i*p.lines.line, p.lines.line, lo, n)
	}
}

func (p *bf16Product) round(block []float32, at, row, rows, lo, n int) {
	channels, ld := p.groups*p.n, p.bf16.Cols
	if p.after != nil {
		p.after.finish(block, ld, at, row, rows, lo, n)
		return
	}
	to := row*channels + lo
	p.bf16.Finish(p.dst.bf16[to:], channels, block, ld, nil, nil, p.base.at(to).bf16, false, rows, n)
}

// bf16Product binds p, which divide has divided.
func (b *binder) bf16Product(p *bf16Product, weight *engine.Value, backward bool) func() {
	if p.after != nil && p.after.stats != nil {
		rows := make([]int, len(p.chunks))
		for i, c := range p.chunks {
			rows[i] = c.rows
		}
		if p.strips != nil {
			rows = p.strips.rowsOfTasks()
		}
		b.initMoments(p.after.stats, rows, false)
	}
	w := weights{value: weight, backward: backward, bf16: true, patches: p.patches, strips: p.strips != nil}
	fill := p.packForward
	switch {
	case p.strips != nil:
		fill = p.packStrips
	case backward:
		fill = p.packBackward
	}
	values, size, panels := b.mem(weight), p.panelSize(), p.groups*p.panels
	var prepare func()
	p.packed, prepare = b.packing(w, 0, panels*size/2, panels, func(packed memory, i, _ int) {
		fill(packed.bf16()[i*size:(i+1)*size], values, i/p.panels, i%p.panels)
	})
	tasks := p.tasks()
	return inOrder(prepare, func() { b.pool.runOn(tasks, p.work) })
}

// packForward writes panel q of group g from weights [taps][k][groups*n].
func (p *bf16Product) packForward(panel []uint16, weight memory, g, q int) {
	cols, out := p.bf16.Cols, p.groups*p.n
	columns, n := g*p.n+q*cols, min(cols, p.n-q*cols)
	if p.patches {
		rows := p.taps * p.k
		p.bf16.PackPairsFloat(panel, weight[columns:], rows, n, out, cols)
		clear(panel[ceil(rows, 2)*2*cols:])
		return
	}
	for t := range p.taps {
		p.bf16.PackPairsFloat(panel[t*p.k*cols:], weight[t*p.k*out+columns:], p.k, n, out, cols)
	}
}

// packBackward writes panel q of group g from weights [taps][n][groups*k], for the
// gradient of the input.
func (p *bf16Product) packBackward(panel []uint16, weight memory, g, q int) {
	cols, out := p.bf16.Cols, p.groups*p.k
	rows := min(cols, p.n-q*cols)
	if !p.patches {
		for t := range p.taps {
			p.bf16.PackPairsTransposed(panel[t*p.k*cols:], weight[(t*p.n+q*cols)*out+g*p.k:], rows, p.k, out, cols)
		}
		return
	}
	clear(panel)
	for t := range p.taps {
		for j := range rows {
			for i, v := range weight[(t*p.n+q*cols+j)*out+g*p.k:][:p.k] {
				term := t*p.k + i
				panel[term/2*2*cols+2*j+term%2] = tensor.ToBFloat16(v)
			}
		}
	}
}

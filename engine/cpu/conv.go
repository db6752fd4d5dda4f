package cpu

import (
	"math"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu/kernel"
)

const (
	chunkRows   = 448       // rows that one task works on: 57 KiB of a 32-wide panel
	panelBudget = 400 << 10 // bytes of packed weights that one task goes through
)

// product is a sum of matrix products over taps, destination pixel by
// destination pixel: a convolution, or the gradient of its input.
type product struct {
	set    *kernel.Set
	pool   *pool
	groups int
	k      int // source channels of a group: the length of a tap's sum
	n      int // destination channels of a group
	taps   int
	chunks []chunk
	src    memory
	dst    memory
	after  func(c *chunk, at, lo, n int) // what to do to columns lo..lo+n of chunk number at, still cached

	panels   int // per group
	together int // panels that one task goes through
	packed   func() memory
	base     bool // add to what dst holds

	work, pack func(int)
}

func (p *product) panelSize() int { return p.taps * p.k * p.set.Cols }

// init chooses the division of the work.
func (p *product) init() {
	p.panels = (p.n + p.set.Cols - 1) / p.set.Cols
	p.together = min(p.panels, max(1, panelBudget/(4*p.panelSize())))
	p.work = p.task
}

func (p *product) packedElements() int { return p.groups * p.panels * p.panelSize() }

func (p *product) tasks() int {
	return p.groups * ((p.panels + p.together - 1) / p.together) * len(p.chunks)
}

// task works on one chunk of rows and as many panels as fit the cache. Chunks
// follow each other, so that a thread finds its panels in its own cache.
func (p *product) task(i int) {
	c := &p.chunks[i%len(p.chunks)]
	sets := (p.panels + p.together - 1) / p.together
	g, first := i/len(p.chunks)/sets, i/len(p.chunks)%sets*p.together
	dstC, size := p.groups*p.n, p.panelSize()
	packed := p.packed()
	for q := first; q < min(first+p.together, p.panels); q++ {
		lo, n := g*p.n+q*p.set.Cols, min(p.set.Cols, p.n-q*p.set.Cols)
		dst := p.dst[c.row*dstC+lo:]
		switch {
		case len(c.segs) > 0:
			p.set.Gemm(dst, dstC, p.src[c.source+g*p.k:], c.ars, 1,
				packed[(g*p.panels+q)*size:], p.set.Cols, c.segs, p.k, c.rows, n, p.base)
		case !p.base:
			clearColumns(dst, c.rows, n, dstC)
		}
		if p.after != nil {
			p.after(c, i%len(p.chunks), lo, n)
		}
	}
}

func clearColumns(x []float32, rows, n, ld int) {
	for r := range rows {
		clear(x[r*ld : r*ld+n])
	}
}

// packing returns how to get packed weights and the function that packs them.
// A program without updates keeps them until the store's version changes.
func (b *binder) packing(p *product, pack func(dst memory, g, q int)) func() {
	n := p.packedElements()
	tasks := p.groups * p.panels
	p.pack = func(i int) { pack(p.packed()[i*p.panelSize():], i/p.panels, i%p.panels) }
	if !b.Static {
		p.packed = b.borrow(n)
		return func() { b.pool.run(tasks, p.pack) }
	}
	own := alloc(n)
	b.private += n
	p.packed = func() memory { return own }
	version, packed := b.Version, false
	var at uint64
	return func() {
		if !packed || at != *version {
			b.pool.run(tasks, p.pack)
			packed, at = true, *version
		}
	}
}

// conv binds a convolution and what is fused behind it.
func (b *binder) conv(s *engine.Conv) func() {
	n, cin, h, w := s.X.Dims()
	_, cout, oh, ow := s.Y.Dims()
	p := &product{
		set: b.set, pool: b.pool, groups: s.Groups, k: cin / s.Groups, n: cout / s.Groups,
		taps: s.KH * s.KW, src: b.mem(s.X), dst: b.mem(s.Y),
	}
	p.init()
	runs := gather(oh, ow, n, func(y, x int) []tap { return forwardTaps(s.Window, h, w, y, x) })
	p.chunks = chunks(runs, n, cin, p.k*p.set.Cols, chunkRows)
	weight := b.mem(s.W)
	pack := b.packing(p, func(dst memory, g, q int) {
		lo := q * p.set.Cols
		for t := range p.taps {
			b.set.Pack(dst[t*p.k*p.set.Cols:], weight[t*p.k*cout+g*p.n+lo:], p.k, min(p.set.Cols, p.n-lo), cout, p.set.Cols)
		}
	})
	prepare, finish := b.epilogue(s, p, cout)
	tasks := p.tasks()
	return func() {
		pack()
		if prepare != nil {
			prepare()
		}
		p.pool.run(tasks, p.work)
		if finish != nil {
			finish()
		}
	}
}

// epilogue sets what a convolution does to each piece of its output; it returns
// what has to be done before and after the convolution.
func (b *binder) epilogue(s *engine.Conv, p *product, channels int) (prepare, finish func()) {
	var scale, shift memory
	if s.Bias != nil {
		shift = b.mem(s.Bias)
	}
	if s.Norm != nil {
		scale, shift = alloc(channels), alloc(channels)
		b.private += 2 * channels
		prepare = b.affine(s.Norm, s.Bias, scale, shift)
	}
	affine := s.Bias != nil || s.Norm != nil || s.Residual != nil || s.ReLU
	var part *moments
	if s.Stats != nil {
		part = newMoments(len(p.chunks), channels)
		b.private += part.elements()
		for i, c := range p.chunks {
			part.rows[i] = c.rows
		}
		stats := b.mem(s.Stats)
		finish = func() { part.combine(stats) }
	}
	if !affine && part == nil {
		return nil, nil
	}
	residual, relu, y := b.mem(s.Residual), s.ReLU, p.dst
	p.after = func(c *chunk, at, lo, n int) {
		block := y[c.row*channels+lo:]
		if affine {
			b.set.ScaleShift(block, block, from(scale, lo), from(shift, lo), from(residual, c.row*channels+lo), relu, c.rows, n, channels)
		}
		if part != nil {
			o := at*channels + lo
			b.set.MeanM2(part.mean[o:o+n], part.m2[o:o+n], block, c.rows, n, channels)
		}
	}
	return prepare, finish
}

// from returns m from element i on; nil stays nil.
func from(m memory, i int) []float32 {
	if m == nil {
		return nil
	}
	return m[i:]
}

// affine returns a function that turns a batch norm with known statistics, and
// a bias before it, into scale and shift: y = x*scale + shift.
func (b *binder) affine(norm *engine.Norm, bias *engine.Value, scale, shift memory) func() {
	stats, gamma, beta, bs := b.mem(norm.Stats), b.mem(norm.Gamma), b.mem(norm.Beta), b.mem(bias)
	eps := norm.Eps
	return func() {
		c := len(scale)
		for i := range c {
			k := float64(gamma[i]) / math.Sqrt(float64(stats[c+i])+eps)
			m := float64(stats[i])
			if bs != nil {
				m -= float64(bs[i])
			}
			scale[i] = float32(k)
			shift[i] = float32(float64(beta[i]) - float64(m*k))
		}
	}
}

// convGradInput binds the gradient of a convolution's input: the same product
// with the roles of channels and of taps turned round.
func (b *binder) convGradInput(s *engine.ConvGradInput) func() {
	n, cin, h, w := s.DX.Dims()
	_, cout, oh, ow := s.DY.Dims()
	p := &product{
		set: b.set, pool: b.pool, groups: s.Groups, k: cout / s.Groups, n: cin / s.Groups,
		taps: s.KH * s.KW, src: b.mem(s.DY), dst: b.mem(s.DX), base: s.Base != nil,
	}
	p.init()
	runs := gather(h, w, n, func(y, x int) []tap { return backwardTaps(s.Window, oh, ow, y, x) })
	p.chunks = chunks(runs, n, cout, p.k*p.set.Cols, chunkRows)
	weight := b.mem(s.W)
	pack := b.packing(p, func(dst memory, g, q int) {
		lo := q * p.set.Cols
		for t := range p.taps {
			b.set.PackTransposed(dst[t*p.k*p.set.Cols:], weight[(t*p.n+lo)*cout+g*p.k:], min(p.set.Cols, p.n-lo), p.k, cout, p.set.Cols)
		}
	})
	var before func()
	if s.Base != nil {
		before = b.copy(p.dst, b.mem(s.Base))
	}
	tasks := p.tasks()
	return func() {
		if before != nil {
			before()
		}
		pack()
		p.pool.run(tasks, p.work)
	}
}

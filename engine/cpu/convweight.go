package cpu

import (
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu/kernel"
)

// weightRows is about how many rows (pixels times batch) of activations and gradients
// are multiplied before the next tap, so that a register block of each factor stays in
// the first-level cache. weightInputs and weightPanels are the most input channels and
// panels of output channels of one task, so that they stay in the second-level cache.
const (
	weightRows   = 192
	weightInputs = 256
	weightPanels = 16
)

// Few channels make few tasks, each of which would read everything. The image is then
// divided into parts, whose sums are added at the end. The number of parts must not
// depend on the number of threads, for it decides the order of the sums.
const (
	weightTasks = 32      // tasks to aim for
	weightSums  = 1 << 20 // elements that the parts' sums may take
)

// weightCall is one matrix product of the weight gradient: a sum over the pixels of
// segs and over the batch, which is added to the gradient of rows filter elements,
// from element on.
type weightCall struct {
	element, rows int // where rows > 1, they are neighbouring columns of the filter
	first         bool
	segs          []kernel.Seg
}

// weightPlan divides the sums of a weight gradient over the image into products.
type weightPlan struct {
	win   engine.Window
	batch int
	byTap bool // neighbouring taps, not input channels, are the rows of a product
}

// weightPart is the products of a part of the image.
type weightPart struct {
	calls []weightCall // in the order of pixels
	empty []int        // taps to set to zero before the products
}

// gradWeight computes the gradient of a convolution's weight in float32. The rows of a
// register block are input channels of one tap, its columns a panel of output channels.
// For inputs with few channels the rows are neighbouring taps instead.
type gradWeight struct {
	weightPlan
	set            *kernel.Set
	cin, cout      int // of one group
	x, dy          memory
	parts          []weightPart
	sums           *partSums
	blocks, panels int
	together       [2]int // blocks and panels of one task
	packed         bool   // factors are copied before they are multiplied; see packs
	areas          *areas // memory for the copies
}

// count returns the number of parts into which the image is divided.
func (g *gradWeight) count(weights, pixels int) int {
	tasks := g.win.Groups * ceil(g.cin, weightInputs) * ceil(g.cout, 16*weightPanels)
	return max(1, min(ceil(weightTasks, tasks), pixels*g.batch/(4*weightRows), 1+weightSums/weights, pixels))
}

// part lists the products of the pixels from lo to hi, piece by piece. x and dy are the
// numbers of elements of one pixel of the inputs and of the gradients.
func (v weightPlan) part(h, w, ow, x, dy, lo, hi int) (p weightPart) {
	seen := make([]bool, v.win.KH*v.win.KW)
	step := max(1, weightRows/v.batch)
	for ; lo < hi; lo += step {
		at := map[[2]int]int{} // (filter element, rows) → call of this piece
		start := len(p.calls)
		for pixel := lo; pixel < min(lo+step, hi); pixel++ {
			taps := forwardTaps(v.win, h, w, pixel/ow, pixel%ow)
			for i := 0; i < len(taps); {
				rows := 1
				for v.byTap && i+rows < len(taps) && taps[i+rows].index/v.win.KW == taps[i].index/v.win.KW {
					rows++
				}
				k := [2]int{taps[i].index, rows}
				c, ok := at[k]
				if !ok {
					c = len(p.calls)
					at[k] = c
					p.calls = append(p.calls, weightCall{element: k[0], rows: rows})
				}
				p.calls[c].segs = append(p.calls[c].segs, kernel.Seg{
					A: taps[i].source * x,
					B: pixel * dy,
				})
				i += rows
			}
		}
		v.markFirst(p.calls[start:], seen)
	}
	for i, s := range seen {
		if !s || v.byTap {
			p.empty = append(p.empty, i)
		}
	}
	return p
}

// markFirst lets the first product of every tap overwrite the gradient instead of adding
// to it. With byTap the products overlap, so all of them add to zeros.
func (v weightPlan) markFirst(calls []weightCall, seen []bool) {
	for i := range calls {
		c := &calls[i]
		c.first = !v.byTap && !seen[c.element]
		seen[c.element] = true
	}
}

// divide chooses the blocks and panels of one task and returns the number of tasks: at
// least minTasks, if the shape allows it.
func (g *gradWeight) divide(minTasks int) int {
	blocks, panels := min(g.blocks, max(1, weightInputs/g.set.Rows)), min(g.panels, weightPanels)
	tasks := func() int { return len(g.parts) * g.win.Groups * ceil(g.blocks, blocks) * ceil(g.panels, panels) }
	for tasks() < minTasks && blocks*panels > 1 {
		if blocks*g.set.Rows > panels*g.set.Cols || panels == 1 {
			blocks = ceil(blocks, 2)
		} else {
			panels = ceil(panels, 2)
		}
	}
	g.together = [2]int{blocks, panels}
	return tasks()
}

// weightShare is the share of one task: blocks of input channels by panels of output
// channels of a group, for all taps, summed over a part of the image. dst holds the sums
// of the part.
type weightShare struct {
	dst                   memory
	group                 int
	firstBlock, lastBlock int
	firstPanel, lastPanel int
}

// share returns the share of task i. The part is the slowest index.
func (g *gradWeight) share(i int) (s weightShare, p *weightPart) {
	across, down := ceil(g.blocks, g.together[0]), ceil(g.panels, g.together[1])
	block, panel, group, part := i%across, i/across%down, i/across/down%g.win.Groups, i/across/down/g.win.Groups
	s = weightShare{dst: g.sums.of(part), group: group, firstBlock: block * g.together[0], firstPanel: panel * g.together[1]}
	s.lastBlock, s.lastPanel = min(s.firstBlock+g.together[0], g.blocks), min(s.firstPanel+g.together[1], g.panels)
	return s, &g.parts[part]
}

// task multiplies its part piece by piece, so that what one block reads of a piece is
// still in the cache for the next block.
func (g *gradWeight) task(i, thread int) {
	s, p := g.share(i)
	for panel := s.firstPanel; panel < s.lastPanel; panel++ {
		for block := s.firstBlock; block < s.lastBlock; block++ {
			g.clear(p.empty, s.dst, s.group, block, panel)
		}
	}
	if g.packed {
		area := g.areas.of(thread)
		for c := range p.calls {
			g.multiplyPacked(&p.calls[c], &s, area)
		}
		return
	}
	for c := range p.calls {
		for panel := s.firstPanel; panel < s.lastPanel; panel++ {
			for block := s.firstBlock; block < s.lastBlock; block++ {
				g.multiply(&p.calls[c], s.dst, s.group, block, panel)
			}
		}
	}
}

// inputs returns the first input channel of a block and their number.
func (g *gradWeight) inputs(block int) (ci, rows int) {
	ci = g.cin * block / g.blocks
	return ci, g.cin*(block+1)/g.blocks - ci
}

// inputsOf returns the input channels from <= c < end of a share.
func (g *gradWeight) inputsOf(s *weightShare) (from, end int) {
	from, _ = g.inputs(s.firstBlock)
	last, rows := g.inputs(s.lastBlock - 1)
	return from, last + rows
}

// at returns the gradient in dst of a filter element of a group, from input channel ci
// and output channel co on.
func (g *gradWeight) at(dst memory, element, group, ci, co int) []float32 {
	return dst[(element*g.cin+ci)*g.cout*g.win.Groups+group*g.cout+co:]
}

// clear sets the gradient of the given taps to zero for one block and panel.
func (g *gradWeight) clear(taps []int, dst memory, group, block, panel int) {
	ci, rows := g.inputs(block)
	co := panel * g.set.Cols
	for _, e := range taps {
		clearColumns(g.at(dst, e, group, ci, co), rows, min(g.set.Cols, g.cout-co), g.cout*g.win.Groups)
	}
}

// multiply computes one product for one block and panel.
func (g *gradWeight) multiply(c *weightCall, dst memory, group, block, panel int) {
	allIn, allOut := g.cin*g.win.Groups, g.cout*g.win.Groups
	ci, m := g.inputs(block)
	co := panel * g.set.Cols
	crs, ars := allOut, 1
	if g.byTap {
		m, crs, ars = c.rows, g.cin*allOut, g.win.DilationW*g.batch*allIn
	}
	g.set.Gemm(g.at(dst, c.element, group, ci, co), crs, g.x[group*g.cin+ci:], ars, allIn,
		g.dy[group*g.cout+co:], allOut, c.segs, g.batch, m, min(g.set.Cols, g.cout-co), !c.first)
}

// packs reports whether the factors of a piece are copied before they are multiplied.
// In most networks rows of activations lie a power of two apart, so the rows of a piece
// compete for a few sets of the first-level cache; the rows of the copies do not. A copy
// pays where it is read often.
func (g *gradWeight) packs() bool {
	return !g.byTap && g.together[0]*g.set.Rows >= 32 && g.together[1]*g.set.Cols >= 32
}

// packedWidths returns the distances between copied rows of the inputs and of the
// gradients, in elements. Each is an odd number of cache lines.
func (g *gradWeight) packedWidths() (in, out int) {
	const line = 16
	odd := func(n int) int { return (ceil(n, line) | 1) * line }
	return odd(ceil(g.cin, g.blocks) * g.together[0]), odd(g.together[1] * g.set.Cols)
}

// multiplyPacked computes one product for all blocks and panels of a share.
func (g *gradWeight) multiplyPacked(c *weightCall, s *weightShare, area memory) {
	allIn, allOut := g.cin*g.win.Groups, g.cout*g.win.Groups
	aks, bks := g.packedWidths()
	a, b := area[:weightRows*aks], area[weightRows*aks:]
	ci, end := g.inputsOf(s)
	co, until := s.firstPanel*g.set.Cols, min(s.lastPanel*g.set.Cols, g.cout)
	accumulate, rows := !c.first, 0
	for at, seg := range c.segs {
		for i := range g.batch {
			copy(a[rows*aks:], g.x[seg.A+i*allIn+s.group*g.cin:][ci:end])
			copy(b[rows*bks:], g.dy[seg.B+i*allOut+s.group*g.cout:][co:until])
			if rows++; rows < weightRows && (at < len(c.segs)-1 || i < g.batch-1) {
				continue
			}
			g.multiplyRows(c.element, s, a, b, rows, accumulate)
			accumulate, rows = true, 0
		}
	}
}

// multiplyRows multiplies rows that multiplyPacked has copied.
func (g *gradWeight) multiplyRows(element int, s *weightShare, a, b memory, rows int, accumulate bool) {
	aks, bks := g.packedWidths()
	from, end := g.inputsOf(s)
	for panel := s.firstPanel; panel < s.lastPanel; panel++ {
		co := panel * g.set.Cols
		g.set.Gemm(g.at(s.dst, element, s.group, from, co), g.cout*g.win.Groups, a, 1, aks,
			b[(panel-s.firstPanel)*g.set.Cols:], bks, oneSeg, rows, end-from, min(g.set.Cols, g.cout-co), accumulate)
	}
}

// partSums holds the sums of the parts of an image: those of the first part in the
// result itself, those of the others in scratch.
type partSums struct {
	total  memory
	others func() memory
	add    func() // adds the others to total; nil for a single part
}

func (b *binder) partSums(total memory, parts int) *partSums {
	s := &partSums{total: total, others: b.borrow((parts - 1) * len(total))}
	if parts == 1 {
		return s
	}
	const lanes = 4096
	add := func(i int) {
		lo, hi := i*lanes, min((i+1)*lanes, len(total))
		for part := 1; part < parts; part++ {
			b.set.Add(total[lo:hi], total[lo:hi], s.of(part)[lo:hi])
		}
	}
	s.add = func() { b.pool.run(ceil(len(total), lanes), add) }
	return s
}

// of returns the sums of a part.
func (s *partSums) of(part int) memory {
	if part == 0 {
		return s.total
	}
	return s.others()[(part-1)*len(s.total):][:len(s.total)]
}

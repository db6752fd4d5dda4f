package cpu

import (
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu/kernel"
)

// weightRows is about how many rows (pixels times batch) of activations and
// gradients one pass over the taps goes through: a register block of each factor
// then stays in the first cache. weightInputs and weightPanels are how many input
// channels and panels of output channels one task does: what the second holds.
const (
	weightRows   = 192
	weightInputs = 256
	weightPanels = 16
)

// Few channels make few tasks, each of which would read everything; the picture is
// then divided into parts whose sums are added at the end. How many there are must
// not depend on the threads, for it decides the order of the sums.
const (
	weightTasks = 32      // wanted
	weightSums  = 1 << 20 // elements that the parts' sums may take
)

// weightCall is one product of the weight gradient: the sum over the pixels of
// segs and the batch, added to rows of filter elements from element on.
type weightCall struct {
	element, rows int // rows > 1: neighbouring columns of the filter
	first         bool
	segs          []kernel.Seg
}

// weightWalk is how the gradient of a weight goes through the picture.
type weightWalk struct {
	win   engine.Window
	batch int
	byTap bool // neighbouring taps are rows of one product
}

// weightPart is a part of the picture.
type weightPart struct {
	calls []weightCall // in the order of pixels
	empty []int        // taps to set to zero first
}

// gradWeight is the gradient of a convolution's weight. A register block holds
// some input channels of one tap by a panel of output channels; for inputs of
// few channels it holds neighbouring taps instead.
type gradWeight struct {
	weightWalk
	set            *kernel.Set
	cin, cout      int // of one group
	x, dy          memory
	parts          []weightPart
	sums           *partSums
	blocks, panels int
	together       [2]int // blocks and panels that one task goes through
	packed         bool   // factors are copied before they are multiplied
	areas          *areas // of the copies
}

// convGradWeight binds the gradient of a convolution's weight, by the algorithm
// that costs least for its shape.
func (b *binder) convGradWeight(s *engine.ConvGradWeight) func() {
	if isBF16(s.X) {
		return b.convGradWeightBF16(s)
	}
	n, cin, h, w := s.X.Dims()
	_, cout, oh, ow := s.DY.Dims()
	runs := gather(oh, ow, n, func(y, x int) []tap { return forwardTaps(s.Window, h, w, y, x) })
	if f, ok := b.tiling(s.Window, n, cin, cout, oh, ow, runs); ok {
		return b.winogradWeight(f, picture{h, w, n, cin, b.mem(s.X)}, picture{oh, ow, n, cout, b.mem(s.DY)}, s)
	}
	g := &gradWeight{
		set: b.set, weightWalk: weightWalk{win: s.Window, batch: n}, cin: cin / s.Groups, cout: cout / s.Groups,
		x: b.mem(s.X), dy: b.mem(s.DY), areas: b.areas,
	}
	g.byTap = g.cin < 4 && s.KW > g.cin
	g.panels, g.blocks = ceil(g.cout, b.set.Cols), ceil(g.cin, b.set.Rows)
	if g.byTap {
		g.blocks = g.cin
	}
	parts, pixels := g.count(s.DW.Numel(), oh*ow), oh*ow
	for i := range parts {
		g.parts = append(g.parts, g.part(h, w, ow, n*cin, n*cout, pixels*i/parts, pixels*(i+1)/parts))
	}
	g.sums = b.partSums(b.mem(s.DW), parts)
	tasks := g.divide(4 * b.pool.threads)
	if g.packed = g.packs(); g.packed {
		in, out := g.packedWidths()
		b.areas.need(weightRows * (in + out))
	}
	work := g.task
	return inOrder(func() { b.pool.run(tasks, work) }, g.sums.add)
}

// count returns into how many parts the picture is divided.
func (g *gradWeight) count(weights, pixels int) int {
	tasks := g.win.Groups * ceil(g.cin, weightInputs) * ceil(g.cout, 16*weightPanels)
	return max(1, min(ceil(weightTasks, tasks), pixels*g.batch/(4*weightRows), 1+weightSums/weights, pixels))
}

// part lists the products of the pixels from lo to hi, piece by piece. x and dy are
// the elements of one pixel of the inputs and of the gradients.
func (v weightWalk) part(h, w, ow, x, dy, lo, hi int) (p weightPart) {
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

// markFirst lets the first product of a tap overwrite; those by tap overlap and
// are all added to zeros.
func (v weightWalk) markFirst(calls []weightCall, seen []bool) {
	for i := range calls {
		c := &calls[i]
		c.first = !v.byTap && !seen[c.element]
		seen[c.element] = true
	}
}

// divide chooses what one task goes through, and returns how many tasks there
// are: at least as many as wanted, where that can be.
func (g *gradWeight) divide(wanted int) int {
	blocks, panels := min(g.blocks, max(1, weightInputs/g.set.Rows)), min(g.panels, weightPanels)
	tasks := func() int { return len(g.parts) * g.win.Groups * ceil(g.blocks, blocks) * ceil(g.panels, panels) }
	for tasks() < wanted && blocks*panels > 1 {
		if blocks*g.set.Rows > panels*g.set.Cols || panels == 1 {
			blocks = ceil(blocks, 2)
		} else {
			panels = ceil(panels, 2)
		}
	}
	g.together = [2]int{blocks, panels}
	return tasks()
}

// weightShare is what one task computes: some blocks of input channels by some panels of
// output channels of a group, for all taps, over a part of the picture. dst is
// where the part's sums are.
type weightShare struct {
	dst                   memory
	group                 int
	firstBlock, lastBlock int
	firstPanel, lastPanel int
}

// share returns task i, the parts outermost.
func (g *gradWeight) share(i int) (s weightShare, p *weightPart) {
	across, down := ceil(g.blocks, g.together[0]), ceil(g.panels, g.together[1])
	block, panel, group, part := i%across, i/across%down, i/across/down%g.win.Groups, i/across/down/g.win.Groups
	s = weightShare{dst: g.sums.of(part), group: group, firstBlock: block * g.together[0], firstPanel: panel * g.together[1]}
	s.lastBlock, s.lastPanel = min(s.firstBlock+g.together[0], g.blocks), min(s.firstPanel+g.together[1], g.panels)
	return s, &g.parts[part]
}

// task goes through its part piece by piece, so that what is read of it for one
// block is still near for the next.
func (g *gradWeight) task(i int) {
	s, p := g.share(i)
	for panel := s.firstPanel; panel < s.lastPanel; panel++ {
		for block := s.firstBlock; block < s.lastBlock; block++ {
			g.clear(p.empty, s.dst, s.group, block, panel)
		}
	}
	if g.packed {
		area := g.areas.get()
		defer g.areas.put(area)
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

// inputs returns the input channels of a block: the first, and how many.
func (g *gradWeight) inputs(block int) (ci, rows int) {
	ci = g.cin * block / g.blocks
	return ci, g.cin*(block+1)/g.blocks - ci
}

// inputsOf returns the input channels of a share: the first, and the one behind the
// last.
func (g *gradWeight) inputsOf(s *weightShare) (from, end int) {
	from, _ = g.inputs(s.firstBlock)
	last, rows := g.inputs(s.lastBlock - 1)
	return from, last + rows
}

// at returns the gradient of a filter element in dst from an input and an output
// channel of a group on.
func (g *gradWeight) at(dst memory, element, group, ci, co int) []float32 {
	return dst[(element*g.cin+ci)*g.cout*g.win.Groups+group*g.cout+co:]
}

// clear sets a block of some taps to zero.
func (g *gradWeight) clear(taps []int, dst memory, group, block, panel int) {
	ci, rows := g.inputs(block)
	co := panel * g.set.Cols
	for _, e := range taps {
		clearColumns(g.at(dst, e, group, ci, co), rows, min(g.set.Cols, g.cout-co), g.cout*g.win.Groups)
	}
}

// multiply adds one product to a block.
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

// packs reports whether the factors of a piece are copied before they are
// multiplied. Rows of activations lie a power of two apart in most nets, so that
// the rows of a piece share a few places of the first cache and drive each other
// out; the copies' rows do not. They pay where they are used often.
func (g *gradWeight) packs() bool {
	return !g.byTap && g.together[0]*g.set.Rows >= 32 && g.together[1]*g.set.Cols >= 32
}

// packedWidths returns the elements from one copied row to the next, of the inputs
// and of the gradients: an odd number of cache lines.
func (g *gradWeight) packedWidths() (in, out int) {
	const line = 16
	odd := func(n int) int { return (ceil(n, line) | 1) * line }
	return odd(ceil(g.cin, g.blocks) * g.together[0]), odd(g.together[1] * g.set.Cols)
}

// multiplyPacked adds one product to the blocks and panels of a share.
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

// multiplyRows multiplies copied rows.
func (g *gradWeight) multiplyRows(element int, s *weightShare, a, b memory, rows int, accumulate bool) {
	aks, bks := g.packedWidths()
	from, end := g.inputsOf(s)
	for panel := s.firstPanel; panel < s.lastPanel; panel++ {
		co := panel * g.set.Cols
		g.set.Gemm(g.at(s.dst, element, s.group, from, co), g.cout*g.win.Groups, a, 1, aks,
			b[(panel-s.firstPanel)*g.set.Cols:], bks, whole, rows, end-from, min(g.set.Cols, g.cout-co), accumulate)
	}
}

// whole is the one stretch of a sum that is not divided.
var whole = []kernel.Seg{{}}

// partSums is where the parts of a picture have their sums: the first where the
// result belongs, the others in scratch.
type partSums struct {
	total  memory
	others func() memory
	add    func() // puts them together; nil for one part
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

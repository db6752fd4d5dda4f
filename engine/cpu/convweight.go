package cpu

import (
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu/kernel"
)

// weightRows is about how many rows (pixels times batch) of activations and
// gradients one pass over the taps goes through, and weightInputs and
// weightPanels how many input channels and panels of output channels one task
// does: what the second-level cache holds.
const (
	weightRows   = 256
	weightInputs = 128
	weightPanels = 4
)

// weightCall is one product of the weight gradient: the sum over the pixels of
// segs and the batch, added to rows of filter elements from element on.
type weightCall struct {
	element, rows int // rows > 1: neighbouring columns of the filter
	first         bool
	segs          []kernel.Seg
}

// gradWeight is the gradient of a convolution's weight. A register block holds
// some input channels of one tap by a panel of output channels; for inputs of
// few channels it holds neighbouring taps instead.
type gradWeight struct {
	set            *kernel.Set
	win            engine.Window
	batch          int
	cin, cout      int // of one group
	x, dy, dw      memory
	calls          []weightCall // in the order of pixels
	byTap          bool
	blocks, panels int
	together       [2]int // blocks and panels that one task goes through
	empty          []int  // taps that no pixel reaches
}

// convGradWeight binds the gradient of a convolution's weight, by the algorithm
// that costs least for its shape.
func (b *binder) convGradWeight(s *engine.ConvGradWeight) func() {
	if half(s.X) {
		return b.convGradWeightHalf(s)
	}
	n, cin, h, w := s.X.Dims()
	_, cout, oh, ow := s.DY.Dims()
	runs := gather(oh, ow, n, func(y, x int) []tap { return forwardTaps(s.Window, h, w, y, x) })
	if f, ok := b.tiling(s.Window, n, cin, cout, oh, ow, runs); ok {
		return b.winogradWeight(f, picture{h, w, n, cin, b.mem(s.X)}, picture{oh, ow, n, cout, b.mem(s.DY)}, s)
	}
	g := &gradWeight{
		set: b.set, win: s.Window, batch: n, cin: cin / s.Groups, cout: cout / s.Groups,
		x: b.mem(s.X), dy: b.mem(s.DY), dw: b.mem(s.DW),
	}
	g.byTap = g.cin < 4 && s.KW > g.cin
	g.panels, g.blocks = ceil(g.cout, b.set.Cols), ceil(g.cin, b.set.Rows)
	if g.byTap {
		g.blocks = g.cin
	}
	g.plan(h, w, oh, ow, n*cin, n*cout)
	tasks := g.divide(4 * b.pool.threads)
	work := g.task
	return func() { b.pool.run(tasks, work) }
}

// plan lists the products, piece of the picture by piece of the picture. x and dy
// are the elements of one pixel of the inputs and of the gradients.
func (g *gradWeight) plan(h, w, oh, ow, x, dy int) {
	seen := make([]bool, g.win.KH*g.win.KW)
	step := max(1, weightRows/g.batch)
	for lo := 0; lo < oh*ow; lo += step {
		at := map[[2]int]int{} // (filter element, rows) → call of this piece
		start := len(g.calls)
		for p := lo; p < min(lo+step, oh*ow); p++ {
			taps := forwardTaps(g.win, h, w, p/ow, p%ow)
			for i := 0; i < len(taps); {
				rows := 1
				for g.byTap && i+rows < len(taps) && taps[i+rows].index/g.win.KW == taps[i].index/g.win.KW {
					rows++
				}
				k := [2]int{taps[i].index, rows}
				c, ok := at[k]
				if !ok {
					c = len(g.calls)
					at[k] = c
					g.calls = append(g.calls, weightCall{element: k[0], rows: rows})
				}
				g.calls[c].segs = append(g.calls[c].segs, kernel.Seg{
					A: taps[i].source * x,
					B: p * dy,
				})
				i += rows
			}
		}
		g.markFirst(g.calls[start:], seen)
	}
	for i, s := range seen {
		if !s || g.byTap {
			g.empty = append(g.empty, i)
		}
	}
}

// markFirst lets the first product of a tap overwrite; those by tap overlap and
// are all added to zeros.
func (g *gradWeight) markFirst(calls []weightCall, seen []bool) {
	for i := range calls {
		c := &calls[i]
		c.first = !g.byTap && !seen[c.element]
		seen[c.element] = true
	}
}

// divide chooses what one task goes through, and returns how many tasks there
// are: at least as many as wanted, where that can be.
func (g *gradWeight) divide(wanted int) int {
	blocks, panels := min(g.blocks, max(1, weightInputs/g.set.Rows)), min(g.panels, weightPanels)
	tasks := func() int { return g.win.Groups * ceil(g.blocks, blocks) * ceil(g.panels, panels) }
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

// task computes some blocks of input channels by some panels of output channels,
// for all taps: piece of the picture by piece, so that what is read of it for one
// block is still near for the next.
func (g *gradWeight) task(i int) {
	parts, sets := ceil(g.blocks, g.together[0]), ceil(g.panels, g.together[1])
	part, set, group := i%parts, i/parts%sets, i/parts/sets
	firstBlock, firstPanel := part*g.together[0], set*g.together[1]
	lastBlock, lastPanel := min(firstBlock+g.together[0], g.blocks), min(firstPanel+g.together[1], g.panels)
	for panel := firstPanel; panel < lastPanel; panel++ {
		for block := firstBlock; block < lastBlock; block++ {
			g.clear(group, block, panel)
		}
	}
	for c := range g.calls {
		for panel := firstPanel; panel < lastPanel; panel++ {
			for block := firstBlock; block < lastBlock; block++ {
				g.multiply(&g.calls[c], group, block, panel)
			}
		}
	}
}

// inputs returns the input channels of a block: the first, and how many.
func (g *gradWeight) inputs(block int) (ci, rows int) {
	ci = g.cin * block / g.blocks
	return ci, g.cin*(block+1)/g.blocks - ci
}

// at returns the gradient of a filter element from an input and an output channel
// of a group on.
func (g *gradWeight) at(element, group, ci, co int) []float32 {
	return g.dw[(element*g.cin+ci)*g.cout*g.win.Groups+group*g.cout+co:]
}

// clear sets a block of the taps that no pixel reaches to zero.
func (g *gradWeight) clear(group, block, panel int) {
	ci, rows := g.inputs(block)
	co := panel * g.set.Cols
	for _, e := range g.empty {
		clearColumns(g.at(e, group, ci, co), rows, min(g.set.Cols, g.cout-co), g.cout*g.win.Groups)
	}
}

// multiply adds one product to a block.
func (g *gradWeight) multiply(c *weightCall, group, block, panel int) {
	allIn, allOut := g.cin*g.win.Groups, g.cout*g.win.Groups
	ci, m := g.inputs(block)
	co := panel * g.set.Cols
	crs, ars := allOut, 1
	if g.byTap {
		m, crs, ars = c.rows, g.cin*allOut, g.win.DilationW*g.batch*allIn
	}
	g.set.Gemm(g.at(c.element, group, ci, co), crs, g.x[group*g.cin+ci:], ars, allIn,
		g.dy[group*g.cout+co:], allOut, c.segs, g.batch, m, min(g.set.Cols, g.cout-co), !c.first)
}

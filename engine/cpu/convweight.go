package cpu

import (
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu/kernel"
)

// weightRows is about how many rows (pixels times batch) of activations and
// gradients one pass over the taps goes through: what the second-level cache holds.
const weightRows = 1024

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
	empty          []int // taps that no pixel reaches
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
	tasks := s.Groups * g.panels * g.blocks
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

// task computes one block of input channels by one panel of output channels,
// for all taps.
func (g *gradWeight) task(i int) {
	block, panel, group := i%g.blocks, i/g.blocks%g.panels, i/g.blocks/g.panels
	ci, rows := g.cin*block/g.blocks, g.cin*(block+1)/g.blocks-g.cin*block/g.blocks
	co := panel * g.set.Cols
	cols := min(g.set.Cols, g.cout-co)
	allIn, allOut := g.cin*g.win.Groups, g.cout*g.win.Groups
	dw := func(element int) []float32 { return g.dw[(element*g.cin+ci)*allOut+group*g.cout+co:] }
	for _, e := range g.empty {
		clearColumns(dw(e), rows, cols, allOut)
	}
	x, dy := g.x[group*g.cin+ci:], g.dy[group*g.cout+co:]
	crs, ars := allOut, 1
	for _, c := range g.calls {
		m := rows
		if g.byTap {
			m, crs, ars = c.rows, g.cin*allOut, g.win.DilationW*g.batch*allIn
		}
		g.set.Gemm(dw(c.element), crs, x, ars, allIn, dy, allOut, c.segs, g.batch, m, cols, !c.first)
	}
}

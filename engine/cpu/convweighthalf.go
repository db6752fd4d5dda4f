package cpu

import (
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu/kernel"
)

// halfBudget is about how many elements of bfloat16 the rearranged copies of
// some images may take.
const halfBudget = 6 << 20

// halfWeight is the gradient of a convolution's weight from bfloat16. Its sums
// run over images, so both factors are rearranged first: the inputs to
// [pixel][channel][image], the gradients to panels of pairs of images. That is
// done for some images at a time.
type halfWeight struct {
	half       *kernel.Half
	win        engine.Window
	cin, cout  int // of one group
	batch      int
	images     int // rearranged at a time
	padded     int // images, rounded up to what Dot likes
	inPixels   int
	outPixels  int
	x, dy      []uint16
	dw         memory
	calls      []weightCall
	byTap      bool
	blocks     int
	panels     int // of one group
	empty      []int
	work       func() memory
	first, now int // image, and how many of them, under way
}

// convGradWeightHalf binds the gradient of a convolution's weight.
func (b *binder) convGradWeightHalf(s *engine.ConvGradWeight) func() {
	n, cin, h, w := s.X.Dims()
	_, cout, oh, ow := s.DY.Dims()
	g := &halfWeight{
		half: &b.set.Half, win: s.Window, batch: n, cin: cin / s.Groups, cout: cout / s.Groups,
		inPixels: h * w, outPixels: oh * ow,
		x: b.act(s.X).half, dy: b.act(s.DY).half, dw: b.mem(s.DW),
	}
	depth := g.half.Depth
	g.panels, g.blocks = ceil(g.cout, g.half.Cols), ceil(g.cin, g.half.Rows)
	image := g.inPixels*cin + g.outPixels*s.Groups*g.panels*g.half.Cols
	g.images = n
	if passes := ceil(n*image, halfBudget); passes > 1 {
		const together = 32
		g.images = min(n, ceil(ceil(n, passes), together)*together)
	}
	g.padded = ceil(g.images, depth) * depth
	if g.byTap = s.Groups == 1 && s.DilationW == 1 && s.KW > 1 && g.cin < 8; g.byTap {
		g.blocks = 1
	}
	g.plan(h, w, oh, ow)
	g.work = b.borrow(g.padded * image / 2)
	tasks := s.Groups * g.panels * g.blocks
	rearrange, multiply := g.rearrange, g.multiply
	return func() {
		for g.first = 0; g.first < n; g.first += g.images {
			g.now = min(g.images, n-g.first)
			b.pool.run(g.inPixels+g.outPixels, rearrange)
			b.pool.run(tasks, multiply)
		}
	}
}

// plan lists the products, as those of float32.
func (g *halfWeight) plan(h, w, oh, ow int) {
	p := gradWeight{win: g.win, batch: g.images, byTap: g.byTap}
	p.plan(h, w, oh, ow, g.padded*g.cin*g.win.Groups, g.padded*g.half.Cols)
	g.calls, g.empty = p.calls, p.empty
}

// inputs and gradients are the rearranged copies.
func (g *halfWeight) inputs() []uint16 { return g.work().half() }

func (g *halfWeight) gradients() []uint16 {
	return g.work().half()[g.inPixels*g.cin*g.win.Groups*g.padded:]
}

// rearrange copies one pixel of the inputs or of the gradients.
func (g *halfWeight) rearrange(i int) {
	if i < g.inPixels {
		c := g.cin * g.win.Groups
		g.half.Transpose(g.inputs()[i*c*g.padded:], g.x[(i*g.batch+g.first)*c:], g.now, c, c, g.padded)
		return
	}
	i -= g.inPixels
	c, cols := g.cout*g.win.Groups, g.half.Cols
	dy := g.dy[(i*g.batch+g.first)*c:]
	for q := range g.win.Groups * g.panels {
		lo := q % g.panels * cols
		panel := g.gradients()[(q*g.outPixels+i)*g.padded*cols:][:g.padded*cols]
		g.half.PackPairs(panel, dy[q/g.panels*g.cout+lo:], g.now, min(cols, g.cout-lo), c, cols)
		clear(panel[ceil(g.now, 2)*2*cols:])
	}
}

// multiply computes one block of input channels by one panel of output channels,
// for all taps, and adds it to what earlier images gave.
func (g *halfWeight) multiply(i int) {
	block, panel, group := i%g.blocks, i/g.blocks%g.panels, i/g.blocks/g.panels
	ci, rows := g.cin*block/g.blocks, g.cin*(block+1)/g.blocks-g.cin*block/g.blocks
	co := panel * g.half.Cols
	cols := min(g.half.Cols, g.cout-co)
	all := g.cout * g.win.Groups
	dw := func(element int) []float32 { return g.dw[(element*g.cin+ci)*all+group*g.cout+co:] }
	for _, e := range g.empty {
		if g.first == 0 {
			clearColumns(dw(e), rows, cols, all)
		}
	}
	x := g.inputs()[(group*g.cin+ci)*g.padded:]
	dy := g.gradients()[(group*g.panels+panel)*g.outPixels*g.padded*g.half.Cols:]
	for _, c := range g.calls {
		m := rows
		if g.byTap {
			m = c.rows * g.cin
		}
		g.half.Dot(dw(c.element), all, x, g.padded, dy, c.segs, g.padded, m, cols, !c.first || g.first > 0)
	}
}

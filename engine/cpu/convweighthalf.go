package cpu

import (
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu/kernel"
)

// halfBudget is about how many elements of bfloat16 the rearranged copies of
// some images may take.
const halfBudget = 6 << 20

// halfWeight is the gradient of a convolution's weight from bfloat16. Its sums
// run over images, so both factors are rearranged first, for some images at a
// time: the inputs to [pixel][channel][image], the gradients to panels of pairs
// of images.
type halfWeight struct {
	half       *kernel.Half
	win        engine.Window
	cin, cout  int // of one group
	batch      int
	images     int   // rearranged at a time
	padded     int   // images, rounded up to what Dot likes
	used       []int // pixels of the input that some tap reaches
	outPixels  int
	x, dy      []uint16
	dw         memory
	calls      []weightCall
	byTap      bool
	pixel      int // elements of a rearranged pixel of the inputs
	blocks     int // of one group
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
		outPixels: oh * ow,
		x:         b.act(s.X).half, dy: b.act(s.DY).half, dw: b.mem(s.DW),
	}
	depth := g.half.Depth
	g.panels, g.blocks = ceil(g.cout, g.half.Cols), ceil(g.cin, g.half.Rows)
	if g.byTap = s.Groups == 1 && s.DilationW == 1 && s.KW > 1 && g.cin < 8; g.byTap {
		g.blocks = 1
	}
	where := g.reached(h, w, oh, ow)
	image := len(g.used)*cin + g.outPixels*s.Groups*g.panels*g.half.Cols
	g.images = n
	if passes := ceil(n*image, halfBudget); passes > 1 {
		const together = 32
		g.images = min(n, ceil(ceil(n, passes), together)*together)
	}
	g.padded = ceil(g.images, depth) * depth
	g.pixel = cin * g.padded
	if g.pixel%2048 == 0 {
		g.pixel += 64 // or all pixels would share a few sets of the first cache
	}
	g.plan(h, w, oh, ow, where)
	g.work = b.borrow((len(g.used)*g.pixel + g.outPixels*s.Groups*g.panels*g.half.Cols*g.padded) / 2)
	tasks := s.Groups * g.panels * g.blocks
	rearrange, multiply := g.rearrange, g.multiply
	return func() {
		for g.first = 0; g.first < n; g.first += g.images {
			g.now = min(g.images, n-g.first)
			b.pool.run(len(g.used)+g.outPixels, rearrange)
			b.pool.run(tasks, multiply)
		}
	}
}

// reached lists the pixels of the input that taps reach, and returns which of
// them each pixel is.
func (g *halfWeight) reached(h, w, oh, ow int) (where []int) {
	where = make([]int, h*w)
	for p := range oh * ow {
		for _, t := range forwardTaps(g.win, h, w, p/ow, p%ow) {
			where[t.source] = 1
		}
	}
	for p, yes := range where {
		if where[p] = len(g.used); yes == 1 {
			g.used = append(g.used, p)
		}
	}
	return where
}

// plan lists the products, as those of float32.
func (g *halfWeight) plan(h, w, oh, ow int, where []int) {
	p := weightWalk{g.win, g.images, g.byTap}.part(h, w, ow, 1, g.padded*g.half.Cols, 0, oh*ow)
	g.calls, g.empty = p.calls, p.empty
	for _, c := range g.calls {
		for i := range c.segs {
			c.segs[i].A = where[c.segs[i].A] * g.pixel
		}
	}
}

// inputs and gradients are the rearranged copies.
func (g *halfWeight) inputs() []uint16 { return g.work().half() }

func (g *halfWeight) gradients() []uint16 {
	return g.work().half()[len(g.used)*g.pixel:]
}

// rearrange copies one pixel of the inputs or of the gradients.
func (g *halfWeight) rearrange(i int) {
	if i < len(g.used) {
		c := g.cin * g.win.Groups
		g.half.Transpose(g.inputs()[i*g.pixel:], g.x[(g.used[i]*g.batch+g.first)*c:], g.now, c, c, g.padded)
		return
	}
	i -= len(g.used)
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

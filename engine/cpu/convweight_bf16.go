package cpu

import (
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu/kernel"
)

// bf16Tasks is how many tasks there should be: parts of the picture make up for too
// few channels. How many parts there are, and so the order of the sums, depends on
// neither threads nor kernels.
const bf16Tasks = 8

// bf16Weight is the gradient of a convolution's weight from bfloat16. A task goes
// through a part of the picture piece by piece: it rearranges the lines of both
// factors that it does not have yet, and multiplies them while they are in the
// second cache.
type bf16Weight struct {
	bf16  *kernel.BF16
	walk  *bf16Walk
	x, dy []uint16
	sums  *partSums
	areas *areas
	most  bf16ChannelCounts // of a task

	line   int // elements of a rearranged line of the inputs
	panels int // of the gradients of a group
	panel  int // elements of one
	parts  []bf16Part
}

// bf16Part is the pieces of the picture from first up to last, and the one in
// which each tap is met first, or last where it is not.
type bf16Part struct {
	first, last int
	met         []int
}

// convGradWeightBF16 binds the gradient of a convolution's weight.
func (b *binder) convGradWeightBF16(s *engine.ConvGradWeight) func() {
	g := &bf16Weight{bf16: &b.set.BF16, walk: newBF16Walk(s), areas: b.areas, x: b.act(s.X).bf16, dy: b.act(s.DY).bf16}
	w, cols := g.walk, g.bf16.Cols
	parts := g.countParts(s.DW.Numel())
	g.sums = b.partSums(b.mem(s.DW), parts)
	tasks := parts * g.divide(ceil(4*b.pool.threads, parts))
	g.line = g.most.groups * g.most.in * w.row
	g.panels, g.panel = ceil(g.most.out, cols), w.lines*w.ow*w.padded*cols
	w.plan(g.line, cols)
	for i := range parts {
		g.parts = append(g.parts, g.part(w.steps()*i/parts, w.steps()*(i+1)/parts))
	}
	b.areas.need(ceil(w.ring*g.line+g.most.groups*g.panels*g.panel+w.few.room(), 2))
	work := g.task
	return inOrder(func() { b.pool.run(tasks, work) }, g.sums.add)
}

// countParts returns into how many parts the picture is divided.
func (g *bf16Weight) countParts(weights int) int {
	w := g.walk
	terms := w.batch * w.oh * w.ow
	return max(1, min(ceil(bf16Tasks, w.sets(w.most)), terms/(2*bf16Terms), 1+weightSums/weights, w.steps()))
}

// divide chooses what channels one task takes, and returns how many tasks go
// through each part: at least as many as wanted, where that can be.
func (g *bf16Weight) divide(wanted int) int {
	m, cols := &g.most, g.bf16.Cols
	*m = g.walk.most
	for {
		tasks := g.walk.sets(*m)
		switch {
		case tasks >= wanted:
			return tasks
		case m.groups > 1:
			m.groups = ceil(m.groups, 2)
		case m.out > cols && m.out >= m.in:
			m.out = ceil(m.out, 2*cols) * cols
		case m.in > 2*g.bf16.Rows && g.walk.few == nil:
			m.in = ceil(m.in, 2)
		default:
			return tasks
		}
	}
}

// part returns the pieces from first up to last.
func (g *bf16Weight) part(first, last int) bf16Part {
	p := bf16Part{first, last, make([]int, g.walk.win.KH*g.walk.win.KW)}
	for e := range p.met {
		p.met[e] = last
	}
	for i := last - 1; i >= first; i-- {
		_, piece := g.walk.step(i)
		for _, c := range piece.calls {
			p.met[c.element] = i
		}
	}
	return p
}

// bf16Share is what one task computes: of some groups, from the first on, some
// input and output channels, from the first on. It has room for what it rearranges.
type bf16Share struct {
	bf16ChannelCounts
	part, group, ci, co int
	x, dy, few          []uint16
}

// share returns the share of task i, the parts outermost.
func (g *bf16Weight) share(i int, area memory) (s bf16Share) {
	cut := func(all, size int) (first, count int) {
		n := ceil(all, size)
		first = i % n * size
		i /= n
		return first, min(size, all-first)
	}
	s.ci, s.in = cut(g.walk.cin, g.most.in)
	s.co, s.out = cut(g.walk.cout, g.most.out)
	s.group, s.groups = cut(g.walk.groups, g.most.groups)
	s.part = i
	s.x = area.bf16()
	s.dy = s.x[g.walk.ring*g.line:]
	s.few = s.dy[g.most.groups*g.panels*g.panel:]
	return s
}

// task goes through its part.
func (g *bf16Weight) task(i int) {
	area := g.areas.get()
	defer g.areas.put(area)
	s := g.share(i, area)
	p := &g.parts[s.part]
	g.clear(&s, p)
	line := 0 // of the inputs, that comes next
	for i := p.first; i < p.last; i++ {
		chunk, piece := g.walk.step(i)
		if i == p.first || piece == &g.walk.pieces[0] {
			line = piece.from
		}
		for line = max(line, piece.from); line < piece.until; line++ {
			g.packInputs(&s, line, chunk)
		}
		g.packGradients(&s, piece, chunk)
		var next bf16Ahead
		if i+1 < p.last && g.bf16.Fetches {
			next = g.ahead(&s, i+1, line)
		}
		g.multiply(&s, p, piece, i, &next)
	}
}

// at returns the sums of a filter element, for the input channels of a share and its
// output channels from one on, of one of its groups.
func (g *bf16Weight) at(s *bf16Share, element, group, co int) []float32 {
	w := g.walk
	return g.sums.of(s.part)[((element*w.cin+s.ci)*w.groups+s.group+group)*w.cout+s.co+co:]
}

// clear sets the taps that a part does not meet to zero.
func (g *bf16Weight) clear(s *bf16Share, p *bf16Part) {
	for e, met := range p.met {
		for group := range s.groups {
			if met == p.last {
				clearColumns(g.at(s, e, group, 0), s.in, s.out, g.walk.groups*g.walk.cout)
			}
		}
	}
}

// packInputs rearranges a line of the inputs.
func (g *bf16Weight) packInputs(s *bf16Share, line int, chunk imageChunk) {
	w := g.walk
	to := s.x[line%w.ring*g.line:]
	if w.few != nil {
		at := (w.used[line]*w.w*w.batch + chunk.first) * w.few.channels
		w.few.pack(g.bf16, to, g.x[at:], s.few, chunk, w.row, w.ow, w.padded)
		return
	}
	at := (w.used[line]*w.w*w.batch+chunk.first)*w.groups*w.cin + s.group*w.cin + s.ci
	g.bf16.Transpose(to, g.x[at:], chunk.offs, (s.groups-1)*w.cin+s.in, w.row)
}

// packGradients rearranges the gradients of a piece.
func (g *bf16Weight) packGradients(s *bf16Share, piece *bf16Piece, chunk imageChunk) {
	w, cols := g.walk, g.bf16.Cols
	all := w.groups * w.cout
	pixels, rows := piece.count*w.ow, chunk.images
	if w.padded == w.batch && w.padded == chunk.images {
		pixels, rows = 1, pixels*rows // which follow each other
	}
	size := ceil(rows, w.padded) * w.padded * cols
	for i := range s.groups * g.panels {
		lo := i % g.panels * cols
		if lo >= s.out {
			continue
		}
		dy := g.dy[(piece.line*w.ow*w.batch+chunk.first)*all+(s.group+i/g.panels)*w.cout+s.co+lo:]
		for p := range pixels {
			panel := s.dy[i*g.panel+p*size:][:size]
			g.bf16.PackPairs(panel, dy[p*w.batch*all:], rows, min(cols, s.out-lo), all, cols)
			clear(panel[ceil(rows, 2)*2*cols:])
		}
	}
}

// multiply adds the products of a piece, and meanwhile fetches what the next needs.
func (g *bf16Weight) multiply(s *bf16Share, p *bf16Part, piece *bf16Piece, step int, next *bf16Ahead) {
	w, cols := g.walk, g.bf16.Cols
	blocks := ceil(s.in, g.bf16.Rows)
	next.steps = s.groups * ceil(s.out, cols) * piece.terms / 2 * blocks
	for i := range s.groups * g.panels {
		group, lo := i/g.panels, i%g.panels*cols
		if lo >= s.out {
			continue
		}
		for _, c := range piece.calls {
			from, pace := next.take(len(c.segs) * c.terms / 2 * blocks)
			g.bf16.DotFetch(g.at(s, c.element, group, lo), w.groups*w.cout, s.x[group*w.cin*w.row:], w.row, s.dy[i*g.panel:],
				c.segs, c.terms, s.in, min(cols, s.out-lo), step > p.met[c.element], from, pace)
		}
	}
}

// bf16Ahead is what the next piece reads from memory: a stretch of each factor, and
// in how many steps of products it can be fetched.
type bf16Ahead struct {
	x, dy []uint16
	steps int
}

// ahead returns what a step of a part reads: lines of the inputs from one on, of
// those that are used, and of the gradients.
func (g *bf16Weight) ahead(s *bf16Share, step, line int) (a bf16Ahead) {
	w := g.walk
	chunk, piece := w.step(step)
	if line = max(line, piece.from); piece == &w.pieces[0] {
		line = piece.from
	}
	all, first, channels := w.groups*w.cin, s.group*w.cin+s.ci, (s.groups-1)*w.cin+s.in
	columns := len(w.across.columns)
	if w.few != nil {
		all, first, channels, columns = w.few.channels, 0, w.few.channels, w.w
	}
	if line < piece.until {
		from, until := w.used[line], w.used[piece.until-1]+1
		a.x = w.stretch(g.x, chunk, from*w.w, until*w.w, (until-from)*columns, all, first, channels)
	}
	from, until := piece.line*w.ow, (piece.line+piece.count)*w.ow
	a.dy = w.stretch(g.dy, chunk, from, until, until-from, w.groups*w.cout, s.group*w.cout+s.co, (s.groups-1)*w.cout+s.out)
	return a
}

// stretch returns what some channels, of all of them the first and those behind it,
// lie in for a chunk of the images from a pixel up to another; or nothing where less
// than half of that is of use, as so many pixels are.
func (g *bf16Walk) stretch(x []uint16, chunk imageChunk, from, until, pixels, all, first, channels int) []uint16 {
	lo := (from*g.batch+chunk.first)*all + first
	hi := ((until-1)*g.batch+chunk.first+chunk.images-1)*all + first + channels
	if hi-lo > 2*pixels*chunk.images*channels {
		return nil
	}
	return x[lo:hi]
}

// take returns what to fetch in some of the steps, and how many bytes further in each.
func (a *bf16Ahead) take(steps int) (from []uint16, pace int) {
	if len(a.x) == 0 {
		a.x, a.dy = a.dy, nil
	}
	left := len(a.x) + len(a.dy)
	if left == 0 || steps == 0 {
		return nil, 0
	}
	from = a.x
	size := min(len(from), ceil(left*steps, max(a.steps, steps)))
	a.x = from[size:]
	a.steps -= steps
	return from, ceil(2*size, steps)
}

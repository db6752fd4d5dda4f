package cpu

import (
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu/kernel"
)

// bf16Tasks is how many tasks there should be at least. Where there are too few channels
// for that, the image is divided into parts. The number of parts, and so the order of the
// sums, depends on neither threads nor kernels.
const bf16Tasks = 8

// bf16Weight computes the gradient of a convolution's weight from activations in
// bfloat16. A task processes a part of the image piece by piece: it rearranges the lines
// of both factors that are new in the piece, and multiplies them while they are in the
// second-level cache.
type bf16Weight struct {
	bf16  *kernel.BF16
	plan  *bf16WeightPlan
	x, dy []uint16
	sums  *partSums
	areas *areas
	most  bf16ChannelCounts // the most channels of one task

	line   int // elements of a rearranged line of the inputs
	panels int // panels of the gradients of a group
	panel  int // elements of a panel
	parts  []bf16Part
}

// bf16Part is the part of the image with pieces first <= i < last. met is, for each tap,
// the first piece that has a product of it, or last if none has.
type bf16Part struct {
	first, last int
	met         []int
}

// convGradWeightBF16 binds the gradient of a convolution's weight from bfloat16.
func (b *binder) convGradWeightBF16(s *engine.ConvGradWeight) func() {
	if f, ok := b.weightTiling(s); ok {
		return b.bandWeight(f, s)
	}
	g := &bf16Weight{bf16: &b.set.BF16, plan: newBF16WeightPlan(s), areas: b.areas, x: b.act(s.X).bf16, dy: b.act(s.DY).bf16}
	w, cols := g.plan, g.bf16.Cols
	parts := g.countParts(s.DW.Numel())
	g.sums = b.partSums(b.mem(s.DW), parts)
	tasks := parts * g.divide(ceil(4*b.pool.threads, parts))
	g.line = g.most.groups * g.most.in * w.row
	g.panels, g.panel = ceil(g.most.out, cols), w.lines*w.ow*w.padded*cols
	w.listPieces(g.line, cols)
	for i := range parts {
		g.parts = append(g.parts, g.part(w.steps()*i/parts, w.steps()*(i+1)/parts))
	}
	b.areas.need(ceil(w.ring*g.line+g.most.groups*g.panels*g.panel+w.few.room(), 2))
	work := g.task
	return inOrder(func() { b.pool.runOn(tasks, work) }, g.sums.add)
}

// countParts returns the number of parts into which the image is divided.
func (g *bf16Weight) countParts(weights int) int {
	w := g.plan
	terms := w.batch * w.oh * w.ow
	return max(1, min(ceil(bf16Tasks, w.sets(w.most)), terms/(2*bf16Terms), 1+weightSums/weights, w.steps()))
}

// divide chooses the channels of one task and returns the number of tasks of each part:
// at least minTasks if the shape allows it.
func (g *bf16Weight) divide(minTasks int) int {
	m, cols := &g.most, g.bf16.Cols
	*m = g.plan.most
	for {
		tasks := g.plan.sets(*m)
		switch {
		case tasks >= minTasks:
			return tasks
		case m.groups > 1:
			m.groups = ceil(m.groups, 2)
		case m.out > cols && m.out >= m.in:
			m.out = ceil(m.out, 2*cols) * cols
		case m.in > 2*g.bf16.Rows && g.plan.few == nil:
			m.in = ceil(m.in, 2)
		default:
			return tasks
		}
	}
}

// part returns the part with pieces first <= i < last.
func (g *bf16Weight) part(first, last int) bf16Part {
	p := bf16Part{first, last, make([]int, g.plan.win.KH*g.plan.win.KW)}
	for e := range p.met {
		p.met[e] = last
	}
	for i := last - 1; i >= first; i-- {
		_, piece := g.plan.step(i)
		for _, c := range piece.calls {
			p.met[c.element] = i
		}
	}
	return p
}

// bf16Share is the share of one task: so many groups, input and output channels as
// bf16ChannelCounts says, from group, ci and co on, of one part. x, dy and few are memory
// for the rearranged lines.
type bf16Share struct {
	bf16ChannelCounts
	part, group, ci, co int
	x, dy, few          []uint16
}

// share returns the share of task i. The part is the slowest index.
func (g *bf16Weight) share(i int, area memory) (s bf16Share) {
	cut := func(all, size int) (first, count int) {
		n := ceil(all, size)
		first = i % n * size
		i /= n
		return first, min(size, all-first)
	}
	s.ci, s.in = cut(g.plan.cin, g.most.in)
	s.co, s.out = cut(g.plan.cout, g.most.out)
	s.group, s.groups = cut(g.plan.groups, g.most.groups)
	s.part = i
	s.x = area.bf16()
	s.dy = s.x[g.plan.ring*g.line:]
	s.few = s.dy[g.most.groups*g.panels*g.panel:]
	return s
}

// task computes the share of task i, piece by piece.
func (g *bf16Weight) task(i, thread int) {
	area := g.areas.of(thread)
	s := g.share(i, area)
	p := &g.parts[s.part]
	g.clear(&s, p)
	line := 0 // the next line of the inputs to rearrange
	for i := p.first; i < p.last; i++ {
		chunk, piece := g.plan.step(i)
		if i == p.first || piece == &g.plan.pieces[0] {
			line = piece.from
		}
		for line = max(line, piece.from); line < piece.until; line++ {
			g.packInputs(&s, line, chunk)
		}
		g.packGradients(&s, piece, chunk)
		var next bf16Prefetch
		if i+1 < p.last && g.bf16.Fetches {
			next = g.prefetch(&s, i+1, line)
		}
		g.multiply(&s, p, piece, i, &next)
	}
}

// at returns the sums of a filter element for one group of a share, from its first input
// channel and its output channel co on.
func (g *bf16Weight) at(s *bf16Share, element, group, co int) []float32 {
	w := g.plan
	return g.sums.of(s.part)[((element*w.cin+s.ci)*w.groups+s.group+group)*w.cout+s.co+co:]
}

// clear sets the sums of taps that have no product in a part to zero.
func (g *bf16Weight) clear(s *bf16Share, p *bf16Part) {
	for e, met := range p.met {
		for group := range s.groups {
			if met == p.last {
				clearColumns(g.at(s, e, group, 0), s.in, s.out, g.plan.groups*g.plan.cout)
			}
		}
	}
}

// packInputs rearranges a line of the inputs.
func (g *bf16Weight) packInputs(s *bf16Share, line int, chunk imageChunk) {
	w := g.plan
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
	w, cols := g.plan, g.bf16.Cols
	all := w.groups * w.cout
	pixels, rows := piece.count*w.ow, chunk.images
	if w.padded == w.batch && w.padded == chunk.images {
		pixels, rows = 1, pixels*rows // the rows of all pixels follow each other
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

// multiply adds the products of a piece while it prefetches the data of the next piece.
func (g *bf16Weight) multiply(s *bf16Share, p *bf16Part, piece *bf16Piece, step int, next *bf16Prefetch) {
	w, cols := g.plan, g.bf16.Cols
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

// bf16Prefetch is what the next piece reads from memory, a stretch of each factor, and
// the number of steps of products during which it can be prefetched.
type bf16Prefetch struct {
	x, dy []uint16
	steps int
}

// prefetch returns what a step of a part reads: used lines of the inputs from line on, and
// lines of the gradients.
func (g *bf16Weight) prefetch(s *bf16Share, step, line int) (a bf16Prefetch) {
	w := g.plan
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

// stretch returns the smallest slice of x that covers pixels from <= p < until of a chunk
// of images, for channels first <= c < first+channels of all. It returns nil if less than
// half of the slice is read, where pixels is how many pixels are.
func (g *bf16WeightPlan) stretch(x []uint16, chunk imageChunk, from, until, pixels, all, first, channels int) []uint16 {
	lo := (from*g.batch+chunk.first)*all + first
	hi := ((until-1)*g.batch+chunk.first+chunk.images-1)*all + first + channels
	if hi-lo > 2*pixels*chunk.images*channels {
		return nil
	}
	return x[lo:hi]
}

// take returns what to prefetch during so many steps, and how many bytes each step
// advances.
func (a *bf16Prefetch) take(steps int) (from []uint16, pace int) {
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

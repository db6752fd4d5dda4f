package cpu

import (
	"slices"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu/kernel"
)

// These constants limit what the gradient of a weight from bfloat16 rearranges at a time.
// They decide the order of its sums and depend on neither threads nor kernels.
const (
	bf16Near    = 320 << 10 // elements of both factors, which should stay in the second-level cache
	bf16Terms   = 512       // terms of a product that are worth reading and writing its sums
	bf16Most    = 640       // channels of both factors
	fewChannels = 8         // too few to be multiplied tap by tap
)

// bf16WeightPlan divides the gradient of a weight from bfloat16, whose sums run over
// pixels and images, into pieces: some lines of the gradients for some images. A line of
// the inputs is rearranged to [channel][pixel][image] and a line of the gradients to
// panels of pairs of images, so that every tap is one matrix product for every line.
type bf16WeightPlan struct {
	win               engine.Window
	batch, h, w       int
	oh, ow            int
	groups, cin, cout int // channels of one group
	across            bf16Columns
	few               *bf16Few // turns filter columns into channels where the channels are few; else nil
	most              bf16ChannelCounts

	chunks []imageChunk
	padded int // images of a chunk, rounded up to pairs
	lines  int // of the gradients in a piece
	pieces []bf16Piece

	used   []int // lines of the input that some tap reads
	number []int // for every line of the input, its index in used, or -1
	ring   int   // rearranged lines of the input that are in memory at a time
	row    int   // elements of a rearranged line from one channel to the next
}

// bf16ChannelCounts is a number of groups and of input and output channels of each.
type bf16ChannelCounts struct{ groups, in, out int }

// imageChunk is some images of the batch. offs lists the offset of every column of every
// one of them in a line, and -1 for padding.
type imageChunk struct {
	first, images int
	offs          []int
	reach         int // the largest of them
}

// bf16Piece is count lines of the gradients from line on. It reads the used lines
// from <= i < until of the input.
type bf16Piece struct {
	line, count int
	from, until int
	calls       []bf16Call
	terms       int // terms of all calls over all lines
}

// bf16Call is the matrix product of a piece for one element of the filter.
type bf16Call struct {
	element int
	terms   int // terms of each line
	segs    []kernel.Seg
}

// newBF16WeightPlan chooses the images and lines of a piece; listPieces lists the pieces.
func newBF16WeightPlan(s *engine.ConvGradWeight) *bf16WeightPlan {
	g := &bf16WeightPlan{win: s.Window, groups: s.Groups}
	n, cin, h, w := s.X.Dims()
	_, cout, oh, ow := s.DY.Dims()
	g.batch, g.h, g.w, g.oh, g.ow = n, h, w, oh, ow
	g.cin, g.cout = cin/s.Groups, cout/s.Groups
	if s.KH*s.KW == 1 && s.StrideH*s.StrideW == 1 && s.PadH+s.PadW == 0 {
		g.batch, g.h, g.w, g.oh, g.ow = n*h*w, 1, 1, 1, 1 // every pixel has the same tap
	}
	w = g.w
	if s.Groups == 1 && s.KW > 1 && g.cin < fewChannels && s.KW*g.cin <= bf16Most/2 {
		g.few = &bf16Few{channels: cin, from: newBF16Columns(s.Window, w, ow)}
		g.win.KW, g.win.StrideW, g.win.PadW, g.win.DilationW = 1, 1, 0, 1
		g.cin, w = s.KW*cin, ow
	}
	g.across = newBF16Columns(g.win, w, g.ow)
	g.useLines()
	g.chunk()
	return g
}

// line returns the input line that row ky of the filter reads for output line y. It may
// lie outside the image.
func (g *bf16WeightPlan) line(y, ky int) int {
	return y*g.win.StrideH - g.win.PadH + ky*g.win.DilationH
}

// useLines fills used and number.
func (g *bf16WeightPlan) useLines() {
	g.number = make([]int, g.h)
	for y := range g.oh {
		for ky := range g.win.KH {
			if i := g.line(y, ky); i >= 0 && i < g.h {
				g.number[i] = 1
			}
		}
	}
	for i, used := range g.number {
		if g.number[i] = -1; used == 1 {
			g.number[i] = len(g.used)
			g.used = append(g.used, i)
		}
	}
}

// needs returns the used lines from <= i < until of the input that count lines of the
// output, from y on, read.
func (g *bf16WeightPlan) needs(y, count int) (from, until int) {
	from = len(g.used)
	for i := range count {
		for ky := range g.win.KH {
			if i := g.line(y+i, ky); i >= 0 && i < g.h {
				from, until = min(from, g.number[i]), max(until, g.number[i]+1)
			}
		}
	}
	return min(from, until), until
}

// maxLines returns how many lines of the input a piece of so many lines reads at most.
func (g *bf16WeightPlan) maxLines(lines int) (most int) {
	most = 1
	for y := 0; y < g.oh; y += lines {
		from, until := g.needs(y, min(lines, g.oh-y))
		most = max(most, until-from)
	}
	return most
}

// chunk chooses how many images and lines a piece has.
func (g *bf16WeightPlan) chunk() {
	g.most = bf16ChannelCounts{min(g.groups, max(1, bf16Most/(g.cin+g.cout))), g.cin, g.cout}
	for g.most.in+g.most.out > bf16Most {
		if g.most.in > g.most.out {
			g.most.in = ceil(g.most.in, 2)
		} else {
			g.most.out = ceil(g.most.out, 2)
		}
	}
	in, out := g.most.groups*g.most.in, g.most.groups*g.most.out
	size := func(lines int) int { return g.maxLines(lines)*len(g.across.columns)*in + lines*g.ow*out }
	most, together := bf16Near/size(1), 8
	if g.oh*g.ow == 1 {
		most, together = min(most, bf16Terms), 32
	}
	n := ceil(g.batch, max(1, most))
	images := min(g.batch, ceil(ceil(g.batch, n), together)*together)
	g.padded = ceil(images, 2) * 2
	g.lines = min(g.oh, ceil(bf16Terms, g.ow*g.padded))
	for g.lines > 1 && size(g.lines)*g.padded > bf16Near {
		g.lines--
	}
	g.ring = g.maxLines(g.lines)
	g.row = oddLines(len(g.across.columns) * g.padded)
	from, channels := &g.across, g.groups*g.cin
	if g.few != nil {
		from, channels = &g.few.from, g.few.channels
		g.few.row = oddLines(len(from.columns) * g.padded)
	}
	for first := 0; first < g.batch; first += images {
		c := imageChunk{first: first, images: min(images, g.batch-first)}
		if first > 0 && c.images == images {
			c.offs = g.chunks[0].offs
		} else {
			c.offs = from.offsets(c.images, g.padded, g.batch, channels)
		}
		c.reach = slices.Max(c.offs)
		g.chunks = append(g.chunks, c)
	}
}

// sets returns the number of sets of channels where each has at most m.
func (g *bf16WeightPlan) sets(m bf16ChannelCounts) int {
	return ceil(g.groups, m.groups) * ceil(g.cin, m.in) * ceil(g.cout, m.out)
}

// oddLines returns n elements rounded up to an odd number of cache lines. Rows at such a
// distance do not compete for a few sets of the first-level cache.
func oddLines(n int) int {
	const line = 32
	return (ceil(n, line) | 1) * line
}

// listPieces lists the pieces with their products. line is the number of elements of a
// rearranged line of the inputs, cols the width of a panel.
func (g *bf16WeightPlan) listPieces(line, cols int) {
	for y := 0; y < g.oh; y += g.lines {
		p := bf16Piece{line: y, count: min(g.lines, g.oh-y)}
		p.from, p.until = g.needs(y, p.count)
		for e := range g.win.KH * g.win.KW {
			if c := g.call(&p, e, line, cols); c.terms > 0 && len(c.segs) > 0 {
				p.calls = append(p.calls, c)
				p.terms += c.terms * len(c.segs)
			}
		}
		g.pieces = append(g.pieces, p)
	}
}

// call returns the product of a piece for an element of the filter.
func (g *bf16WeightPlan) call(p *bf16Piece, element, line, cols int) bf16Call {
	ky, kx := element/g.win.KW, element%g.win.KW
	lo, hi := g.across.lo[kx], g.across.hi[kx]
	c := bf16Call{element: element, terms: (hi - lo) * g.padded}
	for i := range p.count {
		if y := g.line(p.line+i, ky); y >= 0 && y < g.h {
			c.segs = append(c.segs, kernel.Seg{
				A: g.number[y]%g.ring*line + (g.across.begin[kx]+lo)*g.padded,
				B: (i*g.ow + lo) * g.padded * cols,
			})
		}
	}
	return c
}

// steps returns the number of steps: one for every piece of every chunk of images.
func (g *bf16WeightPlan) steps() int { return len(g.chunks) * ceil(g.oh, g.lines) }

// step returns step i. The chunk is the slower index.
func (g *bf16WeightPlan) step(i int) (imageChunk, *bf16Piece) {
	n := len(g.pieces)
	return g.chunks[i/n], &g.pieces[i%n]
}

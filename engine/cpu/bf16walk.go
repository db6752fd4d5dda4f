package cpu

import (
	"slices"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu/kernel"
)

// What the gradient of a weight from bfloat16 rearranges at a time. The order of
// its sums follows from these numbers, which depend on neither threads nor kernels.
const (
	bf16Near    = 320 << 10 // elements of both factors: they should stay in the second cache
	bf16Terms   = 512       // of a product: they pay for reading and writing its sums
	bf16Most    = 640       // channels of both factors
	fewChannels = 8         // too few to be multiplied tap by tap
)

// bf16Walk is how the gradient of a weight from bfloat16 goes through the picture.
// Its sums run over pixels and images. A line of the inputs is rearranged to
// [channel][pixel][image], a line of the gradients to panels of pairs of images, so
// that a tap is one product for every line. That is done for some images and some
// lines at a time: a piece.
type bf16Walk struct {
	win               engine.Window
	batch, h, w       int
	oh, ow            int
	groups, cin, cout int // channels of one group
	across            bf16Columns
	few               *bf16Few // how inputs of few channels come to have more
	most              bf16ChannelCounts

	chunks []imageChunk
	padded int // images of a chunk, rounded up to pairs
	lines  int // of the gradients in a piece
	pieces []bf16Piece

	used   []int // lines of the input that some tap reaches
	number []int // of a line of the input, which of them it is
	ring   int   // lines of the input that are kept
	row    int   // elements of a rearranged line from one channel to the next
}

// bf16ChannelCounts is how many groups are gone through together, and how many
// channels of each.
type bf16ChannelCounts struct{ groups, in, out int }

// imageChunk is some images of the batch, and where those of the columns of a line
// lie; negative where there is none.
type imageChunk struct {
	first, images int
	offs          []int
	reach         int // the largest of them
}

// bf16Piece is some lines of the gradients, and which lines of the input they need,
// of those that are used.
type bf16Piece struct {
	line, count int
	from, until int
	calls       []bf16Call
	terms       int // of all of them, over all lines
}

// bf16Call is one product of a piece, for one element of the filter.
type bf16Call struct {
	element int
	terms   int // of a line
	segs    []kernel.Seg
}

// newBF16Walk divides the picture into pieces.
func newBF16Walk(s *engine.ConvGradWeight) *bf16Walk {
	g := &bf16Walk{win: s.Window, groups: s.Groups}
	n, cin, h, w := s.X.Dims()
	_, cout, oh, ow := s.DY.Dims()
	g.batch, g.h, g.w, g.oh, g.ow = n, h, w, oh, ow
	g.cin, g.cout = cin/s.Groups, cout/s.Groups
	if s.KH*s.KW == 1 && s.StrideH*s.StrideW == 1 && s.PadH+s.PadW == 0 {
		g.batch, g.h, g.w, g.oh, g.ow = n*h*w, 1, 1, 1, 1 // all pixels are alike
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

// line returns the line of the input of an element of the filter in the line y of
// the output, which may lie outside.
func (g *bf16Walk) line(y, ky int) int {
	return y*g.win.StrideH - g.win.PadH + ky*g.win.DilationH
}

// useLines lists the lines of the input that are used.
func (g *bf16Walk) useLines() {
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

// needs returns the lines of the input that some lines of the output need: the
// first and the one behind the last, of those that are used.
func (g *bf16Walk) needs(y, count int) (from, until int) {
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

// keeps returns how many lines of the input a piece of some lines needs at most.
func (g *bf16Walk) keeps(lines int) (most int) {
	most = 1
	for y := 0; y < g.oh; y += lines {
		from, until := g.needs(y, min(lines, g.oh-y))
		most = max(most, until-from)
	}
	return most
}

// chunk chooses how many images and lines are rearranged at a time.
func (g *bf16Walk) chunk() {
	g.most = bf16ChannelCounts{min(g.groups, max(1, bf16Most/(g.cin+g.cout))), g.cin, g.cout}
	for g.most.in+g.most.out > bf16Most {
		if g.most.in > g.most.out {
			g.most.in = ceil(g.most.in, 2)
		} else {
			g.most.out = ceil(g.most.out, 2)
		}
	}
	in, out := g.most.groups*g.most.in, g.most.groups*g.most.out
	size := func(lines int) int { return g.keeps(lines)*len(g.across.columns)*in + lines*g.ow*out }
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
	g.ring = g.keeps(g.lines)
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

// sets returns how many sets of so many channels there are.
func (g *bf16Walk) sets(m bf16ChannelCounts) int {
	return ceil(g.groups, m.groups) * ceil(g.cin, m.in) * ceil(g.cout, m.out)
}

// oddLines returns n elements rounded up to an odd number of cache lines: rows that
// lie so far apart do not share a few sets of the first cache.
func oddLines(n int) int {
	const line = 32
	return (ceil(n, line) | 1) * line
}

// plan lists the pieces with their products. line is how many elements of the
// inputs a line takes, cols how wide a panel is.
func (g *bf16Walk) plan(line, cols int) {
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
func (g *bf16Walk) call(p *bf16Piece, element, line, cols int) bf16Call {
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

// steps returns how many pieces of all chunks of images there are.
func (g *bf16Walk) steps() int { return len(g.chunks) * ceil(g.oh, g.lines) }

// step returns one of them, the chunks outermost.
func (g *bf16Walk) step(i int) (imageChunk, *bf16Piece) {
	n := len(g.pieces)
	return g.chunks[i/n], &g.pieces[i%n]
}

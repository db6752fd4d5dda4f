package cpu

import (
	"math"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu/kernel"
)

// lineTiles computes a convolution of three or four channels with stride 2, such as the first of
// a network, by tiles of a line and products of 16-bit integers. Lines of kernel says how. The
// lines of the filter are segments of a sum. A task computes a block of lines of one image, which
// have one scale.
type lineTiles struct {
	strips
	bf16        *kernel.BF16
	ints        *kernel.Int16
	bytes       *kernel.Int8
	src         []uint16
	dst         activation
	after       *epilogue
	areas       *areas
	cout        int
	tiles       int // of a line, an even number
	point, line int // integers of a point of a line, and of a line
	packed      func() memory
}

// lineBlock is the number of lines of a block. It does not depend on the number of threads, since
// the scale of its integers changes results.
const lineBlock = 8

// byLineTiles reports whether a convolution is computed so. In a program without updates that
// depends on nothing but the shape of the layer. AMX multiplies bfloat16 faster.
func (b *binder) byLineTiles(s *engine.Conv) bool {
	_, c, h, _ := s.X.Dims()
	_, cout, _, ow := s.Y.Dims()
	w := s.Window
	fits := w.Groups == 1 && w.StrideW == 2 && w.DilationW == 1 && w.DilationH == 1 && w.KW >= 5 && w.KW <= 2*kernel.LineTaps &&
		(c == 3 || c == 4) && cout%32 == 0 && ow >= 2*kernel.LineTile && w.PadH < w.KH && h >= w.KH
	return b.Static && !b.direct && b.set.ISA != kernel.AMX && fits && s.Residual == nil && s.Stats == nil && (isBF16(s.Y) || isBytes(s.Y)) &&
		(lineBlock-1)*w.StrideH+w.KH <= kernel.MostLines
}

// lineTiles binds such a convolution.
func (b *binder) lineTiles(s *engine.Conv, after *epilogue) func() {
	n, c, h, w := s.X.Dims()
	_, cout, oh, ow := s.Y.Dims()
	l := &lineTiles{
		strips: strips{set: b.set, win: s.Window, images: n, c: c, h: h, w: w, oh: oh, ow: ow, groups: n, together: 1, lines: lineBlock},
		bf16:   &b.set.BF16, ints: &b.set.Int16, bytes: &b.set.Int8, src: b.act(s.X).bf16, dst: b.act(s.Y), after: after, areas: b.areas, cout: cout,
	}
	l.tiles = ceil(ow, 2*kernel.LineTile) * 2
	l.width = ceil(max((w+2*s.PadW)*c, (kernel.LineTile*l.tiles+kernel.LineTaps)*l.size()), 32) * 32
	l.point = l.tiles*kernel.LineDepth + 32
	l.line = kernel.LinePoints * l.point
	for y := range oh {
		if y%lineBlock == 0 {
			l.begin(y)
		}
		l.segs = append(l.segs, l.segsOf(y))
	}
	l.count = ceil(oh, lineBlock)
	b.areas.need(l.inputSize() + kernel.LinePoints*l.step() + 3*cout + l.tiles*kernel.LineTile*l.ints.Cols/2 + kernel.TileScratch)
	weights := b.packLineTiles(l, s)
	task := l.task
	return inOrder(weights, func() { b.pool.runOn(l.count*n, task) })
}

// size is the number of elements of a value, which is two pixels.
func (l *lineTiles) size() int { return 2 * l.c }

// step is the distance of points in products.
func (l *lineTiles) step() int { return l.tiles*l.ints.Cols + 16 }

// inputSize is the number of float32 that the input lines of a block take, as they are and
// transformed.
func (l *lineTiles) inputSize() int { return l.mostInput * (l.width + l.line) / 2 }

// segsOf returns the segments of line y of the result in its block.
func (l *lineTiles) segsOf(y int) (segs []kernel.Seg) {
	for i := range l.win.KH {
		line := y*l.win.StrideH - l.win.PadH + i
		if line >= 0 && line < l.h {
			segs = append(segs, kernel.Seg{A: (line - l.firstLine[y/lineBlock]) * l.line, B: i * l.size() * l.ints.Cols})
		}
	}
	return segs
}

// panelSize is the number of integers of a panel, and scaleSize that of its scales.
func (l *lineTiles) panelSize() int {
	return kernel.LinePoints * l.win.KH * l.size() * l.ints.Cols
}
func (l *lineTiles) scaleSize() int { return kernel.LinePoints * l.ints.Cols }

func (l *lineTiles) panels() int { return l.cout / l.ints.Cols }

// packLineTiles binds the packing of the weights [KH][KW*c][cout]: for every panel its integers
// and then its scales.
func (b *binder) packLineTiles(l *lineTiles, s *engine.Conv) (prepare func()) {
	values, size := b.mem(s.W), l.panelSize()/2+l.scaleSize()
	w := weights{value: s.W, bf16: true, strips: true}
	l.packed, prepare = b.packing(w, kernel.LineTile, l.panels()*size, l.panels(), func(packed memory, q, _ int) {
		panel := packed[q*size:][:size]
		kernel.FilterLines(panel[:l.panelSize()/2].int16s(), panel[l.panelSize()/2:], values[q*l.ints.Cols:], l.win.KH, l.win.KW*l.c, l.size(),
			l.ints.Cols, l.cout, l.ints.Cols)
	})
	return prepare
}

// task computes a block of lines of one image.
func (l *lineTiles) task(i, thread int) {
	block, image := i/l.images, i%l.images
	area := l.areas.of(thread)
	lines := l.inputs[block]
	input, rest := area[:l.mostInput*l.width/2].bf16(), area[l.inputSize():]
	values := area[l.mostInput*l.width/2:][:l.mostInput*l.line/2].int16s()
	for r := range lines {
		l.copyLines(input[r*l.width:], l.src, l.firstLine[block]+r, image, 1)
	}
	products, rest := rest[:kernel.LinePoints*l.step()], rest[kernel.LinePoints*l.step():]
	scale, shift, rest := rest[:l.cout], rest[l.cout:2*l.cout], rest[2*l.cout:]
	scratch := rest[l.tiles*kernel.LineTile*l.ints.Cols/2:]
	inverse := l.ints.Lines.Input(values, l.line, l.point, input, l.width, lines, l.size(), l.tiles, scratch)
	l.factors(scale, shift, inverse)
	for q := range l.panels() {
		for y := block * lineBlock; y < min((block+1)*lineBlock, l.oh); y++ {
			l.multiply(q, y, values, products)
			l.finish(q, y, image, products, scale, shift, rest)
		}
	}
}

// factors sets what the results of columns are multiplied by and what is then added.
func (l *lineTiles) factors(scale, shift memory, inverse float32) {
	for j := range scale {
		scale[j], shift[j] = inverse, float32(math.Copysign(0, -1))
	}
	if l.after == nil {
		return
	}
	for j, v := range l.after.scale {
		scale[j] = float32(inverse * v)
	}
	copy(shift, l.after.shift)
}

// multiply computes the products of a line for a panel of columns.
func (l *lineTiles) multiply(q, y int, values []int16, products memory) {
	cols, size := l.ints.Cols, l.panelSize()/2+l.scaleSize()
	panel := l.packed()[q*size:][:size]
	weights, scales := panel[:l.panelSize()/2].int16s(), panel[l.panelSize()/2:]
	each := l.win.KH * l.size() * cols
	for p := range kernel.LinePoints {
		l.ints.DotSegs(products[p*l.step():], cols, values[p*l.point:], kernel.LineDepth, weights[p*each:], l.segs[y], scales[p*cols:], l.size(),
			ceil(l.ow, kernel.LineTile), cols)
	}
}

// finish makes the results of a line in a panel of columns.
func (l *lineTiles) finish(q, y, image int, products, scale, shift, area memory) {
	cols := l.ints.Cols
	lo, pixel, full := q*cols, l.images*l.cout, l.ow/kernel.LineTile
	to := (y*l.ow*l.images+image)*l.cout + lo
	relu := l.after != nil && l.after.relu
	aside := area.bf16()
	if l.dst.bytes != nil {
		l.ints.Lines.Output(aside, cols, products, l.step(), scale[lo:], shift[lo:], false, ceil(l.ow, kernel.LineTile))
		l.bytes.BytesOfBF16(l.dst.bytes[to:], pixel, aside, cols, l.ow, cols, l.after.least)
		return
	}
	l.ints.Lines.Output(l.dst.bf16[to:], pixel, products, l.step(), scale[lo:], shift[lo:], relu, full)
	if rest := l.ow - full*kernel.LineTile; rest > 0 {
		l.ints.Lines.Output(aside, cols, products[full*cols:], l.step(), scale[lo:], shift[lo:], relu, 1)
		for x := range rest {
			copy(l.dst.bf16[to+(full*kernel.LineTile+x)*pixel:][:cols], aside[x*cols:])
		}
	}
}

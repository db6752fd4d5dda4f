package cpu

import (
	"unsafe"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu/kernel"
)

// mostStripLines is the most lines of the result in one strip, whose inputs then fit the
// cache.
const mostStripLines = 14

// In a batch of stripImages images or more, the rows of a product are the same pixel of up to
// stripGroup images, whose results lie side by side. The results of a line of one image are far from each other there, and all
// compete for one set of the cache. The lines of such a group take stripBudget bytes at most.
const (
	stripImages = 32
	stripGroup  = 32
	stripBudget = 384 << 10
)

// byStrips makes p compute by strips, where it would gather patches, and reports whether it
// does. Other kernels have sums in another order, so this must depend only on the layer, and
// on whether a kernel has DotRound.
func (b *binder) byStrips(p *bf16Product, s *engine.Conv) bool {
	n, c, h, w := s.X.Dims()
	_, _, oh, ow := s.Y.Dims()
	if !p.patches || !p.finishes() || p.dst.full != nil || p.groups > 1 || s.DilationW != 1 || s.Residual != nil || s.KW*c > 64 {
		return false
	}
	t := &strips{set: b.set, win: s.Window, images: n, c: c, h: h, w: w, oh: oh, ow: ow, width: (w + 2*s.PadW) * c}
	t.groups = n
	if n >= stripImages {
		t.groups = ceil(n, stripGroup)
	}
	t.together = ceil(n, t.groups)
	t.lines = max(1, min(mostStripLines, oh*t.groups/(4*b.pool.threads), oh))
	for t.together > 1 && t.lines > 1 && 2*t.together*t.width*t.reach(t.lines) > stripBudget {
		t.lines--
	}
	t.count = ceil(oh, t.lines)
	for y := range oh {
		if y%t.lines == 0 {
			t.begin(y)
		}
		segs := t.segsOf(y, p.bf16.Cols)
		if len(segs) == 0 {
			return false
		}
		t.segs = append(t.segs, segs)
	}
	for x := range w {
		t.pixels = append(t.pixels, x*n)
	}
	t.frame = (ceil(t.mostInput*t.width, lineWords) | 1) * lineWords // an odd number of cache lines
	p.strips, p.patches, p.work = t, false, p.stripTask
	aside := p.bf16.Cols // columns of results that are computed in an area
	if p.dst.bytes != nil {
		aside *= p.panels
	}
	b.areas.need(ceil(t.together*t.frame, 2) + ceil(max(ow, t.together)*aside, 2) + 2*aside)
	return true
}

// reach is how many lines of the input so many lines of the result read.
func (t *strips) reach(lines int) int {
	return (lines-1)*t.win.StrideH + (t.win.KH-1)*t.win.DilationH + 1
}

// begin adds the strip that begins with line y of the result.
func (t *strips) begin(y int) {
	last := min(y+t.lines, t.oh) - 1
	from := max(0, y*t.win.StrideH-t.win.PadH)
	to := min(t.h, y*t.win.StrideH-t.win.PadH+t.reach(last-y+1))
	t.firstLine, t.inputs = append(t.firstLine, from), append(t.inputs, max(0, to-from))
	t.mostInput = max(t.mostInput, to-from)
}

// segsOf returns the segments of line y of the result in its strip.
func (t *strips) segsOf(y, cols int) (segs []kernel.Seg) {
	for i := range t.win.KH {
		line := y*t.win.StrideH - t.win.PadH + i*t.win.DilationH
		if line >= 0 && line < t.h {
			segs = append(segs, kernel.Seg{A: (line - t.firstLine[y/t.lines]) * t.width, B: i * t.panelRows() * cols})
		}
	}
	return segs
}

// stripTask computes all columns of one strip of one image or of a group of images.
func (p *bf16Product) stripTask(i int) {
	t := p.strips
	strip, group := i/t.groups, i%t.groups
	image, end := t.images*group/t.groups, t.images*(group+1)/t.groups
	area := p.areas.get()
	defer p.areas.put(area)
	size := ceil(t.together*t.frame, 2)
	input, rest := area[:size].bf16(), area[size:]
	for l := range t.inputs[strip] {
		t.copyLines(input[l*t.width:], p.src, t.firstLine[strip]+l, image, end-image)
	}
	for y := strip * t.lines; y < min((strip+1)*t.lines, t.oh); y++ {
		if t.together == 1 {
			p.stripRows(rest, input, (y*t.ow*t.images+image)*p.n, t.images*p.n, t.win.StrideW*t.c, t.segs[y], t.ow)
			continue
		}
		for x := range t.ow {
			p.stripRows(rest, input[x*t.win.StrideW*t.c:], ((y*t.ow+x)*t.images+image)*p.n, p.n, t.frame, t.segs[y], end-image)
		}
	}
}

// stripRows computes all columns of some rows, whose inputs lie ars apart and whose results,
// from element to on, ldy apart.
func (p *bf16Product) stripRows(area memory, input []uint16, to, ldy, ars int, segs []kernel.Seg, rows int) {
	if p.dst.bytes != nil {
		p.rowsOfBytes(area, input, to, ldy, ars, segs, rows)
		return
	}
	packed, panel, k := p.packed().bf16(), p.panelSize(), p.strips.win.KW*p.strips.c
	for q := range p.panels {
		lo := q * p.bf16.Cols
		n := min(p.bf16.Cols, p.n-lo)
		if !p.fits(n) {
			p.narrowRows(area, input, packed[q*panel:], to+lo, ldy, ars, lo, n, segs, rows)
			continue
		}
		p.bf16.DotRound(p.dst.bf16[to+lo:], ldy, input, ars, packed[q*panel:], segs, k, rows, n, p.drain(to+lo, lo), nil, 0)
	}
}

// rowsOfBytes is stripRows for results of 8 bits. It computes all columns in area before it
// rounds them. Rounding to bfloat16 first moves a result by less than half a step.
func (p *bf16Product) rowsOfBytes(area memory, input []uint16, to, ldy, ars int, segs []kernel.Seg, rows int) {
	cols, packed, panel, k := p.bf16.Cols, p.packed().bf16(), p.panelSize(), p.strips.win.KW*p.strips.c
	all := p.panels * cols
	scale, shift, result := area[:all], area[all:2*all], area[2*all:].bf16()
	copy(scale, p.after.scale)
	copy(shift, p.after.shift)
	for q := range p.panels {
		f := kernel.Finish{Scale: scale[q*cols:], Shift: shift[q*cols:]}
		p.bf16.DotRound(result[q*cols:], all, input, ars, packed[q*panel:], segs, k, rows, cols, f, nil, 0)
	}
	p.set.Int8.BytesOfBF16(p.dst.bytes[to:], ldy, result, all, rows, p.n, p.after.least)
}

// narrowRows computes rows of n columns, which the kernel cannot, as rows of a full panel in
// area, and copies them.
func (p *bf16Product) narrowRows(area memory, input, panel []uint16, to, ldy, ars, lo, n int, segs []kernel.Seg, rows int) {
	t, cols := p.strips, p.bf16.Cols
	f := p.drain(to, lo)
	scale, shift, result := area[:cols], area[cols:2*cols], area[2*cols:].bf16()
	if f.Scale != nil {
		copy(scale, f.Scale[:n])
		f.Scale = scale
	}
	if f.Shift != nil {
		copy(shift, f.Shift[:n])
		f.Shift = shift
	}
	f.Res = nil
	p.bf16.DotRound(result, cols, input, ars, panel, segs, t.win.KW*t.c, rows, cols, f, nil, 0)
	for r := range rows {
		copy(p.dst.bf16[to+r*ldy:][:n], result[r*cols:])
	}
}

// copyLines copies a line of some images, with zeros at its sides.
func (t *strips) copyLines(to, src []uint16, line, image, images int) {
	side, n := t.win.PadW*t.c, t.w*t.c
	for i := range images {
		to := to[i*t.frame:]
		clear(to[:side])
		clear(to[side+n : t.width])
	}
	src, to = src[(line*t.w*t.images+image)*t.c:], to[side:]
	switch {
	case t.images == 1:
		copy(to[:n], src)
	case t.c == 1 && images > 1:
		t.set.BF16.Transpose(to, src, t.pixels, images, t.frame)
	default:
		for i := range images {
			t.gather(to[i*t.frame:][:n], src[i*t.c:])
		}
	}
}

// gather copies the pixels of a line of one image, which are among those of others.
func (t *strips) gather(to, src []uint16) {
	distance := t.images * t.c
	if t.c == 3 { // four elements at once, of which the last is overwritten by the next pixel
		for len(to) > 3 {
			*(*uint64)(unsafe.Pointer(&to[:4][0])) = *(*uint64)(unsafe.Pointer(&src[:4][0]))
			to, src = to[3:], src[distance:]
		}
		copy(to, src[:3])
		return
	}
	for x := range t.w {
		copy(to[x*t.c:][:t.c], src[x*distance:])
	}
}

// packStrips writes panel q from weights [KH][KW*c][n].
func (p *bf16Product) packStrips(panel []uint16, weight memory, _, q int) {
	t, cols := p.strips, p.bf16.Cols
	rows := t.win.KW * t.c
	for i := range t.win.KH {
		p.bf16.PackPairsFloat(panel[i*t.panelRows()*cols:], weight[i*rows*p.n+q*cols:], rows, min(cols, p.n-q*cols), p.n, cols)
	}
}

package cpu

import (
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu/kernel"
)

// mostStripLines is the most lines of the result in one strip, whose inputs then fit the
// cache.
const mostStripLines = 14

// byStrips makes p compute by strips, where it would gather patches, and reports whether it
// does. Other kernels have sums in another order, so this must depend only on the layer, and
// on whether a kernel has DotRound.
func (b *binder) byStrips(p *bf16Product, s *engine.Conv) bool {
	n, c, h, w := s.X.Dims()
	_, _, oh, ow := s.Y.Dims()
	if !p.patches || !p.finishes() || p.dst.full != nil || p.groups > 1 || s.DilationW != 1 || s.Residual != nil || s.KW*c > 64 {
		return false
	}
	t := &strips{win: s.Window, images: n, c: c, h: h, w: w, oh: oh, ow: ow, width: (w + 2*s.PadW) * c}
	t.lines = max(1, min(mostStripLines, oh*n/(4*b.pool.threads), oh))
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
	p.strips, p.patches, p.work = t, false, p.stripTask
	aside := p.bf16.Cols // columns of a line that is computed in an area
	if p.dst.bytes != nil {
		aside *= p.panels
	}
	b.areas.need(ceil(t.mostInput*t.width, 2) + ceil(ow*aside, 2) + 2*aside)
	return true
}

// begin adds the strip that begins with line y of the result.
func (t *strips) begin(y int) {
	last := min(y+t.lines, t.oh) - 1
	from := max(0, y*t.win.StrideH-t.win.PadH)
	to := min(t.h, last*t.win.StrideH-t.win.PadH+(t.win.KH-1)*t.win.DilationH+1)
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

// stripTask computes all columns of one strip of one image.
func (p *bf16Product) stripTask(i int) {
	t := p.strips
	strip, image := i/t.images, i%t.images
	area := p.areas.get()
	defer p.areas.put(area)
	size := ceil(t.mostInput*t.width, 2)
	input, rest := area[:size].bf16(), area[size:]
	for l := range t.inputs[strip] {
		t.copyLine(input[l*t.width:][:t.width], p.src, t.firstLine[strip]+l, image)
	}
	if p.dst.bytes != nil {
		for y := strip * t.lines; y < min((strip+1)*t.lines, t.oh); y++ {
			p.lineOfBytes(rest, input, y, image)
		}
		return
	}
	packed, panel := p.packed().bf16(), p.panelSize()
	for q := range p.panels {
		lo := q * p.bf16.Cols
		n := min(p.bf16.Cols, p.n-lo)
		for y := strip * t.lines; y < min((strip+1)*t.lines, t.oh); y++ {
			to := (y*t.ow*t.images+image)*p.n + lo
			if !p.fits(n) {
				p.narrowLine(rest, input, packed[q*panel:], to, lo, n, t.segs[y])
				continue
			}
			p.bf16.DotRound(p.dst.bf16[to:], t.images*p.n, input, t.win.StrideW*t.c, packed[q*panel:], t.segs[y],
				t.win.KW*t.c, t.ow, n, p.drain(to, lo), nil, 0)
		}
	}
}

// lineOfBytes computes all columns of a line in area, and rounds them to 8 bits. Rounding to
// bfloat16 first moves a result by less than half a step.
func (p *bf16Product) lineOfBytes(area memory, input []uint16, y, image int) {
	t, cols, packed, panel := p.strips, p.bf16.Cols, p.packed().bf16(), p.panelSize()
	all := p.panels * cols
	scale, shift, line := area[:all], area[all:2*all], area[2*all:].bf16()
	copy(scale, p.after.scale)
	copy(shift, p.after.shift)
	for q := range p.panels {
		f := kernel.Finish{Scale: scale[q*cols:], Shift: shift[q*cols:]}
		p.bf16.DotRound(line[q*cols:], all, input, t.win.StrideW*t.c, packed[q*panel:], t.segs[y], t.win.KW*t.c, t.ow, cols, f, nil, 0)
	}
	p.set.Int8.BytesOfBF16(p.dst.bytes[(y*t.ow*t.images+image)*p.n:], t.images*p.n, line, all, t.ow, p.n, p.after.least)
}

// narrowLine computes a line of n columns, which the kernel cannot, as a line of a full panel
// in area, and copies it.
func (p *bf16Product) narrowLine(area memory, input, panel []uint16, to, lo, n int, segs []kernel.Seg) {
	t, cols := p.strips, p.bf16.Cols
	f := p.drain(to, lo)
	scale, shift, line := area[:cols], area[cols:2*cols], area[2*cols:].bf16()
	if f.Scale != nil {
		copy(scale, f.Scale[:n])
		f.Scale = scale
	}
	if f.Shift != nil {
		copy(shift, f.Shift[:n])
		f.Shift = shift
	}
	f.Res = nil
	p.bf16.DotRound(line, cols, input, t.win.StrideW*t.c, panel, segs, t.win.KW*t.c, t.ow, cols, f, nil, 0)
	for x := range t.ow {
		copy(p.dst.bf16[to+x*t.images*p.n:][:n], line[x*cols:])
	}
}

// copyLine copies a line of one image, with zeros at its sides.
func (t *strips) copyLine(to, src []uint16, line, image int) {
	side := t.win.PadW * t.c
	clear(to[:side])
	clear(to[side+t.w*t.c:])
	to, src = to[side:side+t.w*t.c], src[(line*t.w*t.images+image)*t.c:]
	switch {
	case t.images == 1:
		copy(to, src)
	case t.c == 1:
		for x := range to {
			to[x] = src[x*t.images]
		}
	case t.c == 3:
		for len(to) >= 3 {
			to[0], to[1], to[2] = src[0], src[1], src[2]
			to, src = to[3:], src[min(len(src), 3*t.images):]
		}
	default:
		for x := range t.w {
			copy(to[x*t.c:][:t.c], src[x*t.images*t.c:])
		}
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

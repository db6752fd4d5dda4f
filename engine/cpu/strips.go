package cpu

import (
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu/kernel"
)

// mostStripLines is the most lines of the result in one strip, whose inputs then fit the
// cache.
const mostStripLines = 14

// mostStripPixel is the most elements of all images at one pixel in training, whose batches
// are large: a line of one image takes a cache line for every pixel.
const mostStripPixel = 64

// sumTasks is the least number of tasks where each sums its results for a batch norm, which
// must not depend on the number of threads.
const sumTasks = 32

// byStrips makes p compute by strips, where it would gather patches, and reports whether it
// does. Other kernels have sums in another order, so this must depend only on the layer, and
// on whether a kernel has DotRound.
func (b *binder) byStrips(p *bf16Product, s *engine.Conv) bool {
	n, c, h, w := s.X.Dims()
	_, _, oh, ow := s.Y.Dims()
	if !p.patches || !p.rounds() || p.groups > 1 || s.DilationW != 1 || s.Residual != nil || s.KW*c > 64 {
		return false
	}
	if p.sums() && n*c > mostStripPixel {
		return false
	}
	t := &strips{win: s.Window, images: n, c: c, h: h, w: w, oh: oh, ow: ow, width: (w + 2*s.PadW) * c}
	tasks := 4 * b.pool.threads
	if p.sums() {
		tasks = sumTasks
	}
	t.lines = max(1, min(mostStripLines, oh*n/tasks, oh))
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
	b.areas.need(ceil(t.mostInput*t.width, 2) + ceil(ow*p.bf16.Cols, 2) + (2+columnSums)*p.bf16.Cols)
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
	packed, panel := p.packed().bf16(), p.panelSize()
	for q := range p.panels {
		lo := q * p.bf16.Cols
		n := min(p.bf16.Cols, p.n-lo)
		sums := p.sumArea(area)
		for y := strip * t.lines; y < min((strip+1)*t.lines, t.oh); y++ {
			to := (y*t.ow*t.images+image)*p.n + lo
			if !p.fits(n) {
				p.narrowLine(rest, input, packed[q*panel:], to, lo, n, t.segs[y], sums, y%t.lines == 0)
				continue
			}
			p.line(p.dst.bf16[to:], t.images*p.n, input, packed[q*panel:], t.segs[y], n, p.drain(to, lo), sums, y%t.lines == 0)
		}
		if p.sums() {
			p.after.stats.add(i, lo, n, sums, p.bf16.Cols, p.shift(lo))
		}
	}
}

// line computes n columns of a line into y, whose pixels are ldy apart, and adds them to sums
// if there are some, of which those of the first line are fresh.
func (p *bf16Product) line(y []uint16, ldy int, input, panel []uint16, segs []kernel.Seg, n int, f kernel.Finish, sums []float32, fresh bool) {
	t := p.strips
	ars, k := t.win.StrideW*t.c, t.win.KW*t.c
	if p.sums() {
		p.bf16.DotStats(y, ldy, input, ars, panel, segs, k, t.ow, n, f.Shift, sums, fresh, nil, 0)
		return
	}
	p.bf16.DotRound(y, ldy, input, ars, panel, segs, k, t.ow, n, f, nil, 0)
}

// stripRows lists the rows of every task.
func (t *strips) stripRows() (rows []int) {
	for i := range t.count * t.images {
		strip := i / t.images
		rows = append(rows, min(t.lines, t.oh-strip*t.lines)*t.ow)
	}
	return rows
}

// narrowLine computes a line of n columns, which the kernel cannot, as a line of a full panel
// in area, and copies it.
func (p *bf16Product) narrowLine(area memory, input, panel []uint16, to, lo, n int, segs []kernel.Seg, sums []float32, fresh bool) {
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
	p.line(line, cols, input, panel, segs, cols, f, sums, fresh)
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

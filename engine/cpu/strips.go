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
	if !p.patches || !p.finishes() || p.dst.full != nil || p.groups > 1 || s.DilationW != 1 || s.Residual != nil || s.KW*c > 64 {
		return false
	}
	if p.sums() && n*c > mostStripPixel {
		return false
	}
	t := &strips{set: b.set, win: s.Window, images: n, c: c, h: h, w: w, oh: oh, ow: ow, width: (w + 2*s.PadW) * c}
	t.groups = n
	if n >= stripImages && !p.sums() {
		t.groups = ceil(n, stripGroup)
	}
	t.together = ceil(n, t.groups)
	tasks := 4 * b.pool.threads
	if p.sums() {
		tasks = sumTasks
	}
	t.lines = max(1, min(mostStripLines, oh*t.groups/tasks, oh))
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
	b.areas.need(ceil(t.together*t.frame, 2) + ceil(max(ow, t.together)*aside, 2) + 2*aside + columnSums*p.bf16.Cols)
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
func (p *bf16Product) stripTask(i, thread int) {
	t := p.strips
	strip, group := i/t.groups, i%t.groups
	image, end := t.images*group/t.groups, t.images*(group+1)/t.groups
	area := p.areas.of(thread)
	size := ceil(t.together*t.frame, 2)
	input, rest := area[:size].bf16(), area[size:]
	for l := range t.inputs[strip] {
		t.copyLines(input[l*t.width:], p.src, t.firstLine[strip]+l, image, end-image)
	}
	if p.sums() {
		p.stripSums(i, strip, image, rest, input)
		return
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

// stripSums is stripTask for a strip of one image whose results are summed for a batch norm,
// panel by panel.
func (p *bf16Product) stripSums(task, strip, image int, area memory, input []uint16) {
	t, packed, panel := p.strips, p.packed().bf16(), p.panelSize()
	sums := p.sumArea(area)
	for q := range p.panels {
		lo := q * p.bf16.Cols
		n := min(p.bf16.Cols, p.n-lo)
		for y := strip * t.lines; y < min((strip+1)*t.lines, t.oh); y++ {
			p.multiplyRows(area, input, packed[q*panel:], (y*t.ow*t.images+image)*p.n+lo, t.images*p.n, t.win.StrideW*t.c, lo, n,
				t.segs[y], t.ow, sums, y%t.lines == 0)
		}
		p.after.stats.add(task, lo, n, sums, p.bf16.Cols, p.shift(lo))
	}
}

// rowsOfTasks lists the rows of every task.
func (t *strips) rowsOfTasks() (rows []int) {
	for i := range t.count * t.groups {
		strip := i / t.groups
		rows = append(rows, min(t.lines, t.oh-strip*t.lines)*t.ow)
	}
	return rows
}

// stripRows computes all columns of some rows, whose inputs lie ars apart and whose results,
// from element to on, ldy apart.
func (p *bf16Product) stripRows(area memory, input []uint16, to, ldy, ars int, segs []kernel.Seg, rows int) {
	if p.dst.bytes != nil {
		p.rowsOfBytes(area, input, to, ldy, ars, segs, rows)
		return
	}
	packed, panel := p.packed().bf16(), p.panelSize()
	for q := range p.panels {
		lo := q * p.bf16.Cols
		p.multiplyRows(area, input, packed[q*panel:], to+lo, ldy, ars, lo, min(p.bf16.Cols, p.n-lo), segs, rows, nil, false)
	}
}

// multiplyRows computes n columns of some rows, from lo on. If there are sums, it adds the
// results to them; fresh says that these are the first.
func (p *bf16Product) multiplyRows(area memory, input, panel []uint16, to, ldy, ars, lo, n int, segs []kernel.Seg, rows int, sums []float32, fresh bool) {
	k := p.strips.win.KW * p.strips.c
	f, y, width, cols := p.drain(to, lo), p.dst.bf16[to:], ldy, n
	narrow := !p.fits(n)
	if narrow { // the kernel computes a full panel in area, which is then copied
		cols, width, y = p.bf16.Cols, p.bf16.Cols, p.aside(area, &f, n)
	}
	if sums != nil {
		p.bf16.DotStats(y, width, input, ars, panel, segs, k, rows, cols, f.Shift, sums, fresh, nil, 0)
	} else {
		p.bf16.DotRound(y, width, input, ars, panel, segs, k, rows, cols, f, nil, 0)
	}
	for r := 0; narrow && r < rows; r++ {
		copy(p.dst.bf16[to+r*ldy:][:n], y[r*width:])
	}
}

// aside makes f that of a full panel, of which n columns are used, and returns the part of area
// for its results.
func (p *bf16Product) aside(area memory, f *kernel.Finish, n int) []uint16 {
	cols := p.bf16.Cols
	scale, shift := area[:cols], area[cols:2*cols]
	if f.Scale != nil {
		copy(scale, f.Scale[:n])
		f.Scale = scale
	}
	if f.Shift != nil {
		copy(shift, f.Shift[:n])
		f.Shift = shift
	}
	f.Res = nil
	return area[2*cols:].bf16()
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

package cpu

import (
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu/kernel"
)

const (
	depthwiseElements = 1 << 13 // results that one task computes, which stay in the first-level cache
	depthwiseParts    = 32      // parts of the image whose weight gradients are summed separately, at most
	depthwiseRows     = 192     // rows (pixels times batch) of one sum of a weight gradient
)

// isDepthwise reports whether every channel of a convolution is a group of its own. A product of
// matrices would then have a single row and column; instead the channels, which lie together in
// memory, are multiplied side by side.
func isDepthwise(w engine.Window, in, out *engine.Value) bool {
	_, cin, _, _ := in.Dims()
	_, cout, _, _ := out.Dims()
	return w.Groups > 1 && cin == w.Groups && cout == w.Groups
}

// depthwise computes a depthwise convolution, or the gradient of its input: for every pixel of
// dst, the sum over the taps of the source pixel times the tap's weights, one a channel.
type depthwise struct {
	set      *kernel.Set
	n, c     int // images and channels: a pixel has n rows of c elements
	taps     [][]tap
	src, dst activation
	base     activation // added to the result; may be empty
	weight   memory     // [tap][c]
	after    *epilogue
	areas    *areas
	rows     int // of dst, pixels times images
	each     int // rows of one task
}

// depthwise binds d, whose weights are those of value w.
func (b *binder) depthwise(d *depthwise, w *engine.Value) func() {
	d.set, d.areas, d.weight = b.set, b.areas, b.mem(w)
	d.rows = len(d.taps) * d.n
	d.each = max(1, depthwiseElements/d.c)
	tasks := ceil(d.rows, d.each)
	if d.dst.bf16 != nil {
		b.areas.need(2 * d.each * d.c)
	}
	if d.after != nil && d.after.stats != nil {
		rows := make([]int, tasks)
		for i := range rows {
			rows[i] = min(d.each, d.rows-i*d.each)
		}
		b.initMoments(d.after.stats, rows, false)
	}
	work := d.task
	if d.dst.bf16 != nil {
		work = d.taskBF16
	}
	return func() { b.pool.runOn(tasks, work) }
}

// pieces calls f for the rows of a task, those of one pixel at a time.
func (d *depthwise) pieces(i int, f func(row, rows, pixel, image int)) (lo, rows int) {
	lo = i * d.each
	hi := min(lo+d.each, d.rows)
	for row := lo; row < hi; {
		pixel, image := row/d.n, row%d.n
		n := min(d.n-image, hi-row)
		f(row, n, pixel, image)
		row += n
	}
	return lo, hi - lo
}

func (d *depthwise) task(i, _ int) {
	lo, rows := d.pieces(i, func(row, rows, pixel, image int) {
		to := d.dst.full[row*d.c : (row+rows)*d.c]
		var so []float32 // the sum so far
		if d.base.full != nil {
			so = d.base.full[row*d.c : (row+rows)*d.c]
		}
		for _, t := range d.taps[pixel] {
			x := d.src.full[(t.source*d.n+image)*d.c:]
			d.set.ScaleShift(to, x[:rows*d.c], d.weight[t.index*d.c:(t.index+1)*d.c], nil, so, false, rows, d.c, d.c)
			so = to
		}
		switch {
		case len(d.taps[pixel]) > 0:
		case so == nil:
			clear(to)
		default:
			copy(to, so)
		}
	})
	if d.after != nil {
		d.after.apply(i, lo, rows, 0, d.c)
	}
}

// taskBF16 is task for activations in bfloat16, with sums in float32.
func (d *depthwise) taskBF16(i, thread int) {
	area := d.areas.of(thread)
	block, wide := area[:d.each*d.c], area[d.each*d.c:2*d.each*d.c]
	lo, rows := d.pieces(i, func(row, rows, pixel, image int) {
		to := block[(row-i*d.each)*d.c:][:rows*d.c]
		var so []float32
		for _, t := range d.taps[pixel] {
			x := d.src.read(d.set, (t.source*d.n+image)*d.c, rows*d.c, wide)
			d.set.ScaleShift(to, x, d.weight[t.index*d.c:(t.index+1)*d.c], nil, so, false, rows, d.c, d.c)
			so = to
		}
		if so == nil {
			clear(to)
		}
	})
	if d.after != nil {
		d.after.finish(block, d.c, i, lo, rows, 0, d.c)
		return
	}
	d.set.BF16.Finish(d.dst.bf16[lo*d.c:], d.c, block, d.c, nil, nil, d.base.at(lo*d.c).bf16, false, rows, d.c)
}

// depthwiseConv binds a depthwise convolution and what is fused behind it.
func (b *binder) depthwiseConv(s *engine.Conv) func() {
	n, c, h, w := s.X.Dims()
	_, _, oh, ow := s.Y.Dims()
	after, prepare, finish := b.epilogue(s, c)
	d := &depthwise{n: n, c: c, src: b.act(s.X), dst: b.act(s.Y), after: after}
	for p := range oh * ow {
		d.taps = append(d.taps, forwardTaps(s.Window, h, w, p/ow, p%ow))
	}
	return inOrder(prepare, b.depthwise(d, s.W), finish)
}

// depthwiseGradInput binds the gradient of a depthwise convolution's input.
func (b *binder) depthwiseGradInput(s *engine.ConvGradInput) func() {
	n, c, h, w := s.DX.Dims()
	_, _, oh, ow := s.DY.Dims()
	d := &depthwise{n: n, c: c, src: b.act(s.DY), dst: b.act(s.DX), base: b.act(s.Base)}
	for p := range h * w {
		d.taps = append(d.taps, backwardTaps(s.Window, oh, ow, p/w, p%w))
	}
	return b.depthwise(d, s.W)
}

// depthwiseWeight computes the gradient of a depthwise convolution's weight: for every tap, the
// sum over all pixels and images of input times gradient. Parts of the image are summed apart,
// and their sums are added in order.
type depthwiseWeight struct {
	set   *kernel.Set
	n, c  int
	x, dy activation
	runs  []run // of neighbouring pixels with the same taps
	parts int
	sums  *partSums
	zero  memory
	areas *areas
}

func (b *binder) depthwiseGradWeight(s *engine.ConvGradWeight) func() {
	n, c, h, w := s.X.Dims()
	_, _, oh, ow := s.DY.Dims()
	g := &depthwiseWeight{set: b.set, n: n, c: c, x: b.act(s.X), dy: b.act(s.DY), zero: alloc(c), areas: b.areas}
	b.private += c
	runs := gather(oh, ow, n, func(y, x int) []tap { return forwardTaps(s.Window, h, w, y, x) })
	for _, r := range runs {
		most := max(1, depthwiseRows/n)
		if r.count > 1 && r.step != 1 {
			most = 1 // the rows of its pixels do not follow each other
		}
		for lo := 0; lo < r.count; lo += most {
			piece := run{pixel: r.pixel + lo, count: min(most, r.count-lo)}
			for _, t := range r.taps {
				piece.taps = append(piece.taps, tap{t.source + lo*r.step, t.index})
			}
			g.runs = append(g.runs, piece)
		}
	}
	g.parts = max(1, min(depthwiseParts, len(g.runs), 1+weightSums/s.DW.Numel()))
	g.sums = b.partSums(b.mem(s.DW), g.parts)
	b.areas.need(2 * c)
	work := g.task
	return inOrder(func() { b.pool.runOn(g.parts, work) }, g.sums.add)
}

// task sums the pixels of one part.
func (g *depthwiseWeight) task(part, thread int) {
	area := g.areas.of(thread)
	unused, sum := area[:g.c], area[g.c:2*g.c]
	total := g.sums.of(part)
	clear(total)
	for _, r := range g.runs[len(g.runs)*part/g.parts : len(g.runs)*(part+1)/g.parts] {
		for _, t := range r.taps {
			x, dy := g.x.at(t.source*g.n*g.c), g.dy.at(r.pixel*g.n*g.c)
			bnReduce(g.set, unused, sum, dy, activation{}, x, activation{}, g.zero, r.count*g.n, g.c, g.c)
			to := total[t.index*g.c : (t.index+1)*g.c]
			g.set.Add(to, to, sum)
		}
	}
}

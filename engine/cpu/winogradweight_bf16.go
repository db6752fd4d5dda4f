package cpu

import (
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu/kernel"
)

// These constants limit the memory of a task of bandWeight in bytes: the sums of a band, of
// which those of one point should be near while they are added to, and the transformed inputs
// and gradients that it multiplies next. More of the latter than the second-level cache holds
// is faster, since every sum is read and written less often. They decide the order of the sums
// and depend on neither threads nor kernels.
const (
	bandSums  = 1024 << 10
	bandRows  = 1536 << 10
	bandTasks = 8  // tasks to aim for
	bandLanes = 32 // channels are divided at multiples of this number
)

// bandWeight computes the gradient of a 3x3 convolution's weight from bfloat16 by a
// tiling, in float32; winogradWeight has the formula. A task computes the sums of one band,
// the t points in a row of the tiling, for a part of the image and some channels. For one
// row of tiles and some images after the other it transforms the columns, then the rows, of
// the inputs and of the gradients, and multiplies the results while they are in the
// second-level cache. Other tasks transform the same values for other bands: a band needs
// only one row of each matrix for the columns.
type bandWeight struct {
	set          *kernel.Set
	f            tiling
	x, dy        bf16Image
	padH, padW   int
	across, down int // tiles
	images       int // of a chunk
	chunks       int // of the batch
	in, out      int // the most channels of one task
	parts        int // of the image
	input, grad  []bandFactors
	dw           memory
	sums         func() memory // [part][point][input channel][output channel]
	areas        *areas
	integers     bool // products are those of 16-bit integers
}

// bf16Image is an activation [h][w][batch][channels] in bfloat16.
type bf16Image struct {
	h, w, batch, channels int
	data                  []uint16
}

// bandFactors is one row of a matrix: its numbers that are not zero, and their columns, in
// order. Each multiplies a line of an image, and offs[i][k] is the distance from line at[i] to
// line at[i+k].
type bandFactors struct {
	at      []int
	factors []float32
	offs    [][]int
}

// factorsOf returns the rows of a matrix that is applied to lines of images like p.
func (p *bf16Image) factorsOf(m kernel.Mix) (rows []bandFactors) {
	for _, row := range m.Coefficients() {
		var f bandFactors
		for k, v := range row {
			if v != 0 {
				f.at, f.factors = append(f.at, k), append(f.factors, float32(v))
			}
		}
		for i, from := range f.at {
			var offs []int
			for _, at := range f.at[i:] {
				offs = append(offs, (at-from)*p.w*p.batch*p.channels)
			}
			f.offs = append(f.offs, offs)
		}
		rows = append(rows, f)
	}
	return rows
}

// weightTiling chooses the tiling of the gradient of a weight from bfloat16; false means
// the direct sum. It depends on the shape, and on whether the processor multiplies matrices
// of bfloat16 (AMX), where the direct sum is always faster.
func (b *binder) weightTiling(s *engine.ConvGradWeight) (tiling, bool) {
	n, cin, h, w := s.X.Dims()
	_, cout, oh, ow := s.DY.Dims()
	if b.direct || !tiled(s.Window) || cin%kernel.CombineLanes != 0 || cout%kernel.CombineLanes != 0 || b.set.ISA == kernel.AMX {
		return tiling{}, false
	}
	if b.forced != nil {
		return *b.forced, true
	}
	direct := float64(n * insideTaps(s.Window, h, w, oh, ow) * cin * cout)
	if b.integerBands(n, cin, cout) {
		return bandsCosts16.choose(n, cin, cout, oh, ow, direct)
	}
	const rate = 2 // multiply-adds of bfloat16 in the time of one in float32
	return bandsCosts.choose(n, cin, cout, oh, ow, direct/rate)
}

// bandWeight binds the gradient of a weight by a tiling.
func (b *binder) bandWeight(f tiling, s *engine.ConvGradWeight) func() {
	w := &bandWeight{set: b.set, f: f, padH: s.PadH, padW: s.PadW, dw: b.mem(s.DW), areas: b.areas}
	n, cin, h, wide := s.X.Dims()
	_, cout, oh, ow := s.DY.Dims()
	w.x, w.dy = bf16Image{h, wide, n, cin, b.act(s.X).bf16}, bf16Image{oh, ow, n, cout, b.act(s.DY).bf16}
	w.across, w.down = ceil(ow, f.m), ceil(oh, f.m)
	w.input, w.grad = w.x.factorsOf(f.input), w.dy.factorsOf(f.outputGrad)
	w.integers = b.integerBands(n, cin, cout)
	w.divide(b.pool.threads)
	product := cin * cout
	w.sums = b.borrow(w.parts * f.points() * product)
	b.areas.need(max(w.area(), kernel.MixScratch))
	tasks, work := w.parts*f.t*w.sets(), w.task
	const lanes = 4096
	back := func(i, thread int) {
		area := b.areas.of(thread)
		lo, sums := i*lanes, w.sums()
		n := min(lanes, product-lo)
		for part := 1; part < w.parts; part++ {
			for p := range f.points() {
				to := sums[p*product+lo:][:n]
				b.set.Add(to, to, sums[(part*f.points()+p)*product+lo:][:n])
			}
		}
		b.set.Mix2(f.filterGrad, w.dw[lo:], sums[lo:], 3*product, product, f.t*product, product, n, 0, f.t, 0, f.t, 3, 3, area)
	}
	return func() {
		b.pool.runOn(tasks, work)
		b.pool.runOn(ceil(product, lanes), back)
	}
}

// divide chooses the channels and images that a task takes at a time, and the parts.
func (w *bandWeight) divide(threads int) {
	half := func(n int) int { return ceil(ceil(n, 2), bandLanes) * bandLanes }
	narrow := func() bool {
		switch {
		case w.in >= w.out && w.in > bandLanes:
			w.in = half(w.in)
		case w.out > bandLanes:
			w.out = half(w.out)
		default:
			return false
		}
		return true
	}
	w.in, w.out = w.x.channels, w.dy.channels
	for 4*w.f.t*w.in*w.out > bandSums && narrow() {
	}
	image := 4 * w.f.t * w.across * (w.in + w.out)
	w.chunks = ceil(w.x.batch, max(1, bandRows/image))
	w.images = ceil(w.x.batch, w.chunks)
	if w.integers {
		w.images = (w.images + 1) &^ 1 // rows are multiplied in pairs
	}
	w.chunks = ceil(w.x.batch, w.images)
	w.parts = min(ceil(bandTasks, w.f.t*w.sets()), w.down*w.chunks)
	for w.parts*w.f.t*w.sets() < 4*threads && narrow() { // which changes no sum
	}
}

// sets returns the number of sets of channels.
func (w *bandWeight) sets() int { return ceil(w.x.channels, w.in) * ceil(w.dy.channels, w.out) }

// area returns how many elements a task needs: the columns of a row of tiles, and the
// transformed inputs and gradients.
func (w *bandWeight) area() int {
	rows, out := w.across*w.images, ceil(w.out, w.set.Cols)*w.set.Cols
	size := max(w.columns()*w.images*w.in, w.across*w.f.m*w.images*out) + w.f.t*rows*(w.in+out)
	if w.integers {
		size += w.integersSize()
	}
	return size
}

// columns returns how many columns of the inputs a row of tiles reads.
func (w *bandWeight) columns() int { return w.across*w.f.m + 2 }

// bandShare is the share of one task: input channels from ci and output channels from co on
// of one band and part of the image. columns, inputs and gradients are memory.
type bandShare struct {
	part, band                 int
	ci, in, co, out            int
	columns, inputs, gradients []float32
	integers                   memory
}

// share returns the share of task i.
func (w *bandWeight) share(i int, area memory) (s bandShare) {
	ins, outs := ceil(w.x.channels, w.in), ceil(w.dy.channels, w.out)
	s.ci, s.co = i%ins*w.in, i/ins%outs*w.out
	s.in, s.out = min(w.in, w.x.channels-s.ci), min(w.out, w.dy.channels-s.co)
	s.band, s.part = i/ins/outs%w.f.t, i/ins/outs/w.f.t
	values := w.f.t * w.across * w.images
	s.inputs, s.gradients = area[:values*s.in], area[values*s.in:]
	s.columns = s.gradients[values*ceil(s.out, w.set.Cols)*w.set.Cols:]
	if w.integers {
		s.integers = area[len(area)-w.integersSize():]
	}
	return s
}

// task computes its share, for some images of a row of tiles at a time.
func (w *bandWeight) task(i, thread int) {
	area := w.areas.of(thread)
	s := w.share(i, area)
	all := w.down * w.chunks
	first, last := all*s.part/w.parts, all*(s.part+1)/w.parts
	for piece := first; piece < last; piece++ {
		y, image := piece/w.chunks*w.f.m, piece%w.chunks*w.images
		images := min(w.images, w.x.batch-image)
		w.transformGradients(&s, y, image, images)
		if w.integers {
			w.transformInputPanels(&s, y-w.padH, image, images)
			w.multiplyIntegers(&s, w.across*images, piece > first)
			continue
		}
		w.transformInputs(&s, y-w.padH, image, images)
		w.multiply(&s, w.across*images, piece > first)
	}
}

// transformInputs writes the transformed inputs of a band: [point][tile][image][channel].
func (w *bandWeight) transformInputs(s *bandShare, y, image, images int) {
	pixel := images * s.in
	w.x.combine(w.set, s.columns, &w.input[s.band], y, w.columns(), w.padW, image, images, s.ci, s.in, s.in)
	for tile := range w.across {
		w.set.Mix(w.f.input, s.inputs[tile*pixel:], s.columns[tile*w.f.m*pixel:], w.across*pixel, pixel, pixel)
	}
}

// transformGradients writes the transformed gradients of a band, panel by panel:
// [point][panel][tile][image][channel].
func (w *bandWeight) transformGradients(s *bandShare, y, image, images int) {
	cols := w.set.Cols
	pixel, panels := images*cols, ceil(s.out, cols)
	for q := range panels {
		w.dy.combine(w.set, s.columns, &w.grad[s.band], y, w.across*w.f.m, 0, image, images, s.co+q*cols, min(cols, s.out-q*cols), cols)
		for tile := range w.across {
			w.set.Mix(w.f.outputGrad, s.gradients[(q*w.across+tile)*pixel:], s.columns[tile*w.f.m*pixel:],
				panels*w.across*pixel, pixel, pixel)
		}
	}
}

// combine writes weighted sums of lines from y on: width columns, of which the image's
// begin at left, of some images and of n channels from c on. Those of an image begin ld
// elements after those of the image before. What is outside the image counts as zero.
func (p *bf16Image) combine(set *kernel.Set, dst []float32, f *bandFactors, y, width, left, image, images, c, n, ld int) {
	line, pixel := p.batch*p.channels, images*ld
	first, end := 0, len(f.at) // the lines that are inside the image
	for first < end && y+f.at[first] < 0 {
		first++
	}
	for end > first && y+f.at[end-1] >= p.h {
		end--
	}
	if first == end {
		clear(dst[:width*pixel])
		return
	}
	clear(dst[:left*pixel])
	clear(dst[(left+p.w)*pixel : width*pixel])
	rows, columns := images, p.w
	switch {
	case images == p.batch:
		rows, columns = rows*columns, 1
	case n == p.channels:
		rows, n = 1, images*n
	}
	offs, factors := f.offs[first][:end-first], f.factors[first:end]
	src := p.data[((y+f.at[first])*p.w*p.batch+image)*p.channels+c:]
	for x := range columns {
		set.BF16.Combine(dst[(left+x)*pixel:], ld, src[x*line:], p.channels, offs, factors, rows, n)
	}
}

// multiply adds the products of the points of a band over so many rows, images times
// tiles, to its sums, or sets these.
func (w *bandWeight) multiply(s *bandShare, rows int, accumulate bool) {
	cin, cout, cols := w.x.channels, w.dy.channels, w.set.Cols
	panels := ceil(s.out, cols)
	sums := w.sums()[((s.part*w.f.t+s.band)*w.f.t*cin+s.ci)*cout+s.co:]
	for j := range w.f.t {
		for q := range panels {
			w.set.Gemm(sums[j*cin*cout+q*cols:], cout, s.inputs[j*rows*s.in:], 1, s.in, s.gradients[(j*panels+q)*rows*cols:], cols,
				oneSeg, rows, s.in, min(cols, s.out-q*cols), accumulate)
		}
	}
}

package cpu

import (
	"math"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/graph"
)

// lanes is how many neighbouring elements (images times channels) of every
// pixel one task of a pooling works on.
const lanes = 512

// gradLanes is how many one task of a max pooling's gradient works on at most, in
// whole lines of the cache.
const (
	gradLanes = 2048
	lineLanes = 16
)

// windows lists, for every output pixel, the offsets of the input pixels it
// looks at, in elements.
func windows(o graph.MaxPool2d, h, w, oh, ow, pixel int) [][]int {
	geometry := engine.Window{
		Conv2d: graph.Conv2d{StrideH: o.StrideH, StrideW: o.StrideW, PadH: o.PadH, PadW: o.PadW, DilationH: o.DilationH, DilationW: o.DilationW, Groups: 1},
		KH:     o.KH, KW: o.KW,
	}
	out := make([][]int, 0, oh*ow)
	for y := range oh {
		for x := range ow {
			var offs []int
			for _, t := range forwardTaps(geometry, h, w, y, x) {
				offs = append(offs, t.source*pixel)
			}
			out = append(out, offs)
		}
	}
	return out
}

func (b *binder) maxPool(op graph.MaxPool2d, in, out *engine.Value) func() {
	n, c, h, w := in.Dims()
	_, _, oh, ow := out.Dims()
	pixel := n * c
	wins := windows(op, h, w, oh, ow, pixel)
	x, y := b.act(in), b.act(out)
	work := func(i int) {
		for p := i * ow; p < (i+1)*ow; p++ {
			if x.bf16 != nil {
				b.set.BF16.MaxPool(y.bf16[p*pixel:], x.bf16, wins[p], pixel)
			} else {
				b.set.MaxPool(y.full[p*pixel:], x.full, wins[p], pixel)
			}
		}
	}
	return func() { b.pool.run(oh, work) }
}

func (b *binder) maxPoolGrad(op graph.MaxPool2d, x, y, dy, dx *engine.Value) func() {
	if isBF16(x) {
		return b.maxPoolGradBF16(op, x, y, dy, dx)
	}
	n, c, h, w := x.Dims()
	_, _, oh, ow := y.Dims()
	pixel := n * c
	wins := windows(op, h, w, oh, ow, pixel)
	mx, my, mdy, mdx := b.mem(x), b.mem(y), b.mem(dy), b.mem(dx)
	// A pixel's stretch is as long as the threads allow: memory foresees the rest of a
	// long one, and pixels lie far apart. The lines of one are in the second cache.
	tasks := ceil(ceil(pixel, gradLanes), b.pool.threads) * b.pool.threads
	stretch := ceil(ceil(pixel, tasks), lineLanes) * lineLanes
	work := func(i int) {
		lo := i * stretch
		size := min(stretch, pixel-lo)
		if size <= 0 {
			return
		}
		cleared := 0 // lines of the input, which the sums of the windows find near
		clearTo := func(line int) {
			for p := cleared * w; p < line*w; p++ {
				clear(mdx[p*pixel+lo : p*pixel+lo+size])
			}
			cleared = max(cleared, line)
		}
		for p, offs := range wins {
			clearTo(min(p/ow*op.StrideH-op.PadH+(op.KH-1)*op.DilationH+1, h))
			at := p*pixel + lo
			b.set.MaxPoolGrad(mdx[lo:], mdy[at:], mx[lo:], my[at:], offs, size)
		}
		clearTo(h)
	}
	return func() { b.pool.run(tasks, work) }
}

// bf16Lanes is lanes for sums in float32 beside bfloat16, of which a task holds a
// few lines of the picture.
const bf16Lanes = 256

// maxPoolGradBF16 sums in float32 over the lines of the input that the windows of
// one line of the output look at; lines above them are complete.
func (b *binder) maxPoolGradBF16(op graph.MaxPool2d, x, y, dy, dx *engine.Value) func() {
	n, c, h, w := x.Dims()
	_, _, oh, ow := y.Dims()
	pixel := n * c
	size := min(bf16Lanes, pixel)
	line := w * size
	wins, sums := windows(op, h, w, oh, ow, pixel), windows(op, h, w, oh, ow, size)
	top := func(row int) int { return min(max(row*op.StrideH-op.PadH, 0), h) }
	for p := range sums {
		for i := range sums[p] {
			sums[p][i] -= top(p/ow) * line
		}
	}
	mx, my, mdy, mdx := b.act(x).bf16, b.act(y).bf16, b.act(dy).bf16, b.act(dx).bf16
	b.areas.need(((op.KH-1)*op.DilationH + 1) * line)
	work := func(i int) {
		area := b.areas.get()
		defer b.areas.put(area)
		lo := i * size
		lanes := min(size, pixel-lo)
		// Lines first to first+held of the input are in the area.
		first, held := 0, 0
		finish := func(until int) {
			for p := first * w; p < until*w; p++ {
				if to := mdx[p*pixel+lo:][:lanes]; p < (first+held)*w {
					b.set.BF16.Narrow(to, area[(p-first*w)*size:][:lanes])
				} else {
					clear(to) // between windows
				}
			}
			done := min(until-first, held)
			copy(area, area[done*line:held*line])
			first, held = until, held-done
		}
		for row := range oh {
			finish(top(row))
			bottom := min(row*op.StrideH-op.PadH+(op.KH-1)*op.DilationH+1, h)
			if more := bottom - first - held; more > 0 {
				clear(area[held*line : (held+more)*line])
				held += more
			}
			for p := row * ow; p < (row+1)*ow; p++ {
				at := p*pixel + lo
				b.set.BF16.MaxPoolGrad(area, mdy[at:], mx[lo:], my[at:], sums[p], wins[p], lanes)
			}
		}
		finish(h)
	}
	tasks := ceil(pixel, size)
	return func() { b.pool.run(tasks, work) }
}

// weigh binds a weighted sum of whole pixels.
func (b *binder) weigh(shares [][]engine.Share, in, out *engine.Value) func() {
	n, c, _, _ := in.Dims()
	pixel := n * c
	src, dst := b.act(in), b.act(out)
	pieces := ceil(pixel, lanes)
	b.areas.need(2 * lanes)
	work := func(i int) {
		area := b.areas.get()
		defer b.areas.put(area)
		lo := i % pieces * lanes
		size := min(lanes, pixel-lo)
		p := i / pieces
		to := area[lanes : lanes+size]
		if dst.full != nil {
			to = dst.full[p*pixel+lo : p*pixel+lo+size]
		}
		clear(to)
		for _, s := range shares[p] {
			b.set.Axpy(to, s.Weight, src.read(b.set, s.Source*pixel+lo, size, area))
		}
		dst.write(b.set, p*pixel+lo, to)
	}
	return func() { b.pool.run(len(shares)*pieces, work) }
}

// dropout binds the mask of one run of the random stream. Its numbers belong to
// row-major indices, so they do not depend on the layout.
func (b *binder) dropout(op graph.Dropout, in, out *engine.Value) func() {
	shape, prog := in.Shape, b.prog
	src, dst := b.act(in), b.act(out)
	keep := float32(0)
	if op.P < 1 {
		keep = float32(1 / (1 - op.P))
	}
	strides := in.Layout.Strides(shape)
	rows := shape.Numel() / max(1, shape[len(shape)-1])
	work := func(i int) {
		last := len(shape) - 1
		at, index := 0, i
		for d := last - 1; d >= 0; d-- {
			at += index % shape[d] * strides[d]
			index /= shape[d]
		}
		for j := range shape[last] {
			o := at + j*strides[last]
			if graph.DropoutKeep(prog.key, op.Stream, uint64(i*shape[last]+j), op.P) {
				dst.set(o, src.get(o)*keep)
			} else {
				dst.set(o, 0)
			}
		}
	}
	return func() { b.pool.run(rows, work) }
}

// softmaxRow writes exp(x - max) / Σ of one row in float64 and returns the
// logarithm of the sum with the largest element added back.
func softmaxRow(out []float64, x []float32) (logSum float64) {
	most := math.Inf(-1)
	for _, v := range x {
		most = math.Max(most, float64(v))
	}
	sum := 0.0
	for i, v := range x {
		out[i] = math.Exp(float64(v) - most)
		sum += out[i]
	}
	for i := range out {
		out[i] /= sum
	}
	return most + math.Log(sum)
}

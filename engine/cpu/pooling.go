package cpu

import (
	"math"
	"slices"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/graph"
)

// lanes is how many neighbouring elements (images times channels) of every pixel one
// pooling task computes.
const lanes = 512

// gradLanes is the most such elements of one task of the gradient of max pooling. A
// task has a multiple of lineLanes, one cache line.
const (
	gradLanes = 2048
	lineLanes = 16
)

// windows lists, for every output pixel, the offsets of the input pixels in its window,
// in elements.
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

// movedWindow is a window whose offsets count from an element of the input.
type movedWindow struct {
	from int
	offs []int
}

// moved returns the same windows with offsets from the first of each. Most windows then have
// the same offsets, which are stored once: reading others for every pixel took longer than
// finding the maxima.
func moved(wins [][]int) []movedWindow {
	out := make([]movedWindow, len(wins))
	var seen [][]int
	for i, offs := range wins {
		if len(offs) == 0 {
			continue
		}
		from := offs[0]
		for j := range offs {
			offs[j] -= from
		}
		at := slices.IndexFunc(seen, func(o []int) bool { return slices.Equal(o, offs) })
		if at < 0 {
			at, seen = len(seen), append(seen, offs)
		}
		out[i] = movedWindow{from, seen[at]}
	}
	return out
}

func (b *binder) maxPool(op graph.MaxPool2d, in, out *engine.Value) func() {
	n, c, h, w := in.Dims()
	_, _, oh, ow := out.Dims()
	pixel := n * c
	wins := moved(windows(op, h, w, oh, ow, pixel))
	x, y := b.act(in), b.act(out)
	work := func(i int) {
		for p := i * ow; p < (i+1)*ow; p++ {
			win := &wins[p]
			switch {
			case x.bytes != nil:
				b.set.Int8.MaxPool(y.bytes[p*pixel:], x.bytes[win.from:], win.offs, pixel)
			case x.bf16 != nil:
				b.set.BF16.MaxPool(y.bf16[p*pixel:], x.bf16[win.from:], win.offs, pixel)
			default:
				b.set.MaxPool(y.full[p*pixel:], x.full[win.from:], win.offs, pixel)
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
	stretch := gradStretch(pixel, gradLanes, b.pool.threads) // whose lines fit the second-level cache
	work := func(i int) {
		lo := i * stretch
		size := min(stretch, pixel-lo)
		cleared := 0 // lines cleared so far, each shortly before the windows add to it
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
	tasks := ceil(pixel, stretch)
	return func() { b.pool.run(tasks, work) }
}

// gradSums is about how many bytes the sums of a task of the gradient of max pooling in
// bfloat16 may have. Longer stretches of a pixel, which the processor prefetches, gain more
// than sums in the second-level cache.
const gradSums = 1536 << 10

// gradStretch returns how many neighbouring elements of every pixel one task of the gradient
// of max pooling computes. Each has as long a stretch as the number of threads allows, for the
// processor prefetches long stretches.
func gradStretch(pixel, most, threads int) int {
	tasks := ceil(ceil(pixel, most), threads) * threads
	return ceil(ceil(pixel, tasks), lineLanes) * lineLanes
}

// maxPoolGradBF16 sums in float32, for the lines of the input that the windows of one
// line of the output read. Lines above them are complete and get rounded.
func (b *binder) maxPoolGradBF16(op graph.MaxPool2d, x, y, dy, dx *engine.Value) func() {
	n, c, h, w := x.Dims()
	_, _, oh, ow := y.Dims()
	pixel := n * c
	kept := (op.KH-1)*op.DilationH + 1 // lines of sums
	size := gradStretch(pixel, min(gradLanes, max(gradSums/(4*kept*w), 1)), b.pool.threads)
	line := w * size
	wins, sums := windows(op, h, w, oh, ow, pixel), windows(op, h, w, oh, ow, size)
	top := func(row int) int { return min(max(row*op.StrideH-op.PadH, 0), h) }
	for p := range sums {
		for i := range sums[p] {
			sums[p][i] -= top(p/ow) * line
		}
	}
	mx, my, mdy, mdx := b.act(x).bf16, b.act(y).bf16, b.act(dy).bf16, b.act(dx).bf16
	b.areas.need(kept * line)
	work := func(i, thread int) {
		area := b.areas.of(thread)
		lo := i * size
		lanes := min(size, pixel-lo)
		// The area has the sums of input lines first <= y < first+inArea.
		first, inArea := 0, 0
		finish := func(until int) {
			for p := first * w; p < until*w; p++ {
				if to := mdx[p*pixel+lo:][:lanes]; p < (first+inArea)*w {
					b.set.BF16.Narrow(to, area[(p-first*w)*size:][:lanes])
				} else {
					clear(to) // no window reads this line
				}
			}
			done := min(until-first, inArea)
			copy(area, area[done*line:inArea*line])
			first, inArea = until, inArea-done
		}
		for row := range oh {
			finish(top(row))
			bottom := min(row*op.StrideH-op.PadH+(op.KH-1)*op.DilationH+1, h)
			if more := bottom - first - inArea; more > 0 {
				clear(area[inArea*line : (inArea+more)*line])
				inArea += more
			}
			for p := row * ow; p < (row+1)*ow; p++ {
				at := p*pixel + lo
				b.set.BF16.MaxPoolGrad(area, mdy[at:], mx[lo:], my[at:], sums[p], wins[p], lanes)
			}
		}
		finish(h)
	}
	tasks := ceil(pixel, size)
	return func() { b.pool.runOn(tasks, work) }
}

// weigh binds a weighted sum of input pixels for every output pixel.
func (b *binder) weigh(shares [][]engine.Share, in, out *engine.Value) func() {
	n, c, _, _ := in.Dims()
	pixel := n * c
	src, dst := b.act(in), b.act(out)
	pieces := ceil(pixel, lanes)
	b.areas.need(2 * lanes)
	work := func(i, thread int) {
		area := b.areas.of(thread)
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
	return func() { b.pool.runOn(len(shares)*pieces, work) }
}

// dropout binds dropout. The random numbers of a run belong to row-major indices, so
// they do not depend on the layout.
func (b *binder) dropout(op graph.Dropout, in, out *engine.Value) func() {
	shape, exe := in.Shape, b.exe
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
			if graph.DropoutKeep(exe.key, op.Stream, uint64(i*shape[last]+j), op.P) {
				dst.set(o, src.get(o)*keep)
			} else {
				dst.set(o, 0)
			}
		}
	}
	return func() { b.pool.run(rows, work) }
}

// softmaxRow writes the softmax of one row in float64 and returns log Σ exp(x).
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

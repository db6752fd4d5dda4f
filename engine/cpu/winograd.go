package cpu

import (
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu/kernel"
)

// groupRows is about how many rows of a matrix, images times tiles, one task computes:
// enough to use every packed weight often.
const groupRows = 32

// tileGroup is the work of one task: tiles from first on of images from image on.
type tileGroup struct{ first, tiles, image, images int }

func (g tileGroup) rows() int { return g.tiles * g.images }

// groupTiles divides tiles and images into groups of about that many rows.
func groupTiles(tiles, batch, rows int) []tileGroup {
	var out []tileGroup
	parts, each := max(1, (batch+rows/2)/rows), max(1, rows/batch)
	each = ceil(tiles, ceil(tiles, each)) // no group is much smaller than the others
	for t := 0; t < tiles; t += each {
		for p := range parts {
			lo, hi := batch*p/parts, batch*(p+1)/parts
			out = append(out, tileGroup{t, min(each, tiles-t), lo, hi - lo})
		}
	}
	return out
}

// imageBatch is an activation [h][w][batch][channels] with its geometry.
type imageBatch struct {
	h, w, batch, channels int
	data                  memory
}

func (p imageBatch) pixel() int { return p.batch * p.channels }

// window applies a transform to the square of pixels from (y, x) on of some images.
// Pixels outside the image count as zero. It writes the results to dst in row-major
// order, as blocks that lie step elements apart.
func (p imageBatch) window(set *kernel.Set, mix kernel.Mix, dst []float32, step, y, x, image, images int, scratch []float32) {
	outs, ins := mix.Size()
	k0, k1 := max(0, -y), min(ins, p.h-y)
	p0, p1 := max(0, -x), min(ins, p.w-x)
	var src []float32
	if k0 < k1 && p0 < p1 {
		src = p.data[((y+k0)*p.w+x+p0)*p.pixel()+image*p.channels:]
	}
	set.Mix2(mix, dst, src, outs*step, step, p.w*p.pixel(), p.pixel(), images*p.channels,
		k0, k1, p0, p1, outs, outs, scratch)
}

// place applies a transform to blocks of src, which lie step elements apart, and writes
// the results that lie inside the image, from (y, x) on. They are written to the image,
// or, if apart is not nil, one after the other to apart.
func (p imageBatch) place(set *kernel.Set, mix kernel.Mix, src []float32, step, y, x, image, images int, apart, scratch []float32) {
	outs, ins := mix.Size()
	dst, row, col := p.data[(y*p.w+x)*p.pixel()+image*p.channels:], p.w*p.pixel(), p.pixel()
	if apart != nil {
		dst, row, col = apart, outs*images*p.channels, images*p.channels
	}
	set.Mix2(mix, dst, src, row, col, ins*step, step, images*p.channels,
		0, ins, 0, ins, min(outs, p.h-y), min(outs, p.w-x), scratch)
}

// winograd computes a convolution, or the gradient of its input, by a tiling.
type winograd struct {
	set        *kernel.Set
	f          tiling
	src, dst   imageBatch
	padH, padW int
	across     int // tiles in a row
	groups     []tileGroup
	rows       int // of the largest group
	packed     func() memory
	base       memory // to be added to the result, or nil
	after      *epilogue
	areas      *areas
}

// area is the number of elements in the work area of a task: transformed inputs,
// products, results before the base is added, and scratch of the transforms.
func (w *winograd) area() int {
	n := w.f.points() * w.rows * (w.src.channels + w.dst.channels)
	if w.base != nil {
		n += w.f.m * w.f.m * w.rows * w.dst.channels
	}
	return n + kernel.MixScratch
}

// tiling chooses the tiling of a convolution or of its input's gradient; false means
// the direct sum.
func (b *binder) tiling(win engine.Window, n, cin, cout, outH, outW int, runs []run) (tiling, bool) {
	if b.direct || !tiled(win) {
		return tiling{}, false
	}
	if b.forced != nil {
		return *b.forced, true
	}
	taps := 0
	for _, r := range runs {
		taps += r.count * len(r.taps)
	}
	from := trainingTilings
	if b.Static {
		from = tilings[:]
	}
	return chooseTiling(from, n, cin, cout, outH, outW, taps)
}

// inferenceImages is the number of images for which programs without updates choose the
// tilings of convolutions, whatever their batch. So an image has the same bits in a batch of
// any size, and programs for several sizes share their packed weights. Fewer images are no
// slower with this choice than with their own.
const inferenceImages = 32

// winograd binds a convolution by a tiling.
func (b *binder) winograd(f tiling, src, dst imageBatch, padH, padW int, base memory, after *epilogue, weight weights) func() {
	w := &winograd{set: b.set, f: f, src: src, dst: dst, padH: padH, padW: padW, base: base, after: after, across: ceil(dst.w, f.m)}
	w.groups = groupTiles(w.across*ceil(dst.h, f.m), dst.batch, groupRows)
	for _, g := range w.groups {
		w.rows = max(w.rows, g.rows())
	}
	if after != nil && after.stats != nil {
		b.initMoments(after.stats, make([]int, len(w.groups)), true)
	}
	filter := f.filter
	if weight.backward {
		filter = f.flipped
	}
	const taps = 9
	panels, panel := ceil(dst.channels, b.set.Cols), src.channels*b.set.Cols
	packed, prepare := b.packing(weight, f.m, panels*f.points()*panel, panels, func(packed memory, q, thread int) {
		area := b.areas.of(thread)
		plain, scratch := area[:taps*panel], area[taps*panel:]
		weight.fill(plain, 0, q, 0, src.channels)
		b.set.Mix2(filter, packed[q*f.points()*panel:], plain, f.t*panel, panel, 3*panel, panel, panel,
			0, 3, 0, 3, f.t, f.t, scratch)
	})
	b.areas.need(max(w.area(), taps*panel+kernel.MixScratch))
	w.packed, w.areas = packed, b.areas
	work := w.task
	return inOrder(prepare, func() { b.pool.runOn(len(w.groups), work) })
}

// task computes one group: it transforms inputs, multiplies, transforms the products
// back and applies the epilogue.
func (w *winograd) task(i, thread int) {
	g := w.groups[i]
	area := w.areas.of(thread)
	cs, cd, rows := w.src.channels, w.dst.channels, g.rows()
	in, remaining := area[:w.f.points()*rows*cs], area[w.f.points()*rows*cs:]
	out, scratch := remaining[:w.f.points()*rows*cd], remaining[w.f.points()*rows*cd:]
	for t := range g.tiles {
		y, x := w.tile(g.first + t)
		w.src.window(w.set, w.f.input, in[t*g.images*cs:], rows*cs, y-w.padH, x-w.padW, g.image, g.images, scratch)
	}
	w.multiply(in, out, rows)
	var apart []float32 // a separate result, since the base may share the destination's memory
	if w.base != nil {
		n := w.f.m * w.f.m * g.images * cd
		apart, scratch = scratch[:n], scratch[n:]
	}
	for t := range g.tiles {
		y, x := w.tile(g.first + t)
		w.dst.place(w.set, w.f.output, out[t*g.images*cd:], rows*cd, y, x, g.image, g.images, apart, scratch)
		w.finish(i, g, y, x, apart)
	}
}

// tile returns the first pixel of a tile of the destination.
func (w *winograd) tile(i int) (y, x int) { return i / w.across * w.f.m, i % w.across * w.f.m }

// multiply computes the t*t matrix products.
func (w *winograd) multiply(in, out []float32, rows int) {
	cs, cd, cols := w.src.channels, w.dst.channels, w.set.Cols
	packed := w.packed()
	for lo := 0; lo < cd; lo += cols {
		n := min(cols, cd-lo)
		for p := range w.f.points() {
			w.set.Gemm(out[p*rows*cd+lo:], cd, in[p*rows*cs:], cs, 1,
				packed[(lo/cols*w.f.points()+p)*cs*cols:], cols, oneSeg, cs, rows, n, false)
		}
	}
}

var oneSeg = []kernel.Seg{{}}

// finish adds the base to one tile and applies the epilogue, pixel by pixel.
func (w *winograd) finish(group int, g tileGroup, y, x int, apart []float32) {
	c := w.dst.channels
	n := g.images * c
	for py := range min(w.f.m, w.dst.h-y) {
		for px := range min(w.f.m, w.dst.w-x) {
			row := ((y+py)*w.dst.w+x+px)*w.dst.batch + g.image
			if apart != nil {
				w.set.Add(w.dst.data[row*c:row*c+n], apart[(py*w.f.m+px)*n:], w.base[row*c:])
			}
			if w.after != nil {
				w.after.apply(group, row, g.images, 0, c)
			}
		}
	}
}

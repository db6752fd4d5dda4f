package cpu

import "github.com/residual-ml/residual/engine/cpu/kernel"

// geometry is that of an activation [h][w][batch][channels].
type geometry struct{ h, w, batch, channels int }

func (g geometry) pixel() int { return g.batch * g.channels }

// tiledWork divides a convolution, or the gradient of its input, by a tiling with products
// of 16-bit integers into groups of tiles and panels of weights.
type tiledWork struct {
	f          tiling
	padH, padW int
	k          *kernel.Int16
	from, to   geometry
	across     int // tiles in a row
	groups     []tileGroup
	rows       int // of the largest group
	depth      int // channels of the source, rounded up to an even number
	panels     int
	pitch      int // distance of the products of images
	areas      *areas
	parts      tiledParts
	inputs     func() memory // the transformed inputs of all groups, or nil
	pieces     int           // of a group, of whose tiles the inputs are transformed by tasks of their own
}

// tiledParts are what such a convolution does for a group.
type tiledParts interface {
	// input transforms the inputs of tiles lo <= t < hi of a group.
	input(g tileGroup, lo, hi int, to, scratch memory)
	// panel multiplies the inputs of a group with one panel of weights and transforms
	// the products back.
	panel(at, q int, inputs, area memory)
	// inputSize is the number of float32 that the transformed inputs of a group take,
	// and workSize that of the work area of either function.
	inputSize() int
	workSize() int
}

// divide divides the work into groups of about so many rows.
func (w *tiledWork) divide(b *binder, from, to geometry, rows int) {
	w.k, w.areas, w.from, w.to = &b.set.Int16, b.areas, from, to
	w.across, w.depth = ceil(to.w, w.f.m), (from.channels+1)&^1
	w.panels, w.pitch = ceil(to.channels, w.k.Cols), w.k.Cols
	w.groups = groupTiles(w.across*ceil(to.h, w.f.m), to.batch, rows)
	for _, g := range w.groups {
		w.rows = max(w.rows, g.rows())
	}
}

// bind returns the function that computes the parts. Packed weights take the first elements
// of the borrowed scratch.
func (w *tiledWork) bind(b *binder, parts tiledParts, borrowed int) func() {
	w.parts = parts
	if !w.apart(b.pool.threads) {
		b.areas.need(parts.inputSize() + parts.workSize())
		task := w.task // a method value in the function would be allocated at every call
		return func() { b.pool.runOn(len(w.groups), task) }
	}
	both := b.borrow(borrowed + len(w.groups)*parts.inputSize())
	w.inputs = func() memory { return both()[borrowed:] }
	b.areas.need(parts.workSize())
	w.pieces = ceil(4*b.pool.threads, len(w.groups))
	transform, panel := w.transform, w.panelTask
	return func() {
		b.pool.runOn(len(w.groups)*w.pieces, transform)
		b.pool.runOn(len(w.groups)*w.panels, panel)
	}
}

// apart reports whether all inputs are transformed before any products are computed, so
// that the panels of a group are tasks of their own. That pays where there are few groups,
// and where the weights are so large that they should be read only once. For one image of up to
// 128 channels it does not: threads would read what others have just transformed.
func (w *tiledWork) apart(threads int) bool {
	if w.to.batch == 1 {
		return len(w.groups) < threads || w.from.channels > 128
	}
	return len(w.groups) < 2*threads
}

// Steps between the results of points: an odd number of cache lines, so that they do not
// compete for the same sets of the cache.

// inputStep is the distance of points in transformed inputs, in integers.
func (w *tiledWork) inputStep() int { return (ceil(w.rows*w.depth, 32) | 1) * 32 }

// productStep is the distance of points in products, each of 32 bits.
func (w *tiledWork) productStep() int { return (ceil(w.rows*w.pitch, 16) | 1) * 16 }

// transform transforms the inputs of a piece of a group into the common memory.
func (w *tiledWork) transform(i, thread int) {
	area := w.areas.of(thread)
	at, piece := i/w.pieces, i%w.pieces
	g := w.groups[at]
	w.parts.input(g, g.tiles*piece/w.pieces, g.tiles*(piece+1)/w.pieces, w.inputs()[at*w.parts.inputSize():], area)
}

// panelTask computes one panel of one group, whose inputs have been transformed.
func (w *tiledWork) panelTask(i, thread int) {
	area := w.areas.of(thread)
	at, q := i%len(w.groups), i/len(w.groups)
	w.parts.panel(at, q, w.inputs()[at*w.parts.inputSize():], area)
}

// task computes one group.
func (w *tiledWork) task(i, thread int) {
	area := w.areas.of(thread)
	n := w.parts.inputSize()
	inputs, area := area[:n], area[n:]
	w.parts.input(w.groups[i], 0, w.groups[i].tiles, inputs, area)
	for q := range w.panels {
		w.parts.panel(i, q, inputs, area)
	}
}

// tile returns the first pixel of a tile of the destination.
func (w *tiledWork) tile(i int) (y, x int) { return i / w.across * w.f.m, i % w.across * w.f.m }

// window returns the pixels of the source that tile t of a group reads: the offset of the
// first that is inside the image, and which rows and columns of the tile are.
func (w *tiledWork) window(g tileGroup, t int) (at, k0, k1, p0, p1 int) {
	y, x := w.tile(g.first + t)
	y, x = y-w.padH, x-w.padW
	k0, k1, p0, p1 = max(0, -y), min(w.f.t, w.from.h-y), max(0, -x), min(w.f.t, w.from.w-x)
	return ((y+k0)*w.from.w+x+p0)*w.from.pixel() + g.image*w.from.channels, k0, k1, p0, p1
}

// fetchedBefore returns the pixels of a group's results, from and to, whose cache lines are
// prefetched before the products of a point. Those of a single image are in the cache.
func (w *tiledWork) fetchedBefore(g tileGroup, point int) (from, to int) {
	if w.to.batch == 1 {
		return 0, 0
	}
	pixels := w.f.m * w.f.m * g.tiles
	return pixels * point / w.f.points(), pixels * (point + 1) / w.f.points()
}

// pace returns how many bytes of the next weights a product prefetches in a step: the weights
// of a single image come from memory.
func (w *tiledWork) pace(g tileGroup) int {
	if w.to.batch > 1 {
		return 0
	}
	return ceil(4*w.k.Cols, ceil(g.rows(), w.k.Rows))
}

// lines returns where the results of a pixel of a group are in a panel of columns: the
// offset of the first, and the number and the distance of rows of which a cache line, of so
// many elements, is to be prefetched. The processor does not prefetch them, since tiles read
// and write in short stretches.
func (w *tiledWork) lines(g tileGroup, pixel, lo, line int) (at, rows, ld int, ok bool) {
	m := w.f.m
	y, x := w.tile(g.first + pixel/(m*m))
	y, x = y+pixel%(m*m)/m, x+pixel%m
	if y >= w.to.h || x >= w.to.w {
		return 0, 0, 0, false
	}
	at = (y*w.to.w+x)*w.to.pixel() + g.image*w.to.channels + lo
	rows, ld = g.images, w.to.channels
	if w.panels == 1 { // the images of a pixel lie together
		rows, ld = ceil(rows*ld, line), line
	}
	return at, rows, ld, true
}

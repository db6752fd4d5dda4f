//go:build cuda

package cuda

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/residual-ml/residual/engine"
)

// shape is the part of a convolution's result that one block of a kernel in
// kernels/tensor_cores.cu computes: m rows by n columns.
type shape struct {
	name     string
	m, n     int
	resident int     // blocks that a multiprocessor runs at a time
	rate     float64 // speed of multiplication, relative to the largest shape
}

// All shapes have four warps of threads. The bits of finite results do not depend on the
// shape.
const blockThreads = 128

// windowDepth and stages are WINDOW and STAGES of kernels/blocks.cuh: how many elements of
// the summed dimension are multiplied at a time, and how many such windows shared memory
// holds.
const (
	windowDepth = 32
	stages      = 4
)

var shapes = []shape{{"large", 128, 128, 2, 1}, {"tall", 256, 64, 2, 1}, {"medium", 128, 64, 3, 0.8}, {"small", 64, 64, 4, 0.6}, {"slim", 256, 32, 3, 0.8}}

// Weight gradients have no tall shape and another slim one. Images of one channel have one
// shape for each kernel.
var (
	weightShapes = append(named("large", "medium", "small"), shape{"slim", 64, 32, 6, 0.4})
	greyForward  = []shape{{"grey", 128, 64, 3, 1}}
	greyWeights  = []shape{{"grey", 64, 64, 4, 1}}
)

// fit says which kernels of kernels/tensor_cores.cu can compute a convolution.
type fit int

const (
	generic fit = iota // none
	vectors            // the numbers of channels are multiples of 8
	grey               // images have one channel, and their number is a multiple of 8
)

// onTensorCores returns which kernels can compute a convolution of values x and y. other,
// which may be nil, is another value that the kernel reads or writes.
func (b *binder) onTensorCores(g *window, x, y, other *engine.Value) fit {
	const listed, far = 128, 1 << 13 // MOST_TAPS of sources.cuh, which counts rows in 16 bits
	for _, v := range []*engine.Value{x, y, other} {
		if v != nil && (!isBF16(v) || b.at(v).at%16 != 0) {
			return generic
		}
	}
	ins, outs := g.c/g.groups, g.o/g.groups
	if g.kh*g.kw > listed || max(g.h, g.w, g.oh, g.ow, g.kh*g.dh, g.kw*g.dw, g.ph, g.pw) > far || outs%8 != 0 {
		return generic
	}
	switch {
	case ins%8 == 0:
		return vectors
	case g.c == 1 && g.n%8 == 0:
		return grey
	}
	return generic
}

// named returns the shapes with these names.
func named(names ...string) []shape {
	return slices.DeleteFunc(slices.Clone(shapes), func(s shape) bool { return !slices.Contains(names, s.name) })
}

// shared is the size in bytes of a block's shared memory, which has the windows of both
// operands in bfloat16.
func (s shape) shared() int { return stages * (s.m + s.n) * windowDepth * 2 }

func (s shape) grid(rows, columns, z int) grid {
	return grid{(rows + s.m - 1) / s.m, (columns + s.n - 1) / s.n, z, blockThreads}
}

// cost estimates the time of a launch, in arbitrary units, from the number of blocks that
// a multiprocessor computes one after the other.
func (s shape) cost(rows, columns, z, multiprocessors int) float64 {
	g := s.grid(rows, columns, z)
	waves := math.Ceil(float64(g.x) * float64(g.y) * float64(g.z) / float64(multiprocessors*s.resident))
	return waves * float64(s.m*s.n*s.resident) / s.rate
}

// block launches a convolution in the fastest of the shapes from. kernel is the name of
// the kernel without that of the shape, and g is the geometry, which is also in args.
func (b *binder) block(kernel string, from []shape, g *window, rows, columns, z int, args ...any) {
	var list []*launch
	best := 0
	for i, s := range from {
		l, err := b.d.launch(kernel+"_"+s.name, s.grid(rows, columns, z), args...)
		if err == nil {
			err = l.share(b.d, s.shared())
		}
		if err != nil {
			if b.err == nil {
				b.err = err
			}
			return
		}
		list = append(list, l)
		if s.cost(rows, columns, z, b.d.multiprocessors) < from[best].cost(rows, columns, z, b.d.multiprocessors) {
			best = i
		}
	}
	switch {
	case b.d.shape != "":
		best = max(0, slices.IndexFunc(from, func(s shape) bool { return s.name == b.d.shape }))
	case b.d.measures && b.scratch != nil && len(from) > 1:
		if b.trial == nil {
			b.trial = &trial{d: b.d}
		}
		best = b.trial.measured(fmt.Sprint(kernel, *g, z), best, len(from), func(i int, stand func(*buffer) *buffer) *launch {
			l, _ := b.d.launch(list[i].name, from[i].grid(rows, columns, z), standIns(args, stand)...)
			l.shared = list[i].shared
			return l
		})
	}
	b.list = append(b.list, list[best])
}

// standIns returns args with every buffer replaced by stand.
func standIns(args []any, stand func(*buffer) *buffer) []any {
	other := slices.Clone(args)
	for i, a := range other {
		if m, ok := a.(*buffer); ok && m != nil {
			other[i] = stand(m)
		}
	}
	return other
}

// measured returns the index of the fastest of n launches. It runs each on memory of its
// own, once for every key. If there is too little memory for that, it returns guess.
func (t *trial) measured(key string, guess, n int, launch func(i int, stand func(*buffer) *buffer) *launch) int {
	d := t.d
	if best, ok := d.fastest[key]; ok {
		return best
	}
	best, least := guess, time.Duration(math.MaxInt64)
	for i := range n {
		t.used = 0
		l := launch(i, t.stand)
		if t.full || d.err != nil {
			return guess
		}
		if took := d.clock(l); took < least {
			best, least = i, took
		}
	}
	d.fastest[key] = best
	return best
}

// clock returns the shortest time of a few launches of l.
func (d *Device) clock(l *launch) time.Duration {
	const rounds, each = 3, 4
	least := time.Duration(math.MaxInt64)
	if !d.start(l) || !d.wait() { // the driver may load it with its first launch
		return least
	}
	for range rounds {
		start := time.Now()
		for range each {
			d.start(l)
		}
		if !d.wait() {
			break
		}
		least = min(least, time.Since(start))
	}
	return least
}

// trial has memory that replaces that of a program while launches are measured.
type trial struct {
	d    *Device
	list []*buffer // in the order in which a launch asks for them
	used int
	full bool
}

// stand returns memory of at least b's size, which is zero at first and is used again for
// the next launch.
func (t *trial) stand(b *buffer) *buffer {
	i := t.used
	t.used++
	if i < len(t.list) && t.list[i].words >= b.words {
		return t.list[i]
	}
	var left, total uint64
	if t.full = t.full || !t.d.check("cuMemGetInfo", t.d.api.MemInfo(&left, &total)) || left/4 < 4*uint64(b.words); t.full {
		return b
	}
	if i == len(t.list) {
		t.list = append(t.list, nil)
	}
	t.list[i] = t.d.alloc(b.words)
	return t.list[i]
}

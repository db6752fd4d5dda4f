//go:build cuda

package cuda

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/residual-ml/residual/engine"
)

// shape is how much of a convolution a block of kernels/tensor_cores.cu makes.
type shape struct {
	name     string
	m, n     int
	resident int     // blocks that a multiprocessor has room for
	rate     float64 // of products, relative to the largest shape's
}

// All shapes have the threads of four warps, and of none does any bit of finite numbers depend.
const blockThreads = 128

// windowDepth and stages are WINDOW and STAGES of kernels/blocks.cuh: how much of the summed
// dimension is multiplied at once, and how many such windows there is room for.
const (
	windowDepth = 32
	stages      = 4
)

var shapes = []shape{{"large", 128, 128, 2, 1}, {"tall", 256, 64, 2, 1}, {"medium", 128, 64, 3, 0.8}, {"small", 64, 64, 4, 0.6}, {"slim", 256, 32, 3, 0.8}}

// Weights have no tall one and a slim one of their own, and pictures of one channel one each.
var (
	weightShapes = append(named("large", "medium", "small"), shape{"slim", 64, 32, 6, 0.4})
	greyForward  = []shape{{"grey", 128, 64, 3, 1}}
	greyWeights  = []shape{{"grey", 64, 64, 4, 1}}
)

// fit is which kernels of kernels/tensor_cores.cu a convolution can go through.
type fit int

const (
	generic fit = iota // none
	vectors            // channels come in eights
	grey               // pictures have one channel, and come in eights
)

// onTensorCores says which take a convolution of values x and y; other is read or written
// like them, and may be nil.
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

// named returns some of the shapes.
func named(names ...string) []shape {
	return slices.DeleteFunc(slices.Clone(shapes), func(s shape) bool { return !slices.Contains(names, s.name) })
}

// shared is the bytes of shared memory of a block: the windows of both operands, in bfloat16.
func (s shape) shared() int { return stages * (s.m + s.n) * windowDepth * 2 }

func (s shape) grid(rows, columns, z int) grid {
	return grid{(rows + s.m - 1) / s.m, (columns + s.n - 1) / s.n, z, blockThreads}
}

// cost estimates the time of a launch: that of the blocks that a multiprocessor makes one
// after the other.
func (s shape) cost(rows, columns, z, multiprocessors int) float64 {
	g := s.grid(rows, columns, z)
	waves := math.Ceil(float64(g.x) * float64(g.y) * float64(g.z) / float64(multiprocessors*s.resident))
	return waves * float64(s.m*s.n*s.resident) / s.rate
}

// block launches a convolution in the shape that suits it: kernel is a name before the
// shape's, g the geometry among args.
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

// standIns are args with other memory.
func standIns(args []any, stand func(*buffer) *buffer) []any {
	other := slices.Clone(args)
	for i, a := range other {
		if m, ok := a.(*buffer); ok && m != nil {
			other[i] = stand(m)
		}
	}
	return other
}

// measured returns which of n launches is the fastest, by trying each on memory of its own,
// once for every key. Where there is no room for that, it returns guess.
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

// clock is the least time of a few launches of l.
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

// trial has memory that stands in for that of a program while its launches are compared.
type trial struct {
	d    *Device
	list []*buffer // in the order in which a launch asks for them
	used int
	full bool
}

// stand returns memory of b's size at least, zeros at first, which stays for the next launch.
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

//go:build cuda

package cuda

import (
	"fmt"
	"runtime"
	"sync"
	"time"
	"unsafe"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cuda/driver"
	"github.com/residual-ml/residual/internal/field"
	"github.com/residual-ml/residual/tensor"
)

// allocation is memory as the driver gave it, given back when nothing points to it.
type allocation struct{ at driver.Pointer }

// buffer is a stretch of one.
type buffer struct {
	of    *allocation
	at    driver.Pointer
	words int
}

func (b *buffer) Len() int { return b.words }

// graves are allocations and graphs that nothing points to any more. The driver is told
// of them when it is asked for memory next.
type graves struct {
	mu     sync.Mutex
	bytes  map[driver.Pointer]uint64 // of every allocation
	unused []driver.Pointer
	graphs []driver.Exec
	pinned map[pinned]bool // of every feed: true when nothing points to it any more
}

// pinned is host memory that the device copies from by itself, with the event that says
// when it has and the one that says when the copy was used.
type pinned struct {
	at           unsafe.Pointer
	copied, used driver.Event
}

func (g *graves) addPinned(p pinned) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, held := g.pinned[p]; held { // not given back with the device
		g.pinned[p] = true
	}
}

// free gives p back, which may be of parts.
func (p pinned) free(a *driver.API) {
	if p.at != nil {
		a.HostFree(p.at)
	}
	for _, e := range []driver.Event{p.copied, p.used} {
		if e != 0 {
			a.EventDestroy(e)
		}
	}
}

func (g *graves) addGraph(e driver.Exec) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.graphs = append(g.graphs, e)
}

func (g *graves) add(p driver.Pointer) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.unused = append(g.unused, p)
}

// empty gives back what is in the graves, and returns how many bytes of memory.
func (g *graves) empty(a *driver.API) (n uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, e := range g.graphs {
		a.ExecDestroy(e)
	}
	g.graphs = nil
	for p, unused := range g.pinned {
		if unused {
			p.free(a)
			delete(g.pinned, p)
		}
	}
	for _, p := range g.unused {
		a.MemFree(p)
		n += g.bytes[p]
		delete(g.bytes, p)
	}
	g.unused = nil
	return n
}

// close gives all memory back.
func (g *graves) close(a *driver.API) {
	g.empty(a)
	g.mu.Lock()
	defer g.mu.Unlock()
	for p := range g.bytes {
		a.MemFree(p)
	}
	for p := range g.pinned {
		p.free(a)
	}
	g.bytes, g.unused, g.pinned = nil, nil, nil
}

// Small buffers share chunks; all begin where the driver's own would.
const (
	chunkBytes = 4 << 20
	alignment  = 256
)

// Alloc returns zeroed memory of n words; where there is too little, Err says so.
func (d *Device) Alloc(n int) engine.Buffer {
	if !d.enter() {
		return &buffer{words: n}
	}
	defer d.leave()
	return d.alloc(n)
}

func (d *Device) alloc(n int) *buffer {
	b := &buffer{words: n}
	bytes := (4*uint64(n) + alignment - 1) / alignment * alignment
	switch {
	case n == 0:
		return b
	case bytes > chunkBytes/4:
		b.of = d.take(bytes)
	default:
		if d.chunk == nil || d.used+bytes > chunkBytes {
			d.chunk, d.used = d.take(chunkBytes), 0
		}
		if b.of = d.chunk; b.of != nil {
			b.at = b.of.at + driver.Pointer(d.used)
			d.used += bytes
		}
	}
	if b.of == nil {
		return b
	}
	if b.at == 0 {
		b.at = b.of.at
	}
	d.check("cuMemsetD32Async", d.api.MemSet(b.at, 0, uint64(n), d.stream))
	return b
}

// take asks the driver for memory.
func (d *Device) take(bytes uint64) *allocation {
	d.held -= d.dead.empty(d.api)
	a := &allocation{}
	r := d.api.MemAlloc(&a.at, bytes)
	for wait := time.Millisecond; r == driver.OutOfMemory && wait < 20*time.Millisecond; wait *= 2 {
		runtime.GC() // what is not needed any more may do; the runtime says so a little later
		time.Sleep(wait)
		d.held -= d.dead.empty(d.api)
		r = d.api.MemAlloc(&a.at, bytes)
	}
	if r == driver.OutOfMemory {
		var left, total uint64
		d.api.MemInfo(&left, &total)
		d.err = field.Errorf("%s has too little memory: %s are needed beside the %s already taken, and %s of %s are free; a smaller batch, bf16 or computing activations again ({Batch}, {Precision} bf16, {Recompute}) needs less",
			d.title(), gibibytes(bytes), gibibytes(d.held), gibibytes(left), gibibytes(total))
		return nil
	}
	if !d.check("cuMemAlloc", r) {
		return nil
	}
	d.held += bytes
	d.dead.mu.Lock()
	if d.dead.bytes == nil {
		d.dead.bytes = map[driver.Pointer]uint64{}
	}
	d.dead.bytes[a.at] = bytes
	d.dead.mu.Unlock()
	runtime.AddCleanup(a, d.dead.add, a.at)
	return a
}

// Slice returns n words of b from off on.
func (d *Device) Slice(b engine.Buffer, off, n int) engine.Buffer { return b.(*buffer).slice(off, n) }

func (b *buffer) slice(off, n int) *buffer {
	if off < 0 || n < 0 || off+n > b.words {
		panic(fmt.Sprintf("cuda: words %d to %d of %d", off, off+n, b.words))
	}
	s := &buffer{of: b.of, words: n}
	if b.at != 0 {
		s.at = b.at + driver.Pointer(4*off)
	}
	return s
}

// copyTo copies host memory to the device, in the order of the stream. It does not wait:
// of memory that is not pinned the driver has a copy of its own when the call returns
// (CUDA Driver API, "API synchronization behavior", Memcpy, Asynchronous).
func (d *Device) copyTo(dst *buffer, src unsafe.Pointer, bytes int) {
	if bytes > 4*dst.words {
		panic(fmt.Sprintf("cuda: %d bytes do not fit %d words", bytes, dst.words))
	}
	if bytes > 0 && d.err == nil {
		d.check("cuMemcpyHtoDAsync", d.api.CopyTo(dst.at, src, uint64(bytes), d.stream))
	}
}

// copyFrom copies device memory to the host. Where the device has failed nothing is
// written.
func (d *Device) copyFrom(dst unsafe.Pointer, src *buffer, bytes int) {
	if bytes > 0 && d.err == nil && d.check("cuMemcpyDtoHAsync", d.api.CopyFrom(dst, src.at, uint64(bytes), d.stream)) {
		d.wait()
	}
}

// upload puts a slice of the host's into memory of its own.
func upload[T any](d *Device, s []T) *buffer {
	bytes := len(s) * int(unsafe.Sizeof(*new(T)))
	b := d.alloc((bytes + 3) / 4)
	if d.err == nil && bytes > 0 {
		d.copyTo(b, unsafe.Pointer(unsafe.SliceData(s)), bytes)
	}
	return b
}

// stage returns n words on the way between host and device.
func (d *Device) stage(n int) *buffer {
	if d.staging == nil || d.staging.words < n {
		d.staging = nil
		d.staging = d.alloc(n)
	}
	return d.staging.slice(0, n)
}

// Upload writes a host tensor in the layout and type of v. Labels (Int64) become
// float32, which holds them exactly up to 2^24.
func (d *Device) Upload(dst engine.Buffer, v *engine.Value, src *tensor.Tensor) {
	if v.Numel() == 0 || !d.enter() {
		return
	}
	defer d.leave()
	data := src.Data()
	if src.DType() == tensor.Int64 {
		if len(d.host) < v.Numel() {
			d.host = make([]float32, v.Numel())
		}
		data = d.host[:v.Numel()]
		for i, x := range src.Ints() {
			data[i] = float32(x)
		}
	}
	to := dst.(*buffer)
	if v.RowMajor() && v.DType == tensor.Float32 {
		d.copyTo(to, unsafe.Pointer(&data[0]), 4*len(data))
		return
	}
	staged := d.stage(len(data))
	d.copyTo(staged, unsafe.Pointer(&data[0]), 4*len(data))
	d.rearrange(to, half(v), orderOf(v), staged, false, rowMajor(v), v.Numel())
}

// Download reads v into a host tensor; where the device has failed the tensor stays as
// it is.
func (d *Device) Download(dst *tensor.Tensor, src engine.Buffer, v *engine.Value) {
	if dst.DType() != tensor.Float32 {
		panic(fmt.Sprintf("cuda: reading %v into %v", v, dst))
	}
	if v.Numel() == 0 || !d.enter() {
		return
	}
	defer d.leave()
	from := src.(*buffer)
	if !v.RowMajor() || half(v) {
		staged := d.stage(v.Numel())
		d.rearrange(staged, false, rowMajor(v), from, half(v), orderOf(v), v.Numel())
		from = staged
	}
	d.copyFrom(unsafe.Pointer(&dst.Data()[0]), from, 4*v.Numel())
}

// rearrange copies n elements between orders and types, at once.
func (d *Device) rearrange(dst *buffer, dstHalf bool, to *order, src *buffer, srcHalf bool, from *order, n int) {
	if d.err != nil {
		return
	}
	l, err := d.launch("gather", line(n), n, dst, dstHalf, to, src, srcHalf, from)
	if err != nil {
		d.err = err
		return
	}
	d.start(l)
}

func half(v *engine.Value) bool { return v != nil && v.DType == tensor.BFloat16 }

// order is the kernels' Order.
type order struct{ size, stride [4]int32 }

func (o *order) pointer() (unsafe.Pointer, int) { return unsafe.Pointer(o), int(unsafe.Sizeof(*o)) }
func (o *order) memory() []*buffer              { return nil }

// orderOf is how v lies in memory; its row-major elements where the layout is that.
func orderOf(v *engine.Value) *order {
	if v.RowMajor() {
		return rowMajor(v)
	}
	o := rowMajor(nil)
	for i, stride := range v.Layout.Strides(v.Shape) {
		at := 4 - len(v.Shape) + i
		o.size[at], o.stride[at] = int32(v.Shape[i]), int32(stride)
	}
	return o
}

// rowMajor is the order of v's elements on the host: one line of them.
func rowMajor(v *engine.Value) *order {
	o := &order{size: [4]int32{1, 1, 1, 1}}
	if v != nil {
		o.size[3], o.stride[3] = int32(v.Numel()), 1
	}
	return o
}

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

// allocation is memory from the driver. It is freed some time after the last reference
// to it is gone.
type allocation struct{ at driver.Pointer }

// buffer is a part of an allocation.
type buffer struct {
	of    *allocation
	at    driver.Pointer
	words int
}

func (b *buffer) Len() int { return b.words }

// garbage has the resources of the driver that are no longer referenced. They are freed
// when the device next allocates memory, since the garbage collector's cleanups cannot
// call the driver.
type garbage struct {
	mu     sync.Mutex
	bytes  map[driver.Pointer]uint64 // the size of every allocation
	unused []driver.Pointer
	graphs []driver.Exec
	pinned map[pinned]bool // all pinned memory; true if it is no longer referenced
}

// pinned is pinned host memory, from which the device copies asynchronously. The event
// copied follows the copy, and used follows the kernels that read it.
type pinned struct {
	at           unsafe.Pointer
	copied, used driver.Event
}

func (g *garbage) addPinned(p pinned) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, known := g.pinned[p]; known { // else it was freed with the device
		g.pinned[p] = true
	}
}

// free frees the parts of p that exist.
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

func (g *garbage) addGraph(e driver.Exec) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.graphs = append(g.graphs, e)
}

func (g *garbage) add(p driver.Pointer) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.unused = append(g.unused, p)
}

// empty frees all unreferenced resources and returns the number of bytes of device memory.
func (g *garbage) empty(a *driver.API) (n uint64) {
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

// close frees all memory.
func (g *garbage) close(a *driver.API) {
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

// Small buffers share chunks. All buffers are aligned as allocations of the driver are.
const (
	chunkBytes = 4 << 20
	alignment  = 256
)

// Alloc returns n zeroed words of device memory. If there is too little memory, the device
// fails and Err returns the reason.
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

// take allocates memory from the driver, after freeing garbage. It returns nil on failure.
func (d *Device) take(bytes uint64) *allocation {
	d.allocated -= d.garbage.empty(d.api)
	a := &allocation{}
	r := d.api.MemAlloc(&a.at, bytes)
	for wait := time.Millisecond; r == driver.OutOfMemory && wait < 20*time.Millisecond; wait *= 2 {
		runtime.GC() // may free enough; cleanups run a little later
		time.Sleep(wait)
		d.allocated -= d.garbage.empty(d.api)
		r = d.api.MemAlloc(&a.at, bytes)
	}
	if r == driver.OutOfMemory {
		var left, total uint64
		d.api.MemInfo(&left, &total)
		d.err = field.Errorf("%s has too little memory: %s are needed beside the %s already taken, and %s of %s are free; a smaller batch, bf16 or computing activations again ({Batch}, {Precision} bf16, {Recompute}) needs less",
			d.title(), gibibytes(bytes), gibibytes(d.allocated), gibibytes(left), gibibytes(total))
		return nil
	}
	if !d.check("cuMemAlloc", r) {
		return nil
	}
	d.allocated += bytes
	d.garbage.mu.Lock()
	if d.garbage.bytes == nil {
		d.garbage.bytes = map[driver.Pointer]uint64{}
	}
	d.garbage.bytes[a.at] = bytes
	d.garbage.mu.Unlock()
	runtime.AddCleanup(a, d.garbage.add, a.at)
	return a
}

// Slice returns the n words of b from off on; they share its memory.
func (d *Device) Slice(b engine.Buffer, off, n int) engine.Buffer { return b.(*buffer).slice(off, n) }

func (b *buffer) slice(off, n int) *buffer {
	if off < 0 || n < 0 || off+n > b.words {
		panic(fmt.Sprintf("cuda: words %d to %d are outside a buffer of %d words", off, off+n, b.words))
	}
	s := &buffer{of: b.of, words: n}
	if b.at != 0 {
		s.at = b.at + driver.Pointer(4*off)
	}
	return s
}

// copyTo copies host memory to the device, in the order of the stream. It does not wait.
// If src is not pinned, the driver has a copy of it when the call returns (CUDA Driver
// API, "API synchronization behavior", Memcpy, Asynchronous).
func (d *Device) copyTo(dst *buffer, src unsafe.Pointer, bytes int) {
	if bytes > 4*dst.words {
		panic(fmt.Sprintf("cuda: %d bytes do not fit %d words", bytes, dst.words))
	}
	if bytes > 0 && d.err == nil {
		d.check("cuMemcpyHtoDAsync", d.api.CopyTo(dst.at, src, uint64(bytes), d.stream))
	}
}

// copyFrom copies device memory to the host and waits for the copy. If the device has
// failed, it writes nothing.
func (d *Device) copyFrom(dst unsafe.Pointer, src *buffer, bytes int) {
	if bytes > 0 && d.err == nil && d.check("cuMemcpyDtoHAsync", d.api.CopyFrom(dst, src.at, uint64(bytes), d.stream)) {
		d.wait()
	}
}

// upload copies a slice to new device memory.
func upload[T any](d *Device, s []T) *buffer {
	bytes := len(s) * int(unsafe.Sizeof(*new(T)))
	b := d.alloc((bytes + 3) / 4)
	if d.err == nil && bytes > 0 {
		d.copyTo(b, unsafe.Pointer(unsafe.SliceData(s)), bytes)
	}
	return b
}

// stage returns n words of device memory for copies between host and device whose order or
// type changes on the device.
func (d *Device) stage(n int) *buffer {
	if d.staging == nil || d.staging.words < n {
		d.staging = nil
		d.staging = d.alloc(n)
	}
	return d.staging.slice(0, n)
}

// Upload writes a host tensor to dst in the layout and type of v. Int64 labels become
// float32, which represents them exactly up to 2^24.
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
	d.rearrange(to, isBF16(v), orderOf(v), staged, false, rowMajor(v), v.Numel())
}

// Download reads v, which lies at src, into a float32 host tensor. If the device has
// failed, the tensor stays as it is.
func (d *Device) Download(dst *tensor.Tensor, src engine.Buffer, v *engine.Value) {
	if dst.DType() != tensor.Float32 {
		panic(tensor.Misusef("cuda: reading %v into %v, which must be float32", v, dst))
	}
	if v.Numel() == 0 || !d.enter() {
		return
	}
	defer d.leave()
	from := src.(*buffer)
	if !v.RowMajor() || isBF16(v) {
		staged := d.stage(v.Numel())
		d.rearrange(staged, false, rowMajor(v), from, isBF16(v), orderOf(v), v.Numel())
		from = staged
	}
	d.copyFrom(unsafe.Pointer(&dst.Data()[0]), from, 4*v.Numel())
}

// rearrange copies n elements between orders and types, outside any program.
func (d *Device) rearrange(dst *buffer, dstBF16 bool, to *order, src *buffer, srcBF16 bool, from *order, n int) {
	if d.err != nil {
		return
	}
	l, err := d.launch("gather", line(n), n, dst, dstBF16, to, src, srcBF16, from)
	if err != nil {
		d.err = err
		return
	}
	d.start(l)
}

// isBF16 reports whether a value is stored as bfloat16; a nil value is not.
func isBF16(v *engine.Value) bool { return v != nil && v.DType == tensor.BFloat16 }

// order is struct Order of the kernels.
type order struct{ size, stride [4]int32 }

func (o *order) pointer() (unsafe.Pointer, int) { return unsafe.Pointer(o), int(unsafe.Sizeof(*o)) }
func (o *order) memory() []*buffer              { return nil }

// orderOf returns the order of v's elements in memory.
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

// rowMajor returns the row-major order of v's elements, as on the host.
func rowMajor(v *engine.Value) *order {
	o := &order{size: [4]int32{1, 1, 1, 1}}
	if v != nil {
		o.size[3], o.stride[3] = int32(v.Numel()), 1
	}
	return o
}

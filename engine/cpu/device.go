// Package cpu is the CPU device: layouts, kernels and how steps are divided
// over threads.
//
// Activations lie batch-inner, [H][W][N][C]: the N images of one pixel are the
// rows of a matrix of C columns, so every tap of a convolution is a plain matrix
// product, and taps that fall outside the image are left out instead of being
// multiplied by zeros. Every element of a result is computed by one task in a
// fixed order, so results do not depend on the number of threads.
package cpu

import (
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu/kernel"
	"github.com/residual-ml/residual/internal/host"
)

// Options choose how the device works. The zero value is the best the machine has.
type Options struct {
	Threads int         // 0: GOMAXPROCS
	ISA     *kernel.ISA // nil: kernel.Best()
	Direct  bool        // convolutions by their sums alone, never by Winograd's filtering
}

// Device is the CPU.
type Device struct {
	set    *kernel.Set
	pool   *pool
	direct bool
	forced *tiling // set by tests
	images imageUpload
}

// New returns a CPU device, or an error when the instruction set is not there.
func New(o Options) (*Device, error) {
	isa := kernel.Best()
	if o.ISA != nil {
		isa = *o.ISA
	}
	found := false
	for _, have := range kernel.Available() {
		found = found || have == isa
	}
	if !found {
		return nil, fmt.Errorf("cpu: this machine cannot run %v kernels; it has %v", isa, kernel.Available())
	}
	threads := o.Threads
	if threads <= 0 {
		threads = runtime.GOMAXPROCS(0)
	}
	d := &Device{set: kernel.For(isa), pool: newPool(threads), direct: o.Direct}
	d.images.work = d.images.task
	return d, nil
}

// Close ends the device's threads; no program may run on it afterwards.
func (d *Device) Close() { d.pool.close() }

// Name returns "cpu".
func (d *Device) Name() string { return "cpu" }

// Describe returns "2 threads, avx512 kernels" or the like.
func (d *Device) Describe() string {
	if d.pool.threads == 1 {
		return fmt.Sprintf("1 thread, %v kernels", d.set.ISA)
	}
	return fmt.Sprintf("%d threads, %v kernels", d.pool.threads, d.set.ISA)
}

// Computes allows every precision but TF32.
func (d *Device) Computes(p engine.Precision) error {
	if p == engine.TF32 {
		return errors.New("the CPU does not compute in tf32, which is for GPUs; use fp32 or bf16")
	}
	return nil
}

// Err returns nil: the CPU does not fail.
func (d *Device) Err() error { return nil }

// Fits tells whether this process can take so many bytes more, limits of control groups
// counted.
func (d *Device) Fits(bytes int64) error { return host.ReadMemory().Fits(bytes) }

// ISA returns the instruction set of the kernels.
func (d *Device) ISA() kernel.ISA { return d.set.ISA }

// Preferred is BF16 where the processor multiplies bfloat16 itself.
func (d *Device) Preferred() engine.Precision {
	if d.set.BF16.Native {
		return engine.BF16
	}
	return engine.FP32
}

// Threads returns how many threads share a step.
func (d *Device) Threads() int { return d.pool.threads }

// memory is a stretch of the device's memory: ordinary Go memory, aligned to
// cache lines.
type memory []float32

// bf16 returns the same memory as elements of bfloat16.
func (m memory) bf16() []uint16 {
	return unsafe.Slice((*uint16)(unsafe.Pointer(unsafe.SliceData(m))), 2*len(m))
}

func (m memory) Len() int { return len(m) }

// Alloc returns zeroed memory that begins on a cache line.
func (d *Device) Alloc(n int) engine.Buffer { return alloc(n) }

func alloc(n int) memory {
	const line = 64
	s := make([]float32, n+line/4)
	advise(s)
	skip := int(-uintptr(unsafe.Pointer(unsafe.SliceData(s)))%line) / 4
	return s[skip : skip+n : skip+n]
}

// Slice returns n elements of b from off on.
func (d *Device) Slice(b engine.Buffer, off, n int) engine.Buffer {
	return b.(memory)[off : off+n : off+n]
}

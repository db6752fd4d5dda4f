// Package cpu computes programs of package engine on the CPU. It is the device of
// machines without a GPU, and the one that tests compare others with:
//
//	dev, err := cpu.New(cpu.Options{})
//	if err != nil {
//		return err
//	}
//	defer dev.Close()
//	y, err := engine.Call(dev, graph.Eval, layer.Forward, x)
//
// Options choose the number of threads and the instruction set. Package kernel has the
// inner loops; this package has the layout of memory and the division of the work into
// tasks.
//
// Activations are stored as [H][W][N][C]: the N images at one pixel are the rows of a
// matrix of C columns. Every tap of a convolution is then a matrix product, and taps
// outside the image are skipped instead of multiplied by zeros. One task computes each
// element of a result, in a fixed order, so results do not depend on the number of
// threads.
package cpu

import (
	"errors"
	"fmt"
	"runtime"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu/kernel"
	"github.com/residual-ml/residual/internal/host"
)

// Options configure a Device. The zero value uses all threads and the fastest kernels
// that the machine can run.
type Options struct {
	Threads int         // threads that share a step; 0 means GOMAXPROCS
	ISA     *kernel.ISA // instruction set of the kernels; nil means kernel.Best()
	Direct  bool        // compute convolutions by direct sums, never by Winograd's algorithm
}

// Device is the CPU as an engine.Device. New makes one; Close ends its threads.
type Device struct {
	set    *kernel.Set
	pool   *pool
	direct bool
	forced *tiling // set by tests
	images *imageUpload
	tables bf16Tables
}

// New returns a CPU device. It fails if this machine or this build cannot run the
// instruction set that the options name.
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
	d.images = newImageUpload(d.set, threads)
	return d, nil
}

// Close ends the device's threads. Programs on the device must not be used afterwards: Err
// then returns an error. Closing a device twice is allowed.
func (d *Device) Close() { d.pool.close() }

// Name returns "cpu".
func (d *Device) Name() string { return "cpu" }

// Describe returns the number of threads and the kernels, such as
// "2 threads, avx512 kernels".
func (d *Device) Describe() string {
	if d.pool.threads == 1 {
		return fmt.Sprintf("1 thread, %v kernels", d.set.ISA)
	}
	return fmt.Sprintf("%d threads, %v kernels", d.pool.threads, d.set.ISA)
}

// Computes returns an error for TF32, which only GPUs have, and nil for every other
// precision.
func (d *Device) Computes(p engine.Precision) error {
	if p == engine.TF32 {
		return errors.New("the CPU does not compute in tf32, which is for GPUs; use fp32 or bf16")
	}
	return nil
}

// kernels returns the kernels for a precision. AMX adds bfloat16 products in another order than
// other processors, and integers of 16 bits round its factors, so that a program of integers
// uses neither for these products.
func (d *Device) kernels(p engine.Precision) *kernel.Set {
	if p != engine.INT8 {
		return d.set
	}
	if d.set.ISA == kernel.AMX {
		return kernel.For(kernel.AVX512BF16)
	}
	set := *d.set
	set.Int16.ForBF16 = false
	return &set
}

// Err returns an error if the device is closed. The CPU does not fail otherwise.
func (d *Device) Err() error {
	if d.pool.closed.Load() {
		return errClosed
	}
	return nil
}

var errClosed = errors.New("the device cpu is closed; close it only when nothing uses it any more")

// Broadcasts implements engine.Broadcaster.
func (d *Device) Broadcasts() bool { return true }

// Fits returns an error if this process cannot allocate that many bytes more, limits of
// control groups included.
func (d *Device) Fits(bytes int64) error { return host.ReadMemory().Fits(bytes) }

// ISA returns the instruction set that the kernels use.
func (d *Device) ISA() kernel.ISA { return d.set.ISA }

// Preferred returns PreferredBy of the device's instruction set.
func (d *Device) Preferred(purpose engine.Purpose) engine.Precision {
	return PreferredBy(d.set, purpose)
}

// PreferredBy returns BF16 where it was measured to be faster: with instructions that multiply
// bfloat16, or, since Winograd's algorithm multiplies 16-bit integers, with AVX512_VNNI, and for
// inference with any AVX-512. Otherwise it returns FP32.
func PreferredBy(set *kernel.Set, purpose engine.Purpose) engine.Precision {
	if set.BF16.Native || set.ISA >= kernel.AVX512VNNI || purpose == engine.Inference && set.ISA >= kernel.AVX512 {
		return engine.BF16
	}
	return engine.FP32
}

// Threads returns how many threads share a step.
func (d *Device) Threads() int { return d.pool.threads }

// Alloc returns n zeroed float32 that begin on a cache line.
func (d *Device) Alloc(n int) engine.Buffer { return alloc(n) }

// Slice returns the n elements of b from off on; they share its memory.
func (d *Device) Slice(b engine.Buffer, off, n int) engine.Buffer {
	return b.(memory)[off : off+n : off+n]
}

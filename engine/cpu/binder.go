package cpu

import (
	"fmt"
	"time"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu/kernel"
	"github.com/residual-ml/residual/tensor"
)

// binder turns the steps of one compiled program into functions.
type binder struct {
	engine.Binding
	device  *Device
	set     *kernel.Set
	pool    *pool
	direct  bool    // never use Winograd's algorithm
	forced  *tiling // set by tests: use this tiling for every convolution
	areas   *areas  // work areas of tasks
	exe     *executable
	fixed   fixed
	shared  int      // scratch elements that steps share, since they run one after the other
	private int      // elements that steps allocate for themselves
	outside []uint16 // zeros, see zeros
}

// executable is a program bound to this device; it implements engine.Executable.
type executable struct {
	runs    []func()
	scratch memory
	own     int
	key     int64
}

// act returns the memory of a value of either type.
func (b *binder) act(v *engine.Value) activation {
	switch {
	case v == nil:
		return activation{}
	case v.DType == tensor.BFloat16:
		return activation{bf16: b.At(v).(memory).bf16()[:v.Numel()]}
	case v.DType == tensor.Uint8:
		return activation{bytes: b.At(v).(memory).bytes()[:v.Numel()], scale: v.Scale, zero: float32(v.Zero)}
	}
	return activation{full: b.mem(v)}
}

func (p *executable) Run(key int64) {
	p.key = key
	for _, f := range p.runs {
		if f != nil {
			f()
		}
	}
}

func (p *executable) Profile() []time.Duration {
	took := make([]time.Duration, len(p.runs))
	for i, f := range p.runs {
		if f != nil {
			start := time.Now()
			f()
			took[i] = time.Since(start)
		}
	}
	return took
}

func (p *executable) SharedElements() int { return len(p.scratch) }

func (p *executable) OwnElements() int { return p.own }

// mem returns the memory of a float32 value, or nil for a nil value.
func (b *binder) mem(v *engine.Value) memory {
	if v != nil && v.DType != tensor.Float32 {
		panic(fmt.Sprintf("cpu: %v is read as float32 but has another type", v))
	}
	return b.words(v)
}

// words returns the memory of a value of any type, or nil for a nil value.
func (b *binder) words(v *engine.Value) memory {
	if v == nil {
		return nil
	}
	return b.At(v).(memory)
}

// borrow reserves n elements of scratch for the time in which a step runs. The
// function it returns gives the memory; it may be called once all steps are bound,
// for only then is the shared scratch allocated.
func (b *binder) borrow(n int) func() memory {
	b.shared = max(b.shared, n)
	p := b.exe
	return func() memory { return p.scratch[:n] }
}

// copy returns a parallel copy, or nil where both are the same memory.
func (b *binder) copy(dst, src memory) func() {
	if sameMemory(dst, src) {
		return nil
	}
	return b.blocks(len(dst), func(lo, hi int) { copy(dst[lo:hi], src[lo:hi]) })
}

// blocks calls f in parallel for pieces of n elements. The size of a piece is fixed.
func (b *binder) blocks(n int, f func(lo, hi int)) func() {
	const size = 1 << 14
	tasks := ceil(n, size)
	work := func(i int) { f(i*size, min((i+1)*size, n)) }
	return func() { b.pool.run(tasks, work) }
}

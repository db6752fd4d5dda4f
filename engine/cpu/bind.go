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
	set     *kernel.Set
	pool    *pool
	direct  bool    // never use Winograd's algorithm
	forced  *tiling // set by tests: use this tiling for every convolution
	areas   *areas  // work areas of tasks
	exe     *executable
	shared  int // scratch elements that steps share, since they run one after the other
	private int // elements that steps allocate for themselves
}

// executable is a program bound to this device; it implements engine.Executable.
type executable struct {
	runs    []func()
	scratch memory
	own     int
	key     int64
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
func (p *executable) OwnElements() int    { return p.own }

// Bind prepares the steps of a program to run on this device.
func (d *Device) Bind(b engine.Binding) (engine.Executable, error) {
	bd := &binder{Binding: b, set: d.set, pool: d.pool, direct: d.direct, forced: d.forced, areas: &areas{}, exe: &executable{}}
	for _, s := range b.Steps {
		f, err := bd.step(s)
		if err != nil {
			return nil, err
		}
		bd.exe.runs = append(bd.exe.runs, f)
	}
	// The work areas of tasks lie behind the scratch that steps share.
	line := ceil(bd.shared, 16) * 16
	all := b.Scratch(line + bd.areas.room(d.pool.threads)).(memory)
	bd.exe.scratch = all
	bd.areas.divide(all[line:], d.pool.threads)
	bd.exe.own = bd.private
	return bd.exe, nil
}

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

func (b *binder) step(s engine.Step) (func(), error) {
	switch s := s.(type) {
	case *engine.Conv:
		return b.conv(s), nil
	case *engine.ConvGradInput:
		return b.convGradInput(s), nil
	case *engine.ConvGradWeight:
		return b.convGradWeight(s), nil
	case *engine.BatchNormStats:
		return b.batchNormStats(s), nil
	case *engine.BatchNorm:
		return b.batchNorm(s), nil
	case *engine.BatchNormReduce:
		return b.batchNormReduce(s), nil
	case *engine.BatchNormGrad:
		return b.batchNormGrad(s), nil
	case *engine.Relayout:
		return b.relayout(s.From, s.To, s.From.Shape), nil
	case *engine.Assign:
		return b.copy(b.mem(s.To), b.mem(s.From)), nil
	case *engine.Compute:
		return b.compute(s)
	}
	return nil, fmt.Errorf("cpu: no kernel for step %T", s)
}

// sameMemory reports whether a and b begin at the same address.
func sameMemory(a, b memory) bool { return len(a) > 0 && len(b) > 0 && &a[0] == &b[0] }

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

// ceil returns a/b rounded up.
func ceil(a, b int) int { return (a + b - 1) / b }

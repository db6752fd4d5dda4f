package cpu

import (
	"fmt"
	"time"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu/kernel"
	"github.com/residual-ml/residual/tensor"
)

// binder turns the steps of one program into functions.
type binder struct {
	engine.Binding
	set     *kernel.Set
	pool    *pool
	direct  bool    // no Winograd
	forced  *tiling // for tests: the only one to use
	areas   *areas  // of tasks
	prog    *program
	shared  int // elements of scratch that steps use one after the other
	private int // elements of scratch that a step keeps for itself
}

// program is a bound program.
type program struct {
	runs    []func()
	scratch memory
	own     int
	key     int64
}

func (p *program) Run(key int64) {
	p.key = key
	for _, f := range p.runs {
		if f != nil {
			f()
		}
	}
}

func (p *program) Profile() []time.Duration {
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

func (p *program) SharedElements() int { return len(p.scratch) }
func (p *program) OwnElements() int    { return p.own }

// Bind makes steps executable.
func (d *Device) Bind(b engine.Binding) (engine.Executable, error) {
	bd := &binder{Binding: b, set: d.set, pool: d.pool, direct: d.direct, forced: d.forced, areas: &areas{}, prog: &program{}}
	for _, s := range b.Steps {
		f, err := bd.step(s)
		if err != nil {
			return nil, err
		}
		bd.prog.runs = append(bd.prog.runs, f)
	}
	// The areas of tasks lie behind what steps use one after the other.
	line := ceil(bd.shared, 16) * 16
	all := b.Scratch(line + bd.areas.room(d.pool.threads)).(memory)
	bd.prog.scratch = all
	bd.areas.divide(all[line:], d.pool.threads)
	bd.prog.own = bd.private
	return bd.prog, nil
}

// mem returns the memory of a value of float32; nil for none.
func (b *binder) mem(v *engine.Value) memory {
	if v != nil && v.DType != tensor.Float32 {
		panic(fmt.Sprintf("cpu: %v is taken for float32", v))
	}
	return b.words(v)
}

// words returns the memory of a value of any type; nil for none.
func (b *binder) words(v *engine.Value) memory {
	if v == nil {
		return nil
	}
	return b.At(v).(memory)
}

// borrow reserves n elements that a step may use while it runs, and returns how
// to get them: scratch is shared by all steps and exists once all are bound.
func (b *binder) borrow(n int) func() memory {
	b.shared = max(b.shared, n)
	p := b.prog
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

// blocks divides n elements into pieces of a fixed size.
func (b *binder) blocks(n int, f func(lo, hi int)) func() {
	const size = 1 << 14
	tasks := ceil(n, size)
	work := func(i int) { f(i*size, min((i+1)*size, n)) }
	return func() { b.pool.run(tasks, work) }
}

// ceil returns a/b rounded up.
func ceil(a, b int) int { return (a + b - 1) / b }

//go:build cuda

package cuda

import (
	"fmt"
	"time"
	"unsafe"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/graph"
)

// executable is a program bound to a device, as a sequence of kernels. It implements
// engine.Executable.
type executable struct {
	d      *Device
	steps  [][]*launch
	key    *buffer // key of the run, which dropout reads; nil without random numbers
	number int64   // the key while it is copied
	graph  *recording
	shared int
	own    int
	keep   []*buffer // memory that belongs to the program, such as tables

	sideSteps
	version *uint64   // version of the store's variables
	static  bool      // the program updates no variables
	rounded []*launch // kernels before the steps, which round weights to bfloat16
	fixed   []bool    // for every step, whether its results depend only on variables; see fix
	made    uint64    // 1 + the version from which fixed steps, and rounded weights of a static program, were computed
}

// binder turns the steps of one program into launches. Bind makes two binders: the first
// only finds out how much scratch the steps need.
type binder struct {
	engine.Binding
	d           *Device
	exe         *executable
	scratch     *buffer // nil in the first pass
	need        int     // words of it
	sideScratch *buffer // scratch of asynchronous steps; nil in the first pass
	sideNeed    int     // words of sideScratch
	list        []*launch
	trial       *trial // memory for measuring shapes; nil until the first measurement
	rounded     roundings
	fixed       map[*engine.Value]*buffer // results of fixed steps, in memory that belongs to the program
	index       int                       // of the current step
	done        map[engine.Step]bool      // steps that the kernels of another step already do
	err         error
}

// newBinder returns a binder for one pass over the steps.
func newBinder(d *Device, b engine.Binding) *binder {
	return &binder{
		Binding: b, d: d, rounded: roundings{of: map[*engine.Value]*buffer{}}, fixed: map[*engine.Value]*buffer{},
		exe: &executable{d: d, graph: &recording{d: d}, version: b.Version, static: b.Static}, done: map[engine.Step]bool{},
	}
}

// Bind prepares the steps of a program to run on this device.
func (d *Device) Bind(b engine.Binding) (engine.Executable, error) {
	sizes := newBinder(d, b)
	if err := sizes.all(); err != nil {
		return nil, err
	}
	bd := newBinder(d, b)
	bd.exe.shared = sizes.need
	bd.scratch = b.Scratch(sizes.need).(*buffer)
	bd.sideNeed = sizes.sideNeed
	if err := bd.all(); err != nil {
		return nil, err
	}
	return bd.exe, nil
}

func (b *binder) all() error {
	if !b.d.enter() {
		return b.d.err
	}
	defer b.d.leave()
	b.exe.sideSteps = b.d.sideStepsOf(b.Steps)
	if b.scratch != nil && b.sideNeed > 0 {
		b.sideScratch = b.own(b.sideNeed)
	}
	for i, s := range b.Steps {
		for _, v := range append(s.Reads(), s.Writes()...) {
			if v.Numel() >= 1<<31 {
				return fmt.Errorf("cuda: %v has 2^31 elements or more, which kernels cannot count; use a smaller batch", v)
			}
		}
		b.list, b.index = nil, i
		b.exe.fixed = append(b.exe.fixed, b.fix(s))
		if !b.done[s] {
			b.step(s)
		}
		if b.err == nil {
			b.err = b.d.err
		}
		if b.err != nil {
			return b.err
		}
		b.exe.steps = append(b.exe.steps, b.list)
	}
	if len(b.rounded.list) > 0 {
		b.list = nil
		b.pack(b.rounded.list, b.rounded.blocks)
		b.exe.rounded = b.list
	}
	return b.err
}

// launch adds a kernel to the current step.
func (b *binder) launch(name string, g grid, args ...any) {
	l, err := b.d.launch(name, g, args...)
	if err != nil && b.err == nil {
		b.err = err
	}
	b.list = append(b.list, l)
}

// at returns the memory of a value, or nil for a nil value.
func (b *binder) at(v *engine.Value) *buffer {
	if v == nil {
		return nil
	}
	if own := b.fixed[v]; own != nil {
		return own
	}
	return b.At(v).(*buffer)
}

// fix reports whether the result of a step of a static program depends only on variables.
// Such a step is computed only when the variables have changed, so fix gives its result
// memory that no other step uses.
func (b *binder) fix(s engine.Step) bool {
	c, ok := s.(*engine.Compute)
	if !ok || !b.Static || c.Out.Keep {
		return false
	}
	if _, ok := c.Op.(graph.Stack); !ok {
		return false
	}
	for _, v := range c.In {
		if v.Place != engine.Persistent {
			return false
		}
	}
	b.fixed[c.Out] = b.own(c.Out.Words())
	return true
}

// borrow returns n words of scratch, from word off on. The step may use them while it
// runs.
func (b *binder) borrow(off, n int) *buffer {
	need, from := &b.need, b.scratch
	if b.exe.sideSteps.beside[b.index] {
		need, from = &b.sideNeed, b.sideScratch
	}
	*need = max(*need, off+n)
	if from == nil {
		return &buffer{words: n}
	}
	return from.slice(off, n)
}

// table copies a slice to device memory that belongs to the program.
func table[T any](b *binder, s []T) *buffer {
	if b.scratch == nil {
		return &buffer{}
	}
	t := upload(b.d, s)
	b.exe.own += t.words
	b.exe.keep = append(b.exe.keep, t)
	return t
}

func (b *binder) step(s engine.Step) {
	switch s := s.(type) {
	case *engine.Conv:
		b.conv(s)
	case *engine.ConvGradInput:
		b.convGradInput(s)
	case *engine.ConvGradWeight:
		b.convGradWeight(s)
	case *engine.BatchNormStats:
		b.stats(s.X, s.Stats)
	case *engine.BatchNorm:
		b.batchNorm(s)
	case *engine.BatchNormReduce:
		b.batchNormReduce(s)
	case *engine.BatchNormGrad:
		b.batchNormGrad(s)
	case *engine.Relayout:
		b.rearrange(s.From, s.To)
	case *engine.Assign:
		b.assign(s)
	case *engine.Compute:
		if op, ok := s.Op.(graph.Row); ok && s.Out.IsRow(op.I, s.In[0]) {
			return
		}
		b.compute(s)
	default:
		b.err = fmt.Errorf("cuda: no kernel for step %T", s)
	}
}

// rearrange copies a value to one of another order, type or shape.
func (b *binder) rearrange(from, to *engine.Value) {
	n := from.Numel()
	b.launch("gather", line(n), n, b.at(to), isBF16(to), orderOf(to), b.at(from), isBF16(from), orderOf(from))
}

// Run launches the program's kernels.
func (p *executable) Run(key int64) {
	if !p.d.enter() {
		return
	}
	defer p.d.leave()
	p.draw(key)
	p.refresh()
	p.graph.replay(p.launchAll)
}

// refresh computes fixed steps, and the rounded weights of a static program, if the
// variables have changed since it last did.
func (p *executable) refresh() {
	now := uint64(1)
	if p.version != nil {
		now += *p.version
	}
	if p.made == now {
		return
	}
	p.made = now
	if p.static {
		p.d.startAll(p.rounded)
	}
	for i, step := range p.steps {
		if p.fixed[i] {
			p.d.startAll(step)
		}
	}
}

func (d *Device) startAll(step []*launch) {
	for _, l := range step {
		d.start(l)
	}
}

// draw copies the key of the run to where kernels with random numbers read it.
func (p *executable) draw(key int64) {
	if p.key != nil {
		p.number = key
		p.d.copyTo(p.key, unsafe.Pointer(&p.number), 8)
	}
}

func (p *executable) launchAll() {
	if !p.static {
		p.d.startAll(p.rounded)
	}
	beside := false
	for i, step := range p.steps {
		if p.sideSteps.join[i] {
			p.d.join()
			beside = false
		}
		switch {
		case p.fixed[i]:
		case p.sideSteps.beside[i]:
			p.d.startOnSide(step)
			beside = true
		default:
			p.d.startAll(step)
		}
	}
	if beside {
		p.d.join()
	}
}

// profileRepeats is how often Profile repeats a step, so that waiting for the device adds
// little to the time.
const profileRepeats = 8

// Profile runs the kernels one step at a time: once to load them, then several times to
// measure them. The results of steps that overwrite their operands are meaningless
// afterwards.
func (p *executable) Profile() []time.Duration {
	took := make([]time.Duration, len(p.steps))
	d := p.d
	if !d.enter() {
		return took
	}
	defer d.leave()
	p.refresh()
	for i, step := range p.steps {
		if len(step) == 0 || p.fixed[i] {
			continue
		}
		var start time.Time
		for n := range 1 + profileRepeats {
			if n == 1 {
				d.wait()
				start = time.Now()
			}
			d.startAll(step)
		}
		d.wait()
		took[i] = time.Since(start) / profileRepeats
	}
	return took
}

func (p *executable) SharedElements() int { return p.shared }
func (p *executable) OwnElements() int    { return p.own }

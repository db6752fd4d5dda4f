//go:build cuda

package cuda

import (
	"fmt"
	"time"
	"unsafe"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/graph"
)

// program is a bound program: kernels in order.
type program struct {
	d      *Device
	steps  [][]*launch
	key    *buffer // of the run, where dropout finds it; nil where nothing is drawn
	number int64   // the key on its way there
	graph  *recording
	shared int
	own    int
	keep   []*buffer // tables of the program

	sides
	version *uint64   // of the variables
	static  bool      // it leaves them alone
	rounded []*launch // before the steps: weights that they want in bfloat16
	fixed   []bool    // of steps: what they make changes with the variables alone
	made    uint64    // the version that it and the weights of a static program were made of, plus 1
}

// binder turns the steps of one program into launches. It goes over them twice: first
// to learn how much scratch they need.
type binder struct {
	engine.Binding
	d       *Device
	prog    *program
	scratch *buffer // nil the first time
	need    int     // words of it
	beside  *buffer // scratch of steps beside others; nil the first time
	wanted  int     // words of it
	list    []*launch
	trial   *trial // nil until shapes of blocks are compared
	rounded roundings
	fixed   map[*engine.Value]*buffer // what fixed steps make, in memory of the program's own
	index   int                       // of the step at hand
	done    map[engine.Step]bool      // those that another step has taken over
	err     error
}

// newBinder returns the binder of a pass.
func newBinder(d *Device, b engine.Binding) *binder {
	return &binder{
		Binding: b, d: d, rounded: roundings{of: map[*engine.Value]*buffer{}}, fixed: map[*engine.Value]*buffer{},
		prog: &program{d: d, graph: &recording{d: d}, version: b.Version, static: b.Static}, done: map[engine.Step]bool{},
	}
}

// Bind makes steps executable.
func (d *Device) Bind(b engine.Binding) (engine.Executable, error) {
	sizes := newBinder(d, b)
	if err := sizes.all(); err != nil {
		return nil, err
	}
	bd := newBinder(d, b)
	bd.prog.shared = sizes.need
	bd.scratch = b.Scratch(sizes.need).(*buffer)
	bd.wanted = sizes.wanted
	if err := bd.all(); err != nil {
		return nil, err
	}
	return bd.prog, nil
}

func (b *binder) all() error {
	if !b.d.enter() {
		return b.d.err
	}
	defer b.d.leave()
	b.prog.sides = b.d.sidesOf(b.Steps)
	if b.scratch != nil && b.wanted > 0 {
		b.beside = b.own(b.wanted)
	}
	for i, s := range b.Steps {
		for _, v := range append(s.Reads(), s.Writes()...) {
			if v.Numel() >= 1<<31 {
				return fmt.Errorf("cuda: %v has more elements than kernels count, 2^31; use a smaller batch", v)
			}
		}
		b.list, b.index = nil, i
		b.prog.fixed = append(b.prog.fixed, b.fix(s))
		if !b.done[s] {
			b.step(s)
		}
		if b.err == nil {
			b.err = b.d.err
		}
		if b.err != nil {
			return b.err
		}
		b.prog.steps = append(b.prog.steps, b.list)
	}
	if len(b.rounded.list) > 0 {
		b.list = nil
		b.pack(b.rounded.list, b.rounded.blocks)
		b.prog.rounded = b.list
	}
	return b.err
}

// launch adds a kernel to the step at hand.
func (b *binder) launch(name string, g grid, args ...any) {
	l, err := b.d.launch(name, g, args...)
	if err != nil && b.err == nil {
		b.err = err
	}
	b.list = append(b.list, l)
}

// at returns the memory of a value; nil for none.
func (b *binder) at(v *engine.Value) *buffer {
	if v == nil {
		return nil
	}
	if own := b.fixed[v]; own != nil {
		return own
	}
	return b.At(v).(*buffer)
}

// fix says whether a step of a static program changes with the variables alone, and gives
// what it makes memory that no other step takes over.
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

// borrow returns scratch from word off on, for n words, until the step ends.
func (b *binder) borrow(off, n int) *buffer {
	need, from := &b.need, b.scratch
	if b.prog.sides.beside[b.index] {
		need, from = &b.wanted, b.beside
	}
	*need = max(*need, off+n)
	if from == nil {
		return &buffer{words: n}
	}
	return from.slice(off, n)
}

// table is a slice in memory of the program's own.
func table[T any](b *binder, s []T) *buffer {
	if b.scratch == nil {
		return &buffer{}
	}
	t := upload(b.d, s)
	b.prog.own += t.words
	b.prog.keep = append(b.prog.keep, t)
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

// rearrange copies a value into another order, type or shape.
func (b *binder) rearrange(from, to *engine.Value) {
	n := from.Numel()
	b.launch("gather", line(n), n, b.at(to), isBF16(to), orderOf(to), b.at(from), isBF16(from), orderOf(from))
}

// Run launches the program's kernels.
func (p *program) Run(key int64) {
	if !p.d.enter() {
		return
	}
	defer p.d.leave()
	p.draw(key)
	p.refresh()
	p.graph.replay(p.launchAll)
}

// refresh makes again what changes with the variables, where these have changed.
func (p *program) refresh() {
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

// draw gives the kernels that draw random numbers their key.
func (p *program) draw(key int64) {
	if p.key != nil {
		p.number = key
		p.d.copyTo(p.key, unsafe.Pointer(&p.number), 8)
	}
}

func (p *program) launchAll() {
	if !p.static {
		p.d.startAll(p.rounded)
	}
	beside := false
	for i, step := range p.steps {
		if p.sides.join[i] {
			p.d.join()
			beside = false
		}
		switch {
		case p.fixed[i]:
		case p.sides.beside[i]:
			p.d.startBeside(step)
			beside = true
		default:
			p.d.startAll(step)
		}
	}
	if beside {
		p.d.join()
	}
}

// again is how often Profile repeats a step, so that the waits beside it count little.
const again = 8

// Profile runs the kernels one step at a time: once, and then again and again for the
// clock. What steps make that write over what they read means nothing after that.
func (p *program) Profile() []time.Duration {
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
		for n := range 1 + again {
			if n == 1 {
				d.wait()
				start = time.Now()
			}
			d.startAll(step)
		}
		d.wait()
		took[i] = time.Since(start) / again
	}
	return took
}

func (p *program) SharedElements() int { return p.shared }
func (p *program) OwnElements() int    { return p.own }

package engine

import (
	"fmt"
	"slices"
	"time"

	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/tensor"
)

// Update pairs a variable with the node of its gradient.
type Update struct {
	Variable *graph.Variable
	Gradient *graph.Node // nil: the updater is given an empty gradient, as for a buffer whose average is kept
	Rate     float32     // factor of the rate of Step; 0 means 1
}

// Spec says what a program is to give.
type Spec struct {
	Outputs   []*graph.Node // readable after a run
	Updates   []Update      // applied by Program.Step
	Precision Precision     // of what it computes; the zero value is FP32
	Hold      bool          // what the graph assigns to variables waits for Program.Assign, so that a run can be dropped
	Unfused   bool          // keep every node a step of its own: for tests and for looking into a net
	Recompute bool          // drop activations and compute them again for the gradients: less memory, more time, the same bits
}

// Program is a compiled graph for one set of shapes.
type Program struct {
	device  Device
	store   *Store
	values  map[*graph.Node]*Value
	fed     map[*graph.Node]Buffer
	feeds   []Feed
	buffers map[*Value]Buffer // of values that can be read after a run
	steps   []Step
	arena   Buffer
	exec    Executable
	assign  Executable // of the assignments, where these are held; else nil
	pieces  []Piece
	updates []Update
	grads   []*Value
	slots   int
	assigns bool                                  // some steps write variables
	update  func(u Updater, lr float32, step int) // nil until it is asked for, as is whole
	whole   WholeStep
	read    []*graph.Node // of whole
}

// Compile makes a program over the variables of store.
func Compile(g *graph.Graph, store *Store, spec Spec) (*Program, error) {
	if err := store.device.Computes(spec.Precision); err != nil {
		return nil, err
	}
	wanted := append([]*graph.Node(nil), spec.Outputs...)
	for _, u := range spec.Updates {
		if u.Gradient != nil {
			wanted = append(wanted, u.Gradient)
		}
	}
	lo, err := lower(g, store, spec.Precision, wanted)
	if err != nil {
		return nil, err
	}
	p := &Program{device: store.device, store: store, values: lo.values, fed: map[*graph.Node]Buffer{}, updates: spec.Updates, slots: -1}
	for _, u := range spec.Updates {
		v, err := store.value(u.Variable)
		if err != nil {
			return nil, err
		}
		if u.Gradient == nil {
			p.grads = append(p.grads, nil)
			continue
		}
		grad := lo.as(lo.values[u.Gradient], v.Layout, tensor.Float32)
		grad.Keep = true
		p.grads = append(p.grads, grad)
	}
	steps := lo.steps
	if !spec.Unfused {
		steps = fuse(steps)
	}
	p.steps = schedule(steps)
	switch {
	case spec.Recompute:
		p.steps = recompute(p.steps, lo.forward(spec))
	case len(spec.Updates) > 0 && !spec.Unfused && !keeps(p.device):
		p.steps = recomputeCheap(p.steps, lo.forward(spec))
	}
	p.assigns = len(g.Assignments) > 0
	return p, p.place(spec)
}

// keeps reports whether a device computes nothing twice unasked.
func keeps(d Device) bool {
	k, ok := d.(Keeper)
	return ok && k.KeepsActivations()
}

// held divides the steps of a program whose assignments wait: these come last.
func held(steps []Step) (run, assign []Step) {
	n := len(steps)
	for n > 0 {
		if _, ok := steps[n-1].(*Assign); !ok {
			break
		}
		n--
	}
	return steps[:n], steps[n:]
}

// place plans the memory and binds the steps to it.
func (p *Program) place(spec Spec) error {
	var beside func(Step) bool
	if d, ok := p.device.(Sider); ok {
		beside = d.Beside
	}
	total := plan(p.steps, beside)
	if err := Fits(p.device, p.coming(total)); err != nil {
		return err
	}
	p.arena = p.store.share(&p.store.arena, total)
	fed := map[*Value]Buffer{}
	for n, v := range p.values {
		if v.Place == Fed {
			if _, ok := n.Op.(*graph.Input); ok {
				b := p.device.Alloc(v.Words())
				fed[v], p.fed[n] = b, b
			}
		}
	}
	at := func(v *Value) Buffer {
		switch v.Place {
		case Fed:
			return fed[v]
		case Persistent:
			return p.store.entries[v.Variable].buffer
		}
		return p.device.Slice(p.arena, v.place(), v.Words())
	}
	for i, u := range p.updates {
		piece := Piece{Param: p.store.entries[u.Variable].buffer, Rate: u.Rate}
		if piece.Rate == 0 {
			piece.Rate = 1
		}
		if p.grads[i] != nil {
			piece.Grad = at(p.grads[i])
		}
		p.pieces = append(p.pieces, piece)
	}
	p.buffers = map[*Value]Buffer{}
	for _, v := range p.values {
		if v.Keep || v.Place != Temporary {
			p.buffers[v] = at(v)
		}
	}
	scratch := func(n int) Buffer { return p.store.share(&p.store.scratch, n) }
	bind := func(steps []Step) (Executable, error) {
		exec, err := p.device.Bind(Binding{
			Steps: steps, Precision: spec.Precision, At: at, Version: &p.store.version, Static: len(spec.Updates) == 0, Scratch: scratch, Derived: p.store.derived,
		})
		if err == nil {
			err = p.device.Err()
		}
		return exec, err
	}
	run, assign := p.steps, []Step(nil)
	if spec.Hold {
		run, assign = held(p.steps)
	}
	var err error
	if p.exec, err = bind(run); err == nil && len(assign) > 0 {
		p.assign, err = bind(assign)
	}
	return err
}

// Feed gives an input its value for the coming runs. Shapes must be equal.
func (p *Program) Feed(n *graph.Node, t *tensor.Tensor) error {
	b := p.fed[n]
	if b == nil {
		return fmt.Errorf("engine: %v is no input of this program", n)
	}
	if !t.Shape().Equal(n.Shape) {
		return fmt.Errorf("engine: input %v was fed a tensor of shape %v", n, t.Shape())
	}
	p.device.Upload(b, p.values[n], t)
	return nil
}

// Run computes all outputs, and makes all assignments unless Spec.Hold keeps them back;
// where the device can fail, its Err says whether it did. Programs over one store share their
// workspace: they run one at a time, and what one left is gone when the next one
// runs. key numbers the run in its random
// stream: dropout draws from it, and nothing else.
func (p *Program) Run(key int64) {
	p.exec.Run(key)
	if p.assigns && p.assign == nil {
		p.store.version++
	}
}

// Assign makes the assignments of the last run, which Spec.Hold has kept back.
func (p *Program) Assign() {
	if p.assign != nil {
		p.assign.Run(0)
		p.store.version++
	}
}

// Step applies one optimiser step to every variable of Spec.Updates, from the
// gradients of the last run.
func (p *Program) Step(u Updater, lr float32) {
	p.store.step++
	p.Apply(u, lr)
}

// Apply is Step without counting a step: a pass of u over all variables, their
// gradients and slots, such as one that adds gradients up.
func (p *Program) Apply(u Updater, lr float32) {
	p.take(u.Slots())
	if p.update == nil {
		p.update = p.device.BindUpdate(p.pieces)
	}
	p.update(u, lr, p.store.step)
	p.store.version++
}

// take gives every variable n slots.
func (p *Program) take(n int) {
	if p.slots == n {
		return
	}
	p.slots, p.update, p.whole = n, nil, nil
	for i := range p.pieces {
		p.pieces[i].Slots = p.store.slots(p.updates[i].Variable, n)
	}
}

// Train is Run and then passes over all variables, whose updaters have the same number of
// slots, as one piece of work of the device, and reads outputs of one element into values.
// The first of read is the loss: a pass is made only where it and all gradients are finite;
// made says how many were. While the device computes, meanwhile is called, where it is not
// nil. Where the device is no Stepper, or does not know an updater, or Spec.Hold keeps
// assignments back, ok is false and nothing was done: Run, Finite, Norm, Assign, Apply and
// Read do the same one after the other.
func (p *Program) Train(key int64, passes []Pass, read []*graph.Node, values []float32, meanwhile func()) (made int, ok bool) {
	d, ok := p.device.(Stepper)
	if !ok || p.assign != nil || len(passes) == 0 {
		return 0, false
	}
	p.take(passes[0].Updater.Slots())
	if p.whole == nil || !slices.Equal(p.read, read) {
		if p.whole, ok = p.bindStep(d, read); !ok {
			return 0, false
		}
	}
	if made, ok = p.whole(key, passes, p.store.step+1, values, meanwhile); !ok {
		return 0, false
	}
	for _, q := range passes[:made] {
		if q.Counts {
			p.store.step++
		}
	}
	if p.assigns || made > 0 {
		p.store.version++
	}
	return made, true
}

// bindStep binds a step that reads these outputs, unless one is no single float32.
func (p *Program) bindStep(d Stepper, read []*graph.Node) (WholeStep, bool) {
	var buffers []Buffer
	for _, n := range read {
		v := p.values[n]
		if p.buffers[v] == nil || v.Numel() != 1 || v.DType != tensor.Float32 {
			return nil, false
		}
		buffers = append(buffers, p.buffers[v])
	}
	p.read = slices.Clone(read)
	return d.BindStep(p.exec, buffers, p.pieces), true
}

// Norm prepares the L2 norm of the gradients of the given updates together, after a run:
// summed in float64, the same bits for any number of threads. It is finite exactly when
// every one of the gradients is.
func (p *Program) Norm(updates []int) func() float64 {
	var pieces []Piece
	for _, i := range updates {
		pieces = append(pieces, p.pieces[i])
	}
	return p.device.BindNorm(pieces)
}

// Finite returns a function that tells whether every element of every gradient of the last
// run is finite, which costs one pass over them.
func (p *Program) Finite() func() bool {
	var pieces []Piece
	for _, q := range p.pieces {
		if q.Grad != nil {
			pieces = append(pieces, q)
		}
	}
	return p.device.BindFinite(pieces)
}

// Read copies an output of the last run into dst, which must have its shape.
func (p *Program) Read(n *graph.Node, dst *tensor.Tensor) {
	v := p.values[n]
	b := p.buffers[v]
	if b == nil {
		panic(fmt.Sprintf("engine: %v is no output of this program", n))
	}
	if !dst.Shape().Equal(n.Shape) {
		panic(fmt.Sprintf("engine: reading %v into shape %v", n, dst.Shape()))
	}
	p.device.Download(dst, b, v)
}

// Gradient copies the gradient of update i, which has one, of the last run into dst.
func (p *Program) Gradient(i int, dst *tensor.Tensor) {
	p.device.Download(dst, p.pieces[i].Grad, p.grads[i])
}

// coming is how many bytes place takes for inputs and for an arena of so many words.
func (p *Program) coming(arena int) int64 {
	words := int64(0)
	if a := p.store.arena; a == nil || a.Len() < arena {
		words = int64(arena)
	}
	for n, v := range p.values {
		if _, ok := n.Op.(*graph.Input); ok && v.Place == Fed {
			words += int64(v.Words())
		}
	}
	return 4 * words
}

// Memory says where a program's bytes go.
type Memory struct {
	Arena     int64 // values between steps; programs of one store use the same in turn
	Scratch   int64 // values within a step, shared in the same way
	Variables int64 // parameters, buffers and what the optimiser keeps, shared by all
	Own       int64 // inputs, and what the device keeps for the program alone
	Unplanned int64 // what the arena would take if no two values shared memory
}

// Total returns the sum of the planned bytes.
func (m Memory) Total() int64 { return m.Arena + m.Scratch + m.Variables + m.Own }

// With returns the planned bytes of m's programs and of n's, all of one store.
func (m Memory) With(n Memory) Memory {
	return Memory{
		Arena: max(m.Arena, n.Arena), Scratch: max(m.Scratch, n.Scratch), Variables: max(m.Variables, n.Variables),
		Own: m.Own + n.Own, Unplanned: max(m.Unplanned, n.Unplanned),
	}
}

// Memory returns the planned bytes.
func (p *Program) Memory() Memory {
	m := Memory{
		Arena: 4 * int64(p.arena.Len()), Scratch: 4 * int64(p.exec.SharedElements()),
		Variables: 4 * int64(p.store.Elements()), Own: 4 * int64(p.exec.OwnElements()),
	}
	if p.assign != nil {
		m.Scratch, m.Own = max(m.Scratch, 4*int64(p.assign.SharedElements())), m.Own+4*int64(p.assign.OwnElements())
	}
	for _, b := range p.fed {
		m.Own += 4 * int64(b.Len())
	}
	for _, f := range p.feeds {
		m.Own += 4 * int64(f.Elements())
	}
	for _, s := range p.steps {
		for _, v := range s.Writes() {
			if v.Place == Temporary {
				m.Unplanned += 4 * int64(v.Words())
			}
		}
	}
	return m
}

// Device returns what the program runs on.
func (p *Program) Device() Device { return p.device }

// Steps returns the compiled steps in order, for reports and tests.
func (p *Program) Steps() []Step { return p.steps }

// Profile returns how long each step takes. Steps that need no work take no time. What it
// leaves in outputs and gradients means nothing.
func (p *Program) Profile() []time.Duration {
	times := p.exec.Profile()
	if p.assign != nil {
		times = append(times, p.assign.Profile()...)
	}
	return times
}

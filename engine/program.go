package engine

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/tensor"
)

// Update pairs a variable with the node of its gradient.
type Update struct {
	Variable *graph.Variable
	Gradient *graph.Node // nil: the updater gets an empty gradient, as for a buffer that is only averaged
	Rate     float32     // factor of the learning rate given to Step; 0 means 1
}

// Spec describes the program that Compile makes.
type Spec struct {
	Outputs   []*graph.Node // nodes that Read can copy to the host after a run
	Updates   []Update      // variables that Program.Step updates
	Precision Precision     // of the computation; the zero value is FP32
	Hold      bool          // make the graph's assignments in Program.Assign instead of in Run, so that a run can be discarded
	Unfused   bool          // make every node a step of its own, for tests and for inspecting a network
	Recompute bool          // drop activations and compute them again for the gradients: less memory, more time, the same bits
}

// Program is a compiled graph for one set of input shapes. Feed it, Run it, Read its
// outputs, and Step its variables. A Program must be used by one goroutine at a time.
type Program struct {
	device  Device
	store   *Store
	values  map[*graph.Node]*Value
	fed     map[*graph.Node]Buffer
	unfed   []*graph.Node // inputs that have no value yet
	feeds   []Feed
	buffers map[*Value]Buffer // of values that can be read after a run
	steps   []Step
	arena   Buffer
	exec    Executable
	assign  Executable // of the assignments, if Spec.Hold defers them; otherwise nil
	pieces  []Piece
	updates []Update
	grads   []*Value
	slots   int
	assigns bool                                  // some steps write variables
	update  func(u Updater, lr float32, step int) // bound at its first use
	train   TrainingStep                          // bound at its first use
	read    []*graph.Node                         // the outputs that train reads
}

// Compile makes a program that computes spec.Outputs and the gradients of spec.Updates from
// the variables of store. It returns an error if the device does not compute in the
// precision or lacks an operation, and a *MemoryError if there is too little memory.
func Compile(g *graph.Graph, store *Store, spec Spec) (*Program, error) {
	if err := store.device.Computes(spec.Precision); err != nil {
		return nil, err
	}
	required := append([]*graph.Node(nil), spec.Outputs...)
	for _, u := range spec.Updates {
		if u.Gradient != nil {
			required = append(required, u.Gradient)
		}
	}
	if spec.Precision == INT8 && len(spec.Updates) > 0 {
		return nil, errors.New("int8 computes inference only; train in another precision")
	}
	lo, err := lower(g, store, spec.Precision, required)
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
		grad := lo.as(lo.valueOf(u.Gradient), v.Layout, tensor.Float32)
		grad.Keep = true
		p.grads = append(p.grads, grad)
	}
	steps := lo.steps
	if !spec.Unfused {
		steps = fuse(steps, p.device)
		if d, ok := p.device.(Broadcaster); ok && d.Broadcasts() {
			steps = broadcastOperands(steps)
		}
	}
	p.steps = schedule(widenBytes(steps))
	switch {
	case spec.Recompute:
		p.steps = recompute(p.steps, lo.forward(spec))
	case len(spec.Updates) > 0 && !spec.Unfused && !retainsActivations(p.device):
		p.steps = recomputeCheap(p.steps, lo.forward(spec))
	}
	p.assigns = len(g.Assignments) > 0
	return p, p.place(spec)
}

// retainsActivations reports whether programs on a device recompute nothing unless
// Spec.Recompute asks for it.
func retainsActivations(d Device) bool {
	k, ok := d.(ActivationRetainer)
	return ok && k.RetainsActivations()
}

// splitAssignments divides steps into those that compute and the assignments, which come
// last.
func splitAssignments(steps []Step) (run, assign []Step) {
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
	var concurrent func(Step) bool
	if d, ok := p.device.(AsyncDevice); ok {
		concurrent = d.Asynchronous
	}
	total := plan(p.steps, concurrent)
	if err := Fits(p.device, p.additionalBytes(total)); err != nil {
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
	for n := range p.fed {
		if !n.Graph.IsKey(n) { // Run sets the key
			p.unfed = append(p.unfed, n)
		}
	}
	slices.SortFunc(p.unfed, func(a, b *graph.Node) int { return a.ID - b.ID })
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
		run, assign = splitAssignments(p.steps)
	}
	var err error
	if p.exec, err = bind(run); err == nil && len(assign) > 0 {
		p.assign, err = bind(assign)
	}
	return err
}

// Feed sets the value of input n for the following runs. It returns an error if n is no
// input of the program or the shapes differ.
func (p *Program) Feed(n *graph.Node, t *tensor.Tensor) error {
	b := p.fed[n]
	if b == nil {
		return fmt.Errorf("engine: %v is not an input of this program", n)
	}
	if !t.Shape().Equal(n.Shape) {
		return fmt.Errorf("engine: input %v was fed a tensor of shape %v", n, t.Shape())
	}
	v := p.values[n]
	if t.DType() == tensor.Int64 && !v.RowMajor() { // devices upload lists of labels alone as integers
		floats := tensor.New(t.Shape()...)
		for i, x := range t.Ints() {
			floats.Data()[i] = float32(x)
		}
		t = floats
	}
	p.device.Upload(b, v, t)
	p.given(n)
	return nil
}

// Reads reports whether n is an input that the program reads. Feed refuses any other, such as
// one on which no output depends.
func (p *Program) Reads(n *graph.Node) bool { return p.fed[n] != nil }

// given records that input n has a value.
func (p *Program) given(n *graph.Node) {
	if i := slices.Index(p.unfed, n); i >= 0 {
		p.unfed = slices.Delete(p.unfed, i, i+1)
	}
}

// Run computes all outputs, and makes the graph's assignments unless Spec.Hold defers them.
// key selects the random numbers of dropout and of stochastic depth; nothing else depends
// on it. If an input was never fed, Run computes nothing and returns an error that names
// the input. A failure of the device is reported by Device.Err.
//
// Programs over one store share their workspace: they must run one at a time, and running
// one invalidates the outputs of the others.
func (p *Program) Run(key int64) error {
	if len(p.unfed) > 0 {
		return p.unfedError()
	}
	p.exec.Run(key)
	if p.assigns && p.assign == nil {
		p.store.version++
	}
	return nil
}

// unfedError names the inputs without a value.
func (p *Program) unfedError() error {
	var names []string
	for _, n := range p.unfed {
		names = append(names, fmt.Sprintf("%s %v", n.Op.(*graph.Input).Label, n.Shape))
	}
	return fmt.Errorf("engine: nothing was fed to input %s; call Program.Feed before Run", strings.Join(names, " and "))
}

// Assign makes the assignments of the last run that Spec.Hold has deferred.
func (p *Program) Assign() {
	if p.assign != nil {
		p.assign.Run(0)
		p.store.version++
	}
}

// Step applies one optimiser step to every variable of Spec.Updates, using the gradients
// of the last run, at the learning rate lr.
func (p *Program) Step(u Updater, lr float32) {
	p.store.step++
	p.Apply(u, lr)
}

// Apply is like Step, but does not count as an optimiser step. It applies u to all
// variables, their gradients and slots; an updater that accumulates gradients uses it.
func (p *Program) Apply(u Updater, lr float32) {
	p.setSlots(u.Slots())
	if p.update == nil {
		p.update = p.device.BindUpdate(p.pieces)
	}
	p.update(u, lr, p.store.step)
	p.store.version++
}

// setSlots gives every variable n slots, the state buffers of an optimiser.
func (p *Program) setSlots(n int) {
	if p.slots == n {
		return
	}
	p.slots, p.update, p.train = n, nil, nil
	for i := range p.pieces {
		p.pieces[i].Slots = p.store.slots(p.updates[i].Variable, n)
	}
}

// Train runs the program and then the passes over its variables without returning to the
// host in between, and reads the outputs in read, of one float32 each, into values. All
// updaters must have the same number of slots. read[0] is the loss: a pass is made only if
// the loss and all gradients are finite, and made is the number of passes that were made.
// If meanwhile is not nil, it is called while the device computes, for work of the host
// such as loading the next batch.
//
// Train does nothing and ok is false if the device is not a Stepper or does not implement
// an updater, if Spec.Hold defers assignments, or if an input was never fed. Run, Finite,
// Norm, Assign, Apply and Read then do the same in several calls.
func (p *Program) Train(key int64, passes []Pass, read []*graph.Node, values []float32, meanwhile func()) (made int, ok bool) {
	d, ok := p.device.(Stepper)
	if !ok || p.assign != nil || len(passes) == 0 || len(p.unfed) > 0 {
		return 0, false
	}
	p.setSlots(passes[0].Updater.Slots())
	if p.train == nil || !slices.Equal(p.read, read) {
		if p.train, ok = p.bindStep(d, read); !ok {
			return 0, false
		}
	}
	if made, ok = p.train(key, passes, p.store.step+1, values, meanwhile); !ok {
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

// bindStep binds a training step that reads these outputs. ok is false if one of them is
// not a single float32.
func (p *Program) bindStep(d Stepper, read []*graph.Node) (TrainingStep, bool) {
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

// Norm returns a function that computes the L2 norm of the gradients of the given updates
// together, as of the last run. The squares are summed in float64, with the same bits for
// any number of threads. The norm is finite if and only if all of the gradients are.
func (p *Program) Norm(updates []int) func() float64 {
	var pieces []Piece
	for _, i := range updates {
		pieces = append(pieces, p.pieces[i])
	}
	return p.device.BindNorm(pieces)
}

// Finite returns a function that reports whether every element of every gradient of the
// last run is finite. It reads all gradients once.
func (p *Program) Finite() func() bool {
	var pieces []Piece
	for _, q := range p.pieces {
		if q.Grad != nil {
			pieces = append(pieces, q)
		}
	}
	return p.device.BindFinite(pieces)
}

// Read copies output n of the last run into dst. It panics if n is not an output of the
// program or dst has another shape. Check Device.Err before using the values.
func (p *Program) Read(n *graph.Node, dst *tensor.Tensor) {
	v := p.values[n]
	b := p.buffers[v]
	if b == nil {
		panic(tensor.Misusef("engine: %v is not an output of this program", n))
	}
	if !dst.Shape().Equal(n.Shape) {
		panic(tensor.Misusef("engine: reading %v into shape %v", n, dst.Shape()))
	}
	p.device.Download(dst, b, v)
}

// Gradient copies the gradient of Spec.Updates[i] of the last run into dst. The update must
// have a gradient, and dst its shape.
func (p *Program) Gradient(i int, dst *tensor.Tensor) {
	p.device.Download(dst, p.pieces[i].Grad, p.grads[i])
}

// additionalBytes is how many bytes place will allocate for inputs and for an arena of so
// many words.
func (p *Program) additionalBytes(arena int) int64 {
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

// Memory is a program's planned memory by use, in bytes.
type Memory struct {
	Arena     int64 // values passed between steps; shared by all programs of a store
	Scratch   int64 // values within a step; shared in the same way
	Variables int64 // parameters, buffers and the optimiser's state; shared in the same way
	Own       int64 // inputs, and the device's memory for this program alone
	Unplanned int64 // the size that the arena would have if no two values shared memory
}

// Total returns the sum of the planned bytes.
func (m Memory) Total() int64 { return m.Arena + m.Scratch + m.Variables + m.Own }

// With returns the planned memory of the programs of m and n together. All of them must
// belong to one store.
func (m Memory) With(n Memory) Memory {
	return Memory{
		Arena: max(m.Arena, n.Arena), Scratch: max(m.Scratch, n.Scratch), Variables: max(m.Variables, n.Variables),
		Own: m.Own + n.Own, Unplanned: max(m.Unplanned, n.Unplanned),
	}
}

// Memory returns the program's planned memory.
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

// Device returns the device that the program runs on.
func (p *Program) Device() Device { return p.device }

// Steps returns the compiled steps in order, for reports and tests.
func (p *Program) Steps() []Step { return p.steps }

// Profile runs the program and returns how long each of Steps took, 0 for a step that needs
// no work. Outputs and gradients are meaningless afterwards.
func (p *Program) Profile() []time.Duration {
	times := p.exec.Profile()
	if p.assign != nil {
		times = append(times, p.assign.Profile()...)
	}
	return times
}

// Images returns a Feed of input n for images stored as s describes, or nil if the device is
// not a Receiver.
func (p *Program) Images(n *graph.Node, s StoredImages) Feed {
	d, ok := p.device.(Receiver)
	if !ok || p.fed[n] == nil {
		return nil
	}
	f := d.BindImages(p.fed[n], p.values[n], s)
	p.feeds = append(p.feeds, f)
	return &noted{Feed: f, given: func() { p.given(n) }}
}

// noted records with its program, at the first Use, that the input has a value.
type noted struct {
	Feed
	given func() // nil after it was called
}

func (f *noted) Use() {
	f.Feed.Use()
	if f.given != nil {
		f.given()
		f.given = nil
	}
}

// Package engine compiles computation graphs and runs them on a device.
//
// Compile turns a graph.Graph into a Program in four stages: it lowers the nodes to
// steps, fuses steps to save memory traffic, assigns every value a place in memory, and
// binds the steps to the device's kernels. A first use:
//
//	g := graph.New(graph.Eval)
//	x := g.Input("images", tensor.Float32, 1, 3, 32, 32)
//	y := module.Forward(x)
//	store := engine.NewStore(dev)
//	p, err := engine.Compile(g, store, engine.Spec{Outputs: []*graph.Node{y}})
//	...
//	err = p.Feed(x, images)
//	err = p.Run(0)
//	p.Read(y, result)
//
// The package Example is a whole training step. Call computes a single module or
// function once without these steps.
//
// The important types are:
//
//   - Device, which computes: see packages engine/cpu and engine/cuda, and
//     engine/devices to open one by name;
//   - Store, which holds variables (parameters, buffers and the optimiser's state) on a
//     device;
//   - Spec, which lists the outputs and variable updates of a program, and its Precision;
//   - Program, a compiled graph for one set of input shapes: Feed, Run, Read, and Step
//     for an optimiser's update.
//
// Programs over the same Store share its variables, so the smaller last batch of an
// epoch, or an evaluation, is simply another program. Running a program allocates no
// memory.
package engine

import (
	"time"

	"github.com/residual-ml/residual/tensor"
)

// Buffer is a piece of device memory. Len counts words of four bytes; a word holds one
// float32 or two bfloat16 elements.
type Buffer interface{ Len() int }

// Device is a processor that runs programs, such as the CPU or a GPU.
type Device interface {
	// Name is the device's name for the user, such as "cpu" or "cuda:0".
	Name() string
	// Describe returns details for the user, such as "2 threads, avx512 kernels".
	Describe() string
	// Preferred is the precision that suits the device best for a purpose.
	Preferred(Purpose) Precision
	// Computes returns nil if the device computes in p, and otherwise the reason why not.
	Computes(p Precision) error
	// Err returns the first failure of the device, such as a lost GPU or a lack of
	// memory; nil if there was none. After a failure the device computes nothing and
	// Download returns meaningless values, so callers must check Err before they use
	// results.
	Err() error
	// Close releases the device's resources; no program may run on it afterwards.
	Close()
	// Alloc returns zeroed memory of n words. If there is too little, Err reports it.
	Alloc(n int) Buffer
	// Slice returns the n words of b that begin at off.
	Slice(b Buffer, off, n int) Buffer
	// Upload writes a host tensor in v's layout and type; Download reads it back.
	Upload(dst Buffer, v *Value, src *tensor.Tensor)
	Download(dst *tensor.Tensor, src Buffer, v *Value)
	// Bind makes steps executable; Executable.Run runs them in order.
	Bind(b Binding) (Executable, error)
	// BindUpdate returns a function that applies an optimiser to all parameters.
	BindUpdate(pieces []Piece) func(u Updater, lr float32, step int)
	// BindNorm returns a function that computes the L2 norm of all gradients together.
	BindNorm(pieces []Piece) func() float64
	// BindFinite returns a function that reports whether all elements of all gradients
	// are finite.
	BindFinite(pieces []Piece) func() bool
}

// Binding holds what a device needs to make a program executable.
type Binding struct {
	Steps     []Step
	Precision Precision // the precision that the steps were lowered for
	// At returns the memory of a value.
	At func(*Value) Buffer
	// Version changes whenever variables change. A Static program, which updates no
	// variables itself, may cache what it derives from them until then.
	Version *uint64
	Static  bool
	// Scratch returns n words of memory for use within a step. All programs of a store
	// share it, so its contents are undefined when a step begins.
	Scratch func(n int) Buffer
	// Derived is the device's cache of what it derives from variables. All static
	// programs of a store share it.
	Derived map[any]any
}

// Executable is a bound program.
type Executable interface {
	// Run computes every step. key selects the run's random numbers, such as those of
	// dropout.
	Run(key int64)
	// SharedElements is the number of words that the program uses of Binding.Scratch;
	// OwnElements is the number of words that the device has allocated for it alone.
	SharedElements() int
	OwnElements() int
	// Profile runs the steps and returns how long each took. The run's results are
	// meaningless.
	Profile() []time.Duration
}

// Updater is an optimiser's elementwise update rule. Update may be called on any part of
// a parameter, with the same part of its gradient and of its Slots state buffers.
// Package optim implements the usual optimisers.
type Updater interface {
	Slots() int
	Update(param, grad []float32, slots [][]float32, lr float32, step int)
}

// WholeParameterUpdater is an Updater whose rule needs a whole parameter at a time, for
// example to compute its norm. If NeedsWholeParameter returns true, Update is called once per
// parameter with all of its elements.
type WholeParameterUpdater interface {
	Updater
	NeedsWholeParameter() bool
}

// Stepper is an optional interface of a Device that runs a whole training step (forward
// pass, backward pass and update) without returning to the host in between.
type Stepper interface {
	Device
	// BindStep prepares training steps that run e, an Executable of this device, and then
	// read back the buffers in read. Each of these holds a single float32; the first is
	// the loss.
	BindStep(e Executable, read []Buffer, pieces []Piece) TrainingStep
}

// Bounded is an optional interface of a Device that can tell before an allocation whether
// there is enough memory. The CPU needs it because an operating system may kill a process
// that uses too much.
type Bounded interface {
	Device
	// Fits returns nil if the given number of additional bytes is available, and otherwise
	// an error that says why not.
	Fits(bytes int64) error
}

// MemoryError reports that a program or a training needs more memory than is available.
type MemoryError struct{ Err error }

func (e *MemoryError) Error() string {
	return e.Err.Error() + "; use a smaller batch or smaller images, or recompute activations in training"
}

func (e *MemoryError) Unwrap() error { return e.Err }

// Fits returns a *MemoryError if d is Bounded and the given number of additional bytes is
// not available.
func Fits(d Device, bytes int64) error {
	if b, ok := d.(Bounded); ok {
		if err := b.Fits(bytes); err != nil {
			return &MemoryError{err}
		}
	}
	return nil
}

// ActivationRetainer is an optional interface of a Device on which recomputing even cheap
// activations does not pay. If RetainsActivations returns true, Compile recomputes nothing unless
// Spec.Recompute asks for it.
type ActivationRetainer interface {
	Device
	RetainsActivations() bool
}

// Broadcaster is an optional interface of a Device. If Broadcasts returns true, an elementwise
// operation of several inputs may get some with sizes of 1, which it reads as if they were
// repeated.
type Broadcaster interface {
	Device
	Broadcasts() bool
}

// NormReducer is an optional interface of a Device. If ReducesNorm returns true, the step
// may get the work of the batch norm whose output's gradient it computes (NormReduce).
type NormReducer interface {
	Device
	ReducesNorm(s *ConvGradInput) bool
}

// AsyncDevice is an optional interface of a Device that runs some steps concurrently with the
// steps that follow them, as a GPU does on a second stream. Asynchronous selects these steps.
// Such a step may run until the next one that Asynchronous selects, or until the end of the
// program; the memory planner keeps the values that it reads and writes untouched until
// then.
type AsyncDevice interface {
	Device
	Asynchronous(s Step) bool
}

// TrainingStep runs a program and then the passes over its variables, in order. It stops
// before the first pass for which the loss or a gradient is not finite: the loss is
// checked once, and the gradients again after every pass that replaces them. step is the
// number of the optimiser's step. If meanwhile is not nil, it is called while the device
// computes, for work of the host such as loading the next batch. The values read back are
// stored in values. made is the number of passes that were run. If ok is false, the device
// does not implement one of the updaters and has done nothing.
type TrainingStep func(key int64, passes []Pass, step int, values []float32, meanwhile func()) (made int, ok bool)

// Pass applies an updater to all variables of a program.
type Pass struct {
	Updater Updater
	LR      float32
	Clip    float64 // largest norm of all gradients together; they are scaled down to it first. 0 means no limit
	Counts  bool    // this pass is the optimiser's step, and increases the store's step count
}

// Piece is one parameter with its gradient and the optimiser's state buffers.
type Piece struct {
	Param Buffer
	Grad  Buffer // nil if the variable has no gradient
	Slots []Buffer
	Rate  float32 // factor of the learning rate
}

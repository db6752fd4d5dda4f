// Package engine compiles graphs into programs and runs them on a device:
// graph → steps (lower) → fewer steps (fuse) → places in memory (plan) → run.
//
// A program is made for one set of shapes. Programs over the same Store share
// parameters, so the smaller last batch of an epoch, or evaluation, is just
// another program. Running one allocates nothing.
package engine

import (
	"time"

	"github.com/residual-ml/residual/tensor"
)

// Buffer is device memory, counted in words of four bytes: a float32, or two
// elements of bfloat16.
type Buffer interface{ Len() int }

// Device is what computes.
type Device interface {
	// Name is what the user calls it, such as "cpu" or "cuda:0".
	Name() string
	// Describe says what there is to know about it, such as "2 threads, avx512 kernels".
	Describe() string
	// Preferred is the precision that suits the device best.
	Preferred() Precision
	// Computes returns why the device does not compute in p, or nil.
	Computes(p Precision) error
	// Err returns what went wrong first with a device that can fail, such as one that was
	// lost or has too little memory; nil while all is well. From then on nothing is
	// computed and what is read back means nothing, so whoever reads results asks for Err
	// before using them.
	Err() error
	// Close gives back what the device holds; no program may run on it afterwards.
	Close()
	// Alloc returns zeroed memory of n words. Where there is too little, Err says so.
	Alloc(n int) Buffer
	// Slice returns n words of b from off on.
	Slice(b Buffer, off, n int) Buffer
	// Upload writes a host tensor in v's layout and type; Download reads it back.
	Upload(dst Buffer, v *Value, src *tensor.Tensor)
	Download(dst *tensor.Tensor, src Buffer, v *Value)
	// Bind turns steps into a function that runs them in order.
	Bind(b Binding) (Executable, error)
	// BindUpdate prepares an optimiser's pass over whole parameters.
	BindUpdate(pieces []Piece) func(u Updater, lr float32, step int)
	// BindNorm prepares the L2 norm of all gradients together.
	BindNorm(pieces []Piece) func() float64
	// BindFinite prepares to tell whether all elements of all gradients are finite.
	BindFinite(pieces []Piece) func() bool
}

// Binding is what a device needs to make a program executable.
type Binding struct {
	Steps     []Step
	Precision Precision // that the steps were made for
	// At returns the memory of a value.
	At func(*Value) Buffer
	// Version changes whenever variables do; a program that is Static may keep
	// what it derives from them until then.
	Version *uint64
	Static  bool
	// Scratch returns memory that the programs of a store use in turn, beside
	// their arena: what is in it when a step begins is nobody's.
	Scratch func(n int) Buffer
	// Derived is where a device keeps what it derives from variables for all
	// static programs of a store.
	Derived map[any]any
}

// Executable is a bound program.
type Executable interface {
	// Run computes every step. key numbers the run in its random stream.
	Run(key int64)
	// SharedElements is what the program uses of Binding.Scratch, OwnElements
	// the memory the device took for it alone.
	SharedElements() int
	OwnElements() int
	// Profile runs the steps with a clock: how long each took. What the run leaves means
	// nothing.
	Profile() []time.Duration
}

// Updater is an optimiser's rule for one parameter, elementwise: it may be
// called on any piece of a parameter. Package optim has them.
type Updater interface {
	Slots() int
	Update(param, grad []float32, slots [][]float32, lr float32, step int)
}

// Whole is an Updater whose rule looks at a whole parameter, such as its norm: it is
// called once for each, with all of it, when Whole returns true.
type Whole interface {
	Updater
	Whole() bool
}

// Stepper is a Device that makes a training step one piece of work. Not every device is one.
type Stepper interface {
	Device
	// BindStep prepares steps of e, an Executable of this device, that end with read: single
	// float32, of which the first is the loss.
	BindStep(e Executable, read []Buffer, pieces []Piece) WholeStep
}

// Bounded is a Device that can say before memory is taken whether there is enough, as one
// must whose memory is lent by a system that ends processes that take too much. Not every
// device is one.
type Bounded interface {
	Device
	// Fits returns why bytes more cannot be had, or nil.
	Fits(bytes int64) error
}

// MemoryError is a program, or a training, that needs more memory than there is.
type MemoryError struct{ Err error }

func (e *MemoryError) Error() string {
	return e.Err.Error() + "; use a smaller batch or smaller images, or recompute activations in training"
}

func (e *MemoryError) Unwrap() error { return e.Err }

// Fits returns a *MemoryError when d knows that it has too little memory for bytes more.
func Fits(d Device, bytes int64) error {
	if b, ok := d.(Bounded); ok {
		if err := b.Fits(bytes); err != nil {
			return &MemoryError{err}
		}
	}
	return nil
}

// Keeper is a Device whose time goes into memory traffic more than into products: nothing is
// computed twice there unless Spec.Recompute asks for it. Not every device is one.
type Keeper interface {
	Device
	KeepsActivations() bool
}

// Sider is a Device that computes some steps beside those that come after them, up to the
// next of its kind or to the end of the program: until then what such a step reads stays,
// and nothing else is put where it writes. Not every device is one.
type Sider interface {
	Device
	Beside(s Step) bool
}

// WholeStep runs a program and makes passes over its variables, in order, up to the first
// before which the loss or a gradient is not finite. The loss is looked at once, gradients
// also after a pass that puts others in their place. step is the number of the optimiser's
// step. While the device computes, meanwhile is called, where it is not nil; then what is
// read is put into values. made is how many passes were made; where ok is false there is
// one that the device does not know, and nothing was done.
type WholeStep func(key int64, passes []Pass, step int, values []float32, meanwhile func()) (made int, ok bool)

// Pass is a pass of an updater over all variables of a program.
type Pass struct {
	Updater Updater
	LR      float32
	Clip    float64 // the gradients are first scaled so that their norm together is at most this; 0: they are not
	Counts  bool    // it is the optimiser's step
}

// Piece is one parameter with its gradient and the optimiser's buffers.
type Piece struct {
	Param Buffer
	Grad  Buffer // nil where there is none
	Slots []Buffer
	Rate  float32 // factor of the learning rate
}

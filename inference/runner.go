// Package inference uses trained models: on batches (Runner), on a data set
// (Evaluate) and on images, straight from a model file (Classifier).
package inference

import (
	"fmt"
	"slices"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/tensor"
)

// programsKept is how many batch shapes a Runner keeps compiled: a full batch,
// the last one of a data set and a few more.
const programsKept = 4

// Runner runs a model in evaluation mode over the variables of a store, which
// training may share. It is for one goroutine at a time.
type Runner struct {
	module    nn.Module
	store     *engine.Store
	precision engine.Precision
	kept      []*program // the latest used last
	cam       *camProgram
}

type program struct {
	*engine.Program
	input, logits *graph.Node
	out           *tensor.Tensor
	feed          engine.Feed     // nil until pictures come as bytes
	pictures      engine.Pictures // that it is for
}

// NewRunner returns a runner of m that computes in a precision. Nothing is
// compiled before the first batch.
func NewRunner(m nn.Module, store *engine.Store, p engine.Precision) *Runner {
	nn.Named(m) // so that messages can name parameters
	return &Runner{module: m, store: store, precision: p}
}

// Logits returns the model's result for a batch of images [N, C, H, W]. The
// tensor is the runner's own, valid until the next call for this N. The first
// batch of a shape is compiled; an image size that the model does not take is
// an error.
func (r *Runner) Logits(images *tensor.Tensor) (*tensor.Tensor, error) {
	p, err := r.shaped(images.Shape())
	if err != nil {
		return nil, err
	}
	if err := p.Feed(p.input, images); err != nil {
		return nil, err
	}
	if err := p.Run(0); err != nil {
		return nil, err
	}
	p.Read(p.logits, p.out)
	return p.out, r.store.Device().Err()
}

// Prepare compiles the model for batches of the shape [N, C, H, W], as the first
// call of Logits would.
func (r *Runner) Prepare(shape ...int) error {
	_, err := r.shaped(shape)
	return err
}

// Memory returns the planned bytes of all programs that are kept now.
func (r *Runner) Memory() engine.Memory {
	var sum engine.Memory
	for _, p := range r.kept {
		sum = sum.With(p.Memory())
	}
	return sum
}

// shaped returns the program for a batch of images of this shape.
func (r *Runner) shaped(shape tensor.Shape) (*program, error) {
	return r.program(shape, func(p *program) bool { return p.input.Shape.Equal(shape) })
}

// program returns one that fits, or compiles it for a shape.
func (r *Runner) program(shape tensor.Shape, fits func(*program) bool) (*program, error) {
	for i, p := range r.kept {
		if fits(p) {
			r.kept = append(slices.Delete(r.kept, i, i+1), p)
			return p, nil
		}
	}
	if len(shape) != 4 || shape.Numel() == 0 {
		return nil, fmt.Errorf("a batch of images has the shape [N, C, H, W], got %v", shape)
	}
	if len(r.kept) == programsKept {
		r.kept = slices.Delete(r.kept, 0, 1) // before compiling, so that its memory can be used again
	}
	p, err := r.compile(shape)
	if err != nil {
		return nil, err
	}
	r.kept = append(r.kept, p)
	return p, nil
}

func (r *Runner) compile(shape tensor.Shape) (*program, error) {
	g := graph.New(graph.Eval)
	x := g.Input("images", tensor.Float32, shape...)
	logits, err := r.trace(x)
	if err != nil {
		return nil, err
	}
	p, err := engine.Compile(g, r.store, engine.Spec{Outputs: []*graph.Node{logits}, Precision: r.precision})
	if err != nil {
		return nil, err
	}
	return &program{Program: p, input: x, logits: logits, out: tensor.New(logits.Shape...)}, nil
}

// trace builds the model on images.
func (r *Runner) trace(x *graph.Node) (*graph.Node, error) {
	logits, err := engine.Trace(r.module.Forward, x)
	if err != nil {
		return nil, err
	}
	if len(logits.Shape) != 2 || logits.Shape[0] != x.Shape[0] {
		return nil, fmt.Errorf("%s gives %v for images of %v, where a classifier gives [N, classes]", nn.Class(r.module), logits.Shape, x.Shape)
	}
	return logits, nil
}

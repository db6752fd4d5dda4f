// Package forward runs the forward pass of an nn.Module on batches of images, and measures
// what it answers. It knows a module, a device and a loader, and neither files nor names of
// classes; package inference adds both.
//
// A Runner compiles the module for each shape of batches that it is given:
//
//	r := forward.NewRunner(module, engine.NewStore(device), device.Preferred(engine.Inference))
//	logits, err := r.Logits(batch) // [N, classes] for [N, C, H, W]
//	...
//	result, err := forward.Evaluate(ctx, r, loader, nil)
//	fmt.Println(result.Accuracy)
//
// Runner.GradCAM explains a logit by a class activation map and Runner.Saliency by the gradient
// with respect to the image; Runner.Activations reads what any module within the network gives.
package forward

import (
	"fmt"
	"slices"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/task"
	"github.com/residual-ml/residual/tensor"
)

// cacheSize is the number of batch shapes that a Runner keeps compiled: those of the batch
// sizes of an inference.Classifier for two sizes of images. They share weights and workspace.
const cacheSize = 12

// Runner runs a model in evaluation mode on the variables of a store, which it may share
// with a training. It must be used by one goroutine at a time.
type Runner struct {
	module    nn.Module
	store     *engine.Store
	precision engine.Precision
	cache     []*compiled  // the most recently used is the last
	cam       *explanation // the program of GradCAM
	saliency  *explanation // the program of InputGradient
	probe     *probe       // the program of Activations
	config    Config
	losses    map[int]*lossProgram // by the number of images
}

// compiled is the model compiled for one batch shape.
type compiled struct {
	*engine.Program
	input, logits *graph.Node
	out           *tensor.Tensor
	feed          engine.Feed         // nil unless batches are uint8
	images        engine.StoredImages // the format that feed takes
}

// NewRunner returns a runner of m that computes in precision p on the store's device. It
// compiles nothing before the first batch.
func NewRunner(m nn.Module, store *engine.Store, p engine.Precision) *Runner {
	nn.Named(m) // gives parameters the names that errors use
	return &Runner{module: m, store: store, precision: p}
}

// Logits returns the model's output, [N, classes] unless its Config says otherwise, for a batch
// of images [N, C, H, W]. The tensor belongs to the runner and is valid until the next call
// with the same N. The first batch of a shape compiles the model for it. If the model does not
// accept the size of the images, Logits returns an error.
func (r *Runner) Logits(images *tensor.Tensor) (*tensor.Tensor, error) {
	if err := r.store.Device().Err(); err != nil {
		return nil, err
	}
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

// Prepare compiles the model for batches of the shape [N, C, H, W], as the first call of
// Logits would.
func (r *Runner) Prepare(shape ...int) error {
	_, err := r.shaped(shape)
	return err
}

// Memory returns the planned memory of all batch shapes that are compiled now.
func (r *Runner) Memory() engine.Memory {
	var sum engine.Memory
	for _, p := range r.cache {
		sum = sum.With(p.Memory())
	}
	return sum
}

// Programs returns the batch sizes for which the model is compiled now, in ascending order; a size
// appears once for each size of images.
func (r *Runner) Programs() (sizes []int) {
	for _, p := range r.cache {
		sizes = append(sizes, p.input.Shape[0])
	}
	slices.Sort(sizes)
	return sizes
}

// shaped returns the model compiled for float32 batches of this shape.
func (r *Runner) shaped(shape tensor.Shape) (*compiled, error) {
	return r.compiledFor(shape, func(p *compiled) bool { return p.input.Shape.Equal(shape) })
}

// compiledFor returns the compiled model of the cache that fits, or compiles it for a shape.
func (r *Runner) compiledFor(shape tensor.Shape, fits func(*compiled) bool) (*compiled, error) {
	for i, p := range r.cache {
		if fits(p) {
			r.cache = append(slices.Delete(r.cache, i, i+1), p)
			return p, nil
		}
	}
	if len(shape) != 4 || shape.Numel() == 0 {
		return nil, fmt.Errorf("a batch of images has the shape [N, C, H, W], got %v", shape)
	}
	if len(r.cache) == cacheSize {
		r.cache = slices.Delete(r.cache, 0, 1) // before compiling, so that its memory can be reused
	}
	p, err := r.compile(shape)
	if err != nil {
		return nil, err
	}
	r.cache = append(r.cache, p)
	return p, nil
}

func (r *Runner) compile(shape tensor.Shape) (*compiled, error) {
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
	return &compiled{Program: p, input: x, logits: logits, out: tensor.New(logits.Shape...)}, nil
}

// trace adds the model to the graph of x and checks the shape of its logits.
func (r *Runner) trace(x *graph.Node) (*graph.Node, error) {
	logits, err := engine.Trace(r.module.Forward, x)
	if err != nil {
		return nil, err
	}
	if r.config.Targets.Task.Named() == task.Classes && (len(logits.Shape) != 2 || logits.Shape[0] != x.Shape[0]) {
		return nil, fmt.Errorf("%s gives %v for images of %v, where a classifier gives [N, classes]", nn.Class(r.module), logits.Shape, x.Shape)
	}
	return logits, CheckOutputs(r.config.Targets, r.module, logits.Shape, x.Shape[0])
}

// New is NewRunner for a model that answers with anything: [N, labels], [N, values] or masks.
func New(m nn.Module, store *engine.Store, p engine.Precision, c Config) *Runner {
	r := NewRunner(m, store, p)
	r.config = c
	return r
}

// Targets describes what the model answers.
func (r *Runner) Targets() task.Targets { return r.config.Targets }

// explanation is a program that computes the gradient of one logit of each image, compiled for
// one batch shape.
type explanation struct {
	*engine.Program
	images, chosen       *graph.Node // chosen [N, classes] is 1 for the explained class of each image
	logits, of, gradient *graph.Node // gradient is that with respect to of
}

// lossProgram computes the loss of a batch of outputs on the device.
type lossProgram struct {
	*engine.Program
	outputs, targets, loss *graph.Node
}

package loop

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/inference/forward"
	"github.com/residual-ml/residual/internal/field"
	"github.com/residual-ml/residual/internal/number"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/optim"
	"github.com/residual-ml/residual/tensor"
)

// Stepper trains a module by hand, for a training loop of your own. Forward, Backward and Step
// do what the calls of these names do in PyTorch:
//
//	s, err := loop.Compile(dev, net, nn.CrossEntropyLoss{}.Forward, loop.Shapes{Inputs: []int{64, 1, 28, 28}}, loop.Options{Optimizer: optim.AdamW{}})
//	...
//	for each batch {
//		loss, err := s.Forward(b.Images, b.Labels)
//		err = s.Backward()
//		err = s.Step(0.001)
//	}
//
// Step begins the sum of the gradients anew, so ZeroGrad is only needed to drop gradients. Save
// and Load write and read everything that a training has become. A Stepper must be used by one
// goroutine at a time.
type Stepper struct {
	trainee
	loss     nn.Loss
	programs []*stepProgram // the most recently used is the last
	answers  []*stepProgram // the compiled module in evaluation, for Predict
	current  *stepProgram   // the program of the last Forward; nil if its values are gone
	computed bool           // current has the gradients of a batch that Backward has not counted yet
	counted  bool           // the gradients of current, times factor, belong to the next step
	factor   float32
}

// Shapes are the shapes of a batch.
type Shapes struct {
	Inputs  tensor.Shape // such as [64, 3, 224, 224]
	Targets tensor.Shape // of targets in Float32; nil means labels [N], Int64
}

// Compile prepares the training of m on dev: it compiles the step for batches of these shapes,
// so that shapes that do not fit are reported before the training starts. Batches of other
// shapes are compiled when Forward first gets one.
//
// loss computes one number from the outputs of m and the targets, such as
// nn.CrossEntropyLoss{}.Forward. Of o these fields have an effect: Optimizer (nil means plain
// gradient descent), Precision, Recompute, Freeze, BackboneRate, LayerDecay,
// NormBiasRate, EMA and ClipNorm.
// The others describe the loop of a Trainer, and one that is given is an error.
func Compile(dev engine.Device, m nn.Module, loss nn.Loss, shapes Shapes, o Options) (*Stepper, error) {
	if m == nil || loss == nil {
		return nil, errors.New("loop.Compile needs a module and a loss, such as nn.CrossEntropyLoss{}.Forward")
	}
	if err := o.Check(); err != nil {
		return nil, err
	}
	if name := o.ofLoops(); name != "" {
		return nil, field.Errorf("loop.Compile with {%s}, which is of the loop of a Trainer; leave it out, since the loop is yours", name)
	}
	s := &Stepper{loss: loss}
	var err error
	if s.trainee, err = enrol(dev, m, o.resolved("", false)); err != nil {
		return nil, err
	}
	if _, err := s.program(shapes.Inputs, shapes.Targets); err != nil {
		return nil, err
	}
	return s, s.average.begin(&s.trainee)
}

// ofLoops returns the name of a field that is set and that a Stepper does not use.
func (o Options) ofLoops() string {
	for _, f := range []struct {
		set  bool
		name string
	}{
		{o.Batch != 0, "Batch"}, {o.ShortLast, "ShortLast"}, {o.Epochs != 0, "Epochs"}, {o.Schedule != nil, "Schedule"}, {o.Seed != 0, "Seed"},
		{o.Workers != 0, "Workers"}, {o.Sampler != nil, "Sampler"}, {o.Transform != nil, "Transform"}, {o.Mix != nil, "Mix"},
		{o.Normalize.Mean != nil || o.Normalize.Std != nil, "Normalize"}, {o.LabelSmoothing != 0, "LabelSmoothing"}, {o.ClassWeights != nil, "ClassWeights"},
		{o.Loss != nil, "Loss"}, {o.Teacher != nil, "Teacher"}, {o.Accumulate != 0, "Accumulate"}, {o.Lookahead != 0, "Lookahead"}, {o.Metric != "", "Metric"},
		{o.Patience != 0, "Patience"}, {o.Score != nil, "Score"}, {o.GradientNorm, "GradientNorm"}, {o.Stages != nil, "Stages"},
	} {
		if f.set {
			return f.name
		}
	}
	return ""
}

// manyShapes is the number of batch shapes that a Stepper keeps compiled.
const manyShapes = 8

// program returns the step for batches of these shapes. targets is nil for labels.
func (s *Stepper) program(inputs, targets tensor.Shape) (*stepProgram, error) {
	labels := targets == nil
	if labels && len(inputs) > 0 {
		targets = inputs[:1]
	}
	same := func(p *stepProgram) bool {
		return p.images.Shape.Equal(inputs) && p.labels.Shape.Equal(targets) && labels == (p.softLabels == nil)
	}
	if i := slices.IndexFunc(s.programs, same); i >= 0 {
		p := s.programs[i]
		s.programs = append(slices.Delete(s.programs, i, i+1), p)
		return p, nil
	}
	if inputs.Numel() == 0 || targets.Numel() == 0 || len(inputs) == 0 {
		return nil, fmt.Errorf("a batch with inputs %v and targets %v; give the shapes of a batch, such as loop.Shapes{Inputs: []int{64, 3, 32, 32}}", inputs, targets)
	}
	g := graph.New(graph.Train)
	g.Freeze(s.frozen...)
	p := &stepProgram{images: g.Input("inputs", tensor.Float32, inputs...)}
	dtype := tensor.Int64
	if !labels {
		dtype = tensor.Float32
	}
	p.labels = g.Input("targets", dtype, targets...)
	if !labels {
		p.softLabels = p.labels
	}
	var err error
	if p.logits, err = engine.Trace(s.module.Forward, p.images); err != nil {
		return nil, err
	}
	if p.loss, err = forward.TraceLoss(s.loss, p.logits, p.labels); err != nil {
		return nil, err
	}
	p.classes = classesOf(g, p.labels)
	p.read = []*graph.Node{p.loss, p.logits}
	if err := s.compile(p, g, true); err != nil {
		return nil, fmt.Errorf("%s on a batch of shape %v: %w", nn.Class(s.module), inputs, err)
	}
	s.programs = append(s.programs[max(0, len(s.programs)+1-manyShapes):], p)
	return p, nil
}

// classesOf returns the number of classes that labels select from in a cross-entropy of g, or 0
// if they are not used in that way.
func classesOf(g *graph.Graph, labels *graph.Node) int {
	for _, n := range g.Nodes {
		if _, ok := n.Op.(graph.CrossEntropy); ok && len(n.Inputs) > 1 && n.Inputs[1] == labels {
			return n.Inputs[0].Shape[1]
		}
	}
	return 0
}

// Forward computes the outputs of the module and the loss of a batch, in training mode. Inputs
// are Float32, targets labels in Int64 or other targets in Float32. Since a compiled step
// computes the gradients in the same run, Backward costs next to nothing; use Predict where no
// gradients are needed.
//
// A loss that is NaN or infinite is returned with ErrNotFinite. Gradients that were counted by
// Backward stay.
func (s *Stepper) Forward(inputs, targets *tensor.Tensor) (loss float64, err error) {
	s.save()
	if inputs == nil || targets == nil {
		return math.NaN(), errors.New("Stepper.Forward without inputs or without targets; give both")
	}
	var shape tensor.Shape
	if targets.DType() == tensor.Float32 {
		shape = targets.Shape()
	} else if !targets.Shape().Equal(inputs.Shape()[:1]) {
		return math.NaN(), fmt.Errorf("labels of shape %v for inputs of %v; give one for each input", targets.Shape(), inputs.Shape())
	}
	p, err := s.program(inputs.Shape(), shape)
	if err != nil {
		return math.NaN(), err
	}
	if err := p.take(inputs, targets); err != nil {
		return math.NaN(), err
	}
	if err := p.Run(int64(s.steps)); err != nil {
		return math.NaN(), err
	}
	s.steps++
	loss, err = s.lossOf(p)
	s.current, s.computed = p, err == nil
	return loss, err
}

// take feeds a batch to a program of a Stepper.
func (p *stepProgram) take(inputs, targets *tensor.Tensor) error {
	for i, label := range targets.Ints() {
		if p.classes > 0 && (label < 0 || label >= int64(p.classes)) {
			return fmt.Errorf("label %d of image %d in the batch is outside 0..%d, the model's classes", label, i, p.classes-1)
		}
	}
	if err := p.Feed(p.images, inputs); err != nil {
		return err
	}
	if !p.Reads(p.labels) { // a loss that ignores its targets
		return nil
	}
	return p.Feed(p.labels, targets)
}

// Outputs returns a copy of the outputs of the last Forward. It panics if there are none, which
// is so before the first Forward, and after Step and Predict.
func (s *Stepper) Outputs() *tensor.Tensor {
	if s.current == nil {
		panic(tensor.Misusef("loop.Stepper.Outputs: there are no outputs; call it after Forward and before Step"))
	}
	out := tensor.New(s.current.logits.Shape...)
	s.current.Read(s.current.logits, out)
	return out
}

// Backward counts the gradients of the last Forward for the next step: it adds them to those
// of the batches since the last step, as in PyTorch, where a mean needs ScaleGradients. It also
// makes the changes of running statistics. If a gradient is NaN or infinite, Backward returns
// ErrNotFinite and changes nothing.
func (s *Stepper) Backward() error {
	if !s.computed {
		return errors.New("Stepper.Backward without a Forward before it; call Forward, and then Backward once")
	}
	s.computed = false
	if !s.current.finite() {
		return errGradient
	}
	s.current.Assign()
	s.counted, s.factor = true, 1
	return s.store.Device().Err()
}

// save adds gradients that were counted to the sum, before another program overwrites them.
func (s *Stepper) save() {
	if s.counted {
		if s.options.Accumulate == 1 { // the first time: the sum gets its place after the other slots
			s.options.Accumulate = 2
			s.prepare()
		}
		s.sum.aim(float64(s.factor))
		s.current.Apply(&s.sum.Sum, 0)
		s.sum.add(s.current, 1)
	}
	s.current, s.computed, s.counted = nil, false, false
}

// gather returns the program whose gradients, times factor, are all that were counted since the
// last step. It returns nil if there are none.
func (s *Stepper) gather() *stepProgram {
	if s.sum.batches > 0 {
		s.save()
		s.current, s.counted, s.factor = s.sum.replace(1), true, 1
	}
	if !s.counted {
		return nil
	}
	return s.current
}

// ScaleGradients multiplies the gradients that the next step will use by factor: by 1/k after k
// batches for their mean.
func (s *Stepper) ScaleGradients(factor float32) {
	if s.gather() != nil {
		s.factor *= factor
	}
}

// GradientNorm returns the Euclidean norm of all gradients that the next step will use,
// together; 0 if there are none.
func (s *Stepper) GradientNorm() float64 {
	p := s.gather()
	if p == nil {
		return 0
	}
	if p.norm == nil {
		p.norm = p.Norm(p.gradients)
	}
	return p.norm() * math.Abs(float64(s.factor))
}

// ClipGradients scales the gradients down so that GradientNorm is at most limit, and returns
// the norm that they had, like torch.nn.utils.clip_grad_norm_. See optim.ClipFactor.
func (s *Stepper) ClipGradients(limit float64) (norm float64) {
	norm = s.GradientNorm()
	s.ScaleGradients(optim.ClipFactor(norm, limit))
	return norm
}

// Gradients returns copies of the gradients that the next step will use, under the names of
// their parameters; nil if there are none.
func (s *Stepper) Gradients() (all []tensor.Named) {
	p := s.gather()
	if p == nil {
		return nil
	}
	for k, i := range p.gradients {
		grad := tensor.New(s.trained[k].Value.Shape()...)
		p.Gradient(i, grad)
		for j := range grad.Data() {
			grad.Data()[j] *= s.factor
		}
		all = append(all, tensor.Named{Name: s.trained[k].Name, Tensor: grad})
	}
	return all
}

// ZeroGrad drops the gradients since the last step.
func (s *Stepper) ZeroGrad() {
	s.sum.clear()
	s.current, s.computed, s.counted = nil, false, false
}

// Step makes a step of the optimiser with the gradients since the last one, at the learning
// rate lr, and begins their sum anew. A schedule is a function of s.Steps:
// optim.Cosine{Base: 0.1}.LR(s.Steps()+1, total). If the sum of the gradients is not finite,
// Step returns ErrNotFinite and changes nothing.
func (s *Stepper) Step(lr float32) error {
	summed := s.sum.batches > 0
	p := s.gather()
	if p == nil {
		return errors.New("Stepper.Step without gradients; call Forward and Backward before it")
	}
	if summed && !p.finite() || !number.Finite(float64(s.factor)) {
		return errGradient
	}
	s.apply(p, lr, s.factor)
	s.ZeroGrad()
	return s.store.Device().Err()
}

// Steps returns the number of steps of the optimiser, including those before a Load.
func (s *Stepper) Steps() int { return s.store.Step() }

// Predict returns the outputs of the module for inputs in evaluation mode, with its present
// weights. Gradients that were counted by Backward stay; a Forward without Backward is dropped.
func (s *Stepper) Predict(inputs *tensor.Tensor) (*tensor.Tensor, error) {
	s.save()
	at := slices.IndexFunc(s.answers, func(p *stepProgram) bool { return p.images.Shape.Equal(inputs.Shape()) })
	if at < 0 {
		g := graph.New(graph.Eval)
		p := &stepProgram{images: g.Input("inputs", tensor.Float32, inputs.Shape()...)}
		var err error
		if p.logits, err = engine.Trace(s.module.Forward, p.images); err != nil {
			return nil, err
		}
		if p.Program, err = engine.Compile(g, s.store, engine.Spec{Outputs: []*graph.Node{p.logits}, Precision: s.options.Precision}); err != nil {
			return nil, err
		}
		s.answers = append(s.answers[max(0, len(s.answers)+1-manyShapes):], p)
		at = len(s.answers) - 1
	}
	p := s.answers[at]
	if err := p.Feed(p.images, inputs); err != nil {
		return nil, err
	}
	if err := p.Run(0); err != nil {
		return nil, err
	}
	out := tensor.New(p.logits.Shape...)
	p.Read(p.logits, out)
	return out, s.store.Device().Err()
}

// Pull updates the module's host values, which Step leaves as they are.
func (s *Stepper) Pull() error {
	s.store.Pull()
	return s.store.Device().Err()
}

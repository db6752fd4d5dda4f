package loop

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/inference/forward"
	"github.com/residual-ml/residual/internal/field"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/task"
	"github.com/residual-ml/residual/tensor"
)

// Teacher is a trained network whose outputs a training learns from, beside the targets of the
// images: knowledge distillation (Hinton et al. 2015, https://arxiv.org/abs/1503.02531). It sees
// the images that the training sees, and is not trained. The loss becomes
//
//	(1-Share)·loss + Share·Temperature²·KL(softmax(teacher/Temperature) ‖ softmax(outputs/Temperature))
//
// for classes. For labels the sigmoid takes the place of the softmax and the binary
// cross-entropy that of the divergence; for values and masks the task's own loss compares the
// outputs with the teacher's, at any temperature.
type Teacher struct {
	Module      nn.Module
	Temperature float64 // above 0; 0 means DefaultTemperature
	Share       float64 // of the teacher in the loss, above 0 and at most 1; 0 means DefaultTeacherShare
}

// The settings of a Teacher that are not given.
const (
	DefaultTemperature  = 4
	DefaultTeacherShare = 0.5
)

// targets describes what the model is trained to answer.
func (t *Trainer) targets() task.Targets { return t.dataset.Info().Targets }

// ofClasses reports whether every image has one class.
func (t *Trainer) ofClasses() bool { return t.targets().Task.Named() == task.Classes }

// takesFloats reports whether a step takes targets in float32 and never labels.
func (t *Trainer) takesFloats() bool { return t.options.Loss != nil || !t.ofClasses() }

// checkTask returns an error for an option that does not suit the targets of the training set.
func (o Options) checkTask(info data.Info, tested bool) error {
	of := info.Targets.Task.Named()
	if o.Loss != nil || of != task.Classes {
		why := "the " + string(of) + " of " + info.Name
		if of == task.Classes {
			why = "a Loss of the program's own"
		}
		switch {
		case o.LabelSmoothing != 0:
			return field.Errorf("{LabelSmoothing} %v is for the cross-entropy of classes, and this training has %s; leave it out", o.LabelSmoothing, why)
		case o.ClassWeights != nil:
			return field.Errorf("{ClassWeights} are for the cross-entropy of classes, and this training has %s; leave them out", why)
		}
	}
	if t := o.Teacher; t != nil {
		switch {
		case t.Module == nil:
			return fmt.Errorf("a Teacher without a Module")
		case !(t.Temperature >= 0) || t.Temperature > 1000:
			return field.Errorf("{TeacherTemperature} %v: must be a number above 0, such as 4", t.Temperature)
		case !(t.Share >= 0 && t.Share <= 1):
			return field.Errorf("{TeacherShare} %v: must be a share above 0, at most 1, such as 0.5", t.Share)
		}
	}
	if m := o.Metric; !slices.Contains(MetricsOf(of), m) {
		return field.Errorf("{Metric} %s does not measure %s; choose one of: %s", m, of, joined(MetricsOf(of)))
	}
	if !tested && o.Metric.needsTest() {
		return field.Errorf("{Metric} %s is of an evaluation, and there is nothing to test on; use %s", o.Metric, joined(slices.DeleteFunc(MetricsOf(of), Metric.needsTest)))
	}
	return nil
}

// traceLoss adds the loss of n images to the graph of their outputs. target is labels, soft labels
// or other targets.
func (t *Trainer) traceLoss(p *stepProgram, target *graph.Node) (err error) {
	loss := t.options.Loss
	switch {
	case loss != nil:
	case t.ofClasses():
		loss = nn.CrossEntropyLoss{LabelSmoothing: t.options.LabelSmoothing, Weight: t.weights}.Forward
	default:
		loss = forward.LossFor(t.targets())
	}
	if t.ofClasses() && t.options.Loss == nil { // CrossEntropyLoss panics only for errors of this package
		p.loss = loss(p.logits, target)
	} else if p.loss, err = forward.TraceLoss(loss, p.logits, target); err != nil {
		return err
	}
	if t.teacher == nil {
		return nil
	}
	g := p.logits.Graph
	p.teacher = g.Input("teacher", tensor.Float32, p.logits.Shape...)
	of := t.options.Teacher
	share := cmp.Or(of.Share, DefaultTeacherShare)
	learnt, err := forward.TraceLoss(of.loss(t.targets()), p.logits, p.teacher)
	if err != nil {
		return err
	}
	p.loss = g.Apply(graph.Scale{Factor: 1 - share}, p.loss).Add(g.Apply(graph.Scale{Factor: share}, learnt))
	return nil
}

// loss compares outputs with the teacher's: by nn.DistillationLoss for classes, by the same
// divergence of each label's probability for labels, and by the mean squared error for values.
func (of *Teacher) loss(t task.Targets) nn.Loss {
	temperature := cmp.Or(of.Temperature, DefaultTemperature)
	switch t.Task.Named() {
	case task.Classes:
		return nn.DistillationLoss{Temperature: temperature}.Forward
	case task.Labels:
		return func(outputs, teacher *graph.Node) *graph.Node {
			g := outputs.Graph
			cooled := func(x *graph.Node) *graph.Node { return g.Apply(graph.Scale{Factor: 1 / temperature}, x) }
			given := graph.Softplus.Of(cooled(teacher).Neg(), 0, 0).Neg().Exp() // σ(teacher/temperature)
			bce := nn.BCEWithLogitsLoss{}.Forward
			divergence := bce(cooled(outputs), given).Sub(bce(cooled(teacher), given)) // 0 where both answer alike
			return g.Apply(graph.Scale{Factor: temperature * temperature}, divergence)
		}
	}
	return nn.MSELoss{}.Forward
}

// teach feeds a program the teacher's outputs for float32 images.
func (t *Trainer) teach(p *stepProgram, images *tensor.Tensor) error {
	if t.teacher == nil {
		return nil
	}
	outputs, err := t.teacher.Logits(images)
	if err != nil {
		return fmt.Errorf("the teacher: %w", err)
	}
	return p.feedTeacher(outputs)
}

// teachOn is teach for a batch of the loader, which may be uint8.
func (t *Trainer) teachOn(p *stepProgram, b *data.Batch) error {
	if t.teacher == nil {
		return nil
	}
	outputs, err := t.teacher.LogitsOf(t.loader, b)
	if err != nil {
		return fmt.Errorf("the teacher: %w", err)
	}
	return p.feedTeacher(outputs)
}

func (p *stepProgram) feedTeacher(outputs *tensor.Tensor) error {
	if !outputs.Shape().Equal(p.teacher.Shape) {
		return fmt.Errorf("the teacher's output has the shape %v, and the network's %v; the two must be equal", outputs.Shape(), p.teacher.Shape)
	}
	return p.Feed(p.teacher, outputs)
}

// prepareTeacher prepares the teacher for the batches of the loader.
func (t *Trainer) prepareTeacher(dev engine.Device) error {
	if t.options.Teacher == nil {
		return nil
	}
	t.teacher = forward.New(t.options.Teacher.Module, engine.NewStore(dev), t.options.Precision, forward.Config{Targets: t.targets()})
	for _, n := range t.loader.Sizes() {
		if err := t.teacher.PrepareStored(t.loader.Stored(), n, t.input[0], t.input[1], t.input[2]); err != nil {
			return fmt.Errorf("the teacher: %w", err)
		}
	}
	return nil
}

package train

import (
	"reflect"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/data/transforms"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/optim"
	"github.com/residual-ml/residual/train/loop"
)

// Own is what a program gives a training in place of what has a name. The run folder has the
// same files as always; to resume the run, or to load its model, the program gives the same
// values again.
type Own struct {
	// Module is trained in place of Model: it turns [N, C, H, W] into [N, classes], or into what
	// the targets of TrainSet ask for. It starts with the values that it has, unless Init is
	// given, and ends with the trained ones. inference.LoadInto reads the model files of the run.
	Module nn.Module

	// TrainSet and TestSet are the images in place of Data. Resize is the longer of their
	// sides unless it is given. TestSet may be nil: then nothing is tested. Sets of labels, values
	// or masks are data.Targeted; values are standardised by the mean and std of TrainSet, unless
	// its Info has others.
	TrainSet, TestSet data.Dataset

	// Loss is minimised in place of the task's own loss; see loop.Options.
	Loss nn.Loss

	// Optimizer, Schedule and Sampler take the place of the settings of these names in Config; an
	// optimiser has its own momentum and weight decay, and a schedule its own rate, so Momentum,
	// WeightDecay, Nesterov and LR stay empty. A function is a schedule as optim.ScheduleFunc and
	// a sampler as data.SamplerFunc.
	Optimizer optim.Optimizer
	Schedule  optim.Schedule
	Sampler   data.Sampler

	// Score chooses the best epoch in place of Metric: the one for which it is the highest. The
	// metrics have it in the column score.
	Score func(loop.Epoch) float64

	// TeacherModule is the teacher in place of the model in the file Teacher.
	TeacherModule nn.Module

	// Transform changes every training image, in another way in every epoch, after Augment. It must
	// keep the size. It is called for several images at the same time.
	Transform transforms.Transform
}

// list names what is given, for the settings.
func (o Own) list() (list []string) {
	if o.Module != nil {
		list = append(list, "Module "+typeName(o.Module))
	}
	if o.TrainSet != nil {
		list = append(list, "TrainSet "+typeName(o.TrainSet))
	}
	if o.Loss != nil {
		list = append(list, "Loss "+typeName(o.Loss))
	}
	if o.Optimizer != nil {
		list = append(list, "Optimizer "+typeName(o.Optimizer))
	}
	if o.Schedule != nil {
		list = append(list, "Schedule "+typeName(o.Schedule))
	}
	if o.Sampler != nil {
		list = append(list, "Sampler "+typeName(o.Sampler))
	}
	if o.Score != nil {
		list = append(list, "Score "+typeName(o.Score))
	}
	if o.TeacherModule != nil {
		list = append(list, "TeacherModule "+typeName(o.TeacherModule))
	}
	if o.Transform != nil {
		list = append(list, "Transform "+typeName(o.Transform))
	}
	return list
}

func typeName(v any) string { return reflect.TypeOf(v).String() }

package train

import (
	"cmp"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/data/transforms"
	"github.com/residual-ml/residual/internal/field"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/task"
)

// Own is what a training takes of a program's own in place of what has a name. The run
// folder holds what it always does; to go on with it, or to load its model, the program
// gives the same again.
type Own struct {
	// Module is trained in place of Model: it makes [N, classes] of [N, C, H, W], or what the
	// targets of TrainSet ask for. It begins with the values it has, unless Init is given, and ends with
	// those that were trained. inference.LoadInto reads the model files of the run.
	Module nn.Module

	// TrainSet and TestSet are the images in place of Data. Resize is the longer of their
	// sides unless it is given. TestSet may be nil: then nothing is tested. Sets of labels, values
	// or masks are data.Targeted; values are standardised by the mean and std of TrainSet, unless
	// its Info has others.
	TrainSet, TestSet data.Dataset

	// Loss is minimised in place of the task's own loss: see loop.Options.
	Loss nn.Loss

	// TeacherModule is learned from in place of the model in the file Teacher.
	TeacherModule nn.Module

	// Transform changes every image to train on, anew in every epoch, behind what Augment
	// makes of it. It must leave the size. It works on several images at once.
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
	if o.TeacherModule != nil {
		list = append(list, "TeacherModule "+typeName(o.TeacherModule))
	}
	if o.Transform != nil {
		list = append(list, "Transform "+typeName(o.Transform))
	}
	return list
}

func typeName(v any) string { return reflect.TypeOf(v).String() }

// resolvedOwn gives what is the program's own a name, for the settings and the model
// file. Settings that were read say what there was.
func (c Config) resolvedOwn() Config {
	if list := c.Own.list(); list != nil {
		c.OwnParts = list
	}
	if c.Module != nil {
		c.Model = cmp.Or(nn.Class(c.Module), "module")
	}
	if c.TrainSet != nil {
		info := c.TrainSet.Info()
		c.Data = cmp.Or(info.Name, "pictures")
		c.Resize = cmp.Or(c.Resize, max(info.Height, info.Width))
		if of := info.Targets.Task.Named(); of != task.Classes {
			c.Task = cmp.Or(c.Task, string(of))
		}
	}
	return c
}

// ownData says that the images are, or were, a program's own.
func (c Config) ownData() bool {
	return c.TrainSet != nil || slices.ContainsFunc(c.OwnParts, func(part string) bool { return strings.HasPrefix(part, "TrainSet ") })
}

// checkOwn reports what of the program's own is missing, or cannot be beside it.
func (c Config) checkOwn() error {
	if have := c.Own.list(); !slices.Equal(have, c.OwnParts) {
		return fmt.Errorf("these settings are of a training with a program's own %v, and there is %v; that program goes on with it, given the same in train.Config", c.OwnParts, have)
	}
	switch {
	case c.TrainSet != nil && task.Task(c.Task).Named() != c.TrainSet.Info().Targets.Task.Named():
		return field.Errorf("{Task} %s, and the targets of TrainSet are %s; leave it out", task.Task(c.Task).Named(), c.TrainSet.Info().Targets.Task.Named())
	case c.TeacherModule != nil && c.Teacher != "":
		return fmt.Errorf("Config.TeacherModule beside the file Teacher %s; give one of them", c.Teacher)
	case c.TestSet != nil && c.TrainSet == nil:
		return errors.New("Config.TestSet is given and TrainSet is not; give both, or Data")
	case c.Module == nil:
		return nil
	case c.Weights != "":
		return fmt.Errorf("Weights %s beside a Module: its values are where the training begins; load them into it (nn.TakeStateDict) and leave Weights out", c.Weights)
	case c.Blocks != nil || c.ZeroInit || c.StochasticDepth != 0:
		return errors.New("Blocks, ZeroInit and StochasticDepth change models that have a name; with a Module leave them out")
	}
	return nil
}

// newModule makes the module that suits the images; a Module of the program's own does
// already.
func (p plan) newModule(info data.Info, blank bool) (nn.Module, error) {
	if p.Module != nil {
		return p.Module, nil
	}
	c := p.model()
	if info.Targets.Task == task.Masks {
		return nil, fmt.Errorf("model %s gives an image a class and no mask; give a Module of your own in Config.Own", p.Model)
	}
	c.Channels, c.Classes, c.Blank = info.Channels, len(info.Names()), blank
	return models.New(p.Model, c)
}

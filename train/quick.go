package train

import (
	"cmp"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/internal/field"
	"github.com/residual-ml/residual/task"
	"github.com/residual-ml/residual/train/recipe"
)

// fast returns the recipe that Config.Recipe names, or nil if it names none.
func (c Config) fast() (*recipe.Quick, error) {
	if c.Recipe != recipe.FastName {
		return nil, nil
	}
	if of := task.Task(c.Task).Named(); of != task.Classes || c.Module != nil || c.ownData() {
		return nil, field.Errorf("{Recipe} fast is for classes and for models and images with a name or a path; this training has a module, images or {Task} %s of its own: leave {Recipe} out", of)
	}
	model, set, images, channels := c.Model, c.Data, 0, 3
	switch {
	case c.IsPhotos():
		set, channels = "", cmp.Or(c.Channels, 3)
		images, _ = c.trainImages()
	case set == "fashion-mnist", set == "mnist", set == "garments":
		channels = 1
	}
	if model == "" && set == "fashion-mnist" && c.Weights == "" {
		model = recipe.Model(set)
	}
	if set == "garments" {
		images = data.GarmentTrain
	}
	if c.TrainSize > 0 {
		images = cmp.Or(min(images, c.TrainSize), c.TrainSize)
	}
	q, err := recipe.Fast(model, set, images, channels)
	return &q, err
}

// byRecipe fills in the settings of the recipe that c.Recipe names. What is wrong with it Check says.
func (c Config) byRecipe() Config {
	q, err := c.fast()
	if q == nil || err != nil {
		return c
	}
	c.Model = cmp.Or(c.Model, q.Model)
	c.Resize = cmp.Or(c.Resize, q.Resize)
	if c.IsPhotos() {
		c.ResizeShorter = cmp.Or(c.ResizeShorter, c.evalSize()) // nothing is cut off small images
	}
	c.Batch = cmp.Or(c.Batch, q.Batch)
	c.LR = cmp.Or(c.LR, q.LR, recipe.FastLR(c.Batch*max(c.Accumulate, 1)))
	if c.Epochs == 0 {
		c.Epochs, c.Repeat = q.Epochs, cmp.Or(c.Repeat, q.Repeat)
	}
	c.Schedule = cmp.Or(c.Schedule, q.Schedule)
	if c.Optimizer == "" || c.Optimizer == q.Optimizer {
		c.Nesterov = c.Nesterov || c.Optimizer == "" && q.Nesterov
		c.Optimizer = q.Optimizer
		c.Momentum = cmp.Or(c.Momentum, q.Momentum)
		c.WeightDecay = cmp.Or(c.WeightDecay, q.WeightDecay)
		c.NormBiasRate = cmp.Or(c.NormBiasRate, q.NormBiasRate)
	}
	c.LabelSmoothing = cmp.Or(c.LabelSmoothing, q.LabelSmoothing)
	c.Init = cmp.Or(c.Init, q.Init.String())
	c.Augment = cmp.Or(c.Augment, q.Augment)
	c.Freeze = cmp.Or(c.Freeze, q.Freeze)
	if c.EMA == 0 {
		c.Lookahead = cmp.Or(c.Lookahead, q.Lookahead)
	}
	if len(c.Mean)+len(c.Std) == 0 {
		c.Mean, c.Std = q.Mean, q.Std
	}
	return c
}

package train

import (
	"cmp"
	"context"
	"path/filepath"
	"reflect"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/data/folder"
	"github.com/residual-ml/residual/modelfile"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/prepare"
	"github.com/residual-ml/residual/task"
	"github.com/residual-ml/residual/train/recipe"
	"github.com/residual-ml/residual/train/settings"
)

// Resolved returns c with every zero field replaced by the value that it stands for. It counts
// a user's own images if the settings depend on how many there are; see recipe.ForPhotos.
func (c Config) Resolved() Config {
	c = c.asking()
	c = c.resolvedOwn()
	for _, path := range []*string{&c.Weights, &c.Teacher} {
		if file, err := checkpoint.FindModel(*path); err == nil { // else the error is reported where it is opened
			*path = file
		}
	}
	c.Data = cmp.Or(c.Data, "fashion-mnist")
	if path, err := filepath.Abs(c.Teacher); err == nil && c.Teacher != "" {
		c.Teacher = path // for a run that is resumed from another folder
	}
	c = c.identified().byRecipe()
	if c.IsPhotos() {
		c = c.resolvedPhotos()
	}
	c = c.noting()
	set := c.Data
	if c.ownData() {
		set = "" // no recipe goes by its name
	}
	c.Model = cmp.Or(c.Model, recipe.Model(set))
	r := recipe.For(c.Model, set)
	c.Resize = cmp.Or(c.Resize, r.Resize)
	c.Batch = cmp.Or(c.Batch, r.Batch)
	c.LastBatch = cmp.Or(c.LastBatch, EvenLast)
	c.LR = cmp.Or(c.LR, r.LR)
	c.Epochs = cmp.Or(c.Epochs, r.Epochs)
	c.Optimizer = cmp.Or(c.Optimizer, r.Optimizer)
	c.Schedule = cmp.Or(c.Schedule, r.Schedule)
	if c.Optimizer == r.Optimizer {
		c.Momentum = cmp.Or(c.Momentum, r.Momentum)
		c.WeightDecay = cmp.Or(c.WeightDecay, r.WeightDecay)
	}
	if c.Module == nil {
		c.Init = cmp.Or(c.Init, r.Init.String())
	}
	c.Augment = cmp.Or(c.Augment, r.Augment)
	c.Precision = cmp.Or(c.Precision, "auto")
	c.Out = cmp.Or(c.Out, "runs")
	if c.Sampler == Shuffled {
		c.Sampler = "" // as it is recorded where nothing was chosen
	}
	if c.Repeat == 1 {
		c.Repeat = 0 // likewise
	}
	return c.withoutReplaced()
}

// withoutReplaced returns c without the settings that Resolved filled in and whose place values
// of the program's own take.
func (c Config) withoutReplaced() Config {
	if c.Own.Optimizer != nil {
		c.Optimizer, c.Momentum, c.WeightDecay, c.Nesterov = "", 0, 0, false
	}
	if c.Own.Schedule != nil {
		c.Schedule, c.LR = "", 0
	}
	return c
}

// resolvedOwn gives the program's own module and data set a name, for the settings and the
// model file. Settings that were read from a file say what there was.
func (c Config) resolvedOwn() Config {
	if list := c.Own.list(); list != nil {
		c.OwnParts = list
	}
	if c.Module != nil {
		c.Model = cmp.Or(nn.Class(c.Module), "module")
	}
	if c.TrainSet != nil {
		info := c.TrainSet.Info()
		c.Data = cmp.Or(info.Name, "images")
		c.Resize = cmp.Or(c.Resize, max(info.Height, info.Width))
		if of := info.Targets.Task.Named(); of != task.Classes {
			c.Task = cmp.Or(c.Task, string(of))
		}
	}
	return c
}

// identified takes the model from the file of the first weights, if none was chosen: the one
// that the file describes, or else the only one that has the file's names and shapes.
func (c Config) identified() Config {
	if c.Weights == "" || c.Model != "" || c.Module != nil {
		return c
	}
	if m, ok := c.described(); ok {
		return c.withModel(m.Architecture, m.Blocks)
	}
	// Reading the weights reports what is wrong with them, for the model whose names they have.
	found, _ := modelfile.Identify(c.Weights)
	if len(found) != 1 {
		return c
	}
	return c.withModel(found[0].Entry.Name, found[0].Config.Blocks)
}

// withModel returns c with a model in place of an empty Model, and with its blocks where c
// leaves them open.
func (c Config) withModel(name string, blocks []int) Config {
	c.Model = cmp.Or(c.Model, name)
	if c.Model == name && c.Blocks == nil {
		c.Blocks = blocks
	}
	return c
}

// described returns what the file of the first weights says of its model, if it does.
func (c Config) described() (m checkpoint.Model, ok bool) {
	if c.Weights == "" {
		return m, false
	}
	m, err := modelfile.Describe(c.Weights)
	return m, err == nil
}

// resolvedPhotos is Resolved for a user's own images. It looks at the folder only if the
// settings depend on how many images there are, and leaves errors in it to Photos.find.
func (c Config) resolvedPhotos() Config {
	if path, err := filepath.Abs(c.Data); err == nil {
		c.Data = path // for a run that is resumed from another folder
	}
	if from, ok := c.described(); ok {
		c = c.like(from)
	}
	c = c.noting()
	c.Holdout = cmp.Or(c.Holdout, recipe.PhotoHoldout)
	c.Cache = cmp.Or(c.Cache, CacheAuto)
	if path, err := filepath.Abs(c.Cache); err == nil && c.Cache != CacheAuto && c.Cache != CacheOff {
		c.Cache = path
	}
	base := recipe.PhotoBase()
	if c.Freeze == FreezeBackbone {
		c.Augment = cmp.Or(c.Augment, "none") // the features of each image are then computed once
	}
	if c.Model == "" || c.Resize == 0 || c.Batch == 0 || c.Epochs == 0 || c.LR == 0 ||
		c.ResizeShorter == 0 || c.Augment == "" || c.augment().Crops() && c.CropScale == 0 {
		c = c.sized()
	}
	c.Channels = cmp.Or(c.Channels, 3)
	steps := recipe.PhotoSteps(c.evalSize(), c.Channels)
	c.ResizeShorter = cmp.Or(c.ResizeShorter, steps.ResizeShorter)
	c.Interpolation = cmp.Or(c.Interpolation, steps.Interpolation)
	if len(c.Mean)+len(c.Std) == 0 {
		c.Mean, c.Std = steps.Mean, steps.Std
	}
	if c.Optimizer == "" { // with its settings; next to an optimiser that is given, a 0 is a 0
		c.Optimizer, c.Nesterov = base.Optimizer, base.Nesterov
		c.Momentum = cmp.Or(c.Momentum, base.Momentum)
		c.WeightDecay = cmp.Or(c.WeightDecay, base.WeightDecay)
		if c.ofClasses() && c.Loss == nil {
			c.LabelSmoothing = cmp.Or(c.LabelSmoothing, base.LabelSmoothing)
		}
	}
	c.Schedule = cmp.Or(c.Schedule, base.Schedule)
	if c.Module == nil { // a module of the program's own starts with the values it has
		c.Init = cmp.Or(c.Init, base.Init.String())
	}
	return c
}

// like returns c with the model of the first weights, and with images prepared as for it,
// where c leaves these open.
func (c Config) like(m checkpoint.Model) Config {
	c = c.withModel(m.Architecture, m.Blocks)
	c.Channels = cmp.Or(c.Channels, m.Channels)
	p := m.Preprocess
	if len(c.Mean)+len(c.Std) == 0 && c.Channels == m.Channels && p.Scale == prepare.UnitScale {
		c.Mean, c.Std = p.Mean, p.Std
		for len(c.Mean) < m.Channels { // a mean of 0 and a std of 1 leave the pixels unchanged
			c.Mean = append(c.Mean, 0)
		}
		for len(c.Std) < m.Channels {
			c.Std = append(c.Std, 1)
		}
	}
	if c.Resize == 0 || c.Resize == m.Height {
		c.Resize = m.Height
		if p.ResizeShorter >= m.Height && c.evalSize() == m.Height {
			c.ResizeShorter = cmp.Or(c.ResizeShorter, p.ResizeShorter)
		}
	}
	if p.ResizeShorter > 0 && (p.Interpolation == "bilinear" || p.Interpolation == "bicubic") { // those of trainings
		c.Interpolation = cmp.Or(c.Interpolation, p.Interpolation)
	}
	return c
}

// sized fills in the settings that depend on how many images there are, and on their sizes.
func (c Config) sized() Config {
	n, side := c.trainImages()
	r := recipe.ForPhotos(n)
	if c.Model == "" || c.Resize == 0 || c.Batch == 0 || c.Epochs == 0 {
		c.chosenFor = n
	}
	if c.Model == "" {
		model, blocks := r.Model, r.Blocks
		if c.Blocks == nil {
			model, blocks = r.ModelFor(cmp.Or(c.Resize, r.SizeFor(side)))
		}
		c = c.withModel(model, blocks)
	}
	if e, err := models.Lookup(c.Model); err == nil && e.FixedSize {
		c.Resize = cmp.Or(c.Resize, e.Height)
	}
	if c.Resize == 0 {
		c.Resize, c.sizedFor = r.SizeFor(side), side
	}
	c.ResizeShorter = cmp.Or(c.ResizeShorter, recipe.PhotoShorter(c.evalSize(), side))
	c.Augment = cmp.Or(c.Augment, recipe.PhotoAugment(c.Resize, side))
	c = c.ruled(n)
	if c.augment().Crops() {
		c.CropScale = cmp.Or(c.CropScale, r.CropScale)
	}
	if c.free != nil && c.free.images == 0 {
		f := *c.free
		f.images, f.side, c.free = n, side, &f
	}
	return c
}

// ruled fills in the settings of the rule for so many images: the batch, the rate and, in
// epochs, the steps. Batches that are accumulated make one step, and count as one batch.
func (c Config) ruled(images int) Config {
	rule := recipe.Scratch()
	if c.Weights != "" {
		rule = recipe.Tuned()
	}
	return c.ruledBy(rule, images)
}

// ruledBy is ruled by another rule.
func (c Config) ruledBy(rule recipe.Rule, images int) Config {
	c.Batch = cmp.Or(c.Batch, min(rule.Batch, max(images, 1)))
	step := c.Batch * max(c.Accumulate, 1)
	if c.Epochs == 0 {
		c.Epochs, c.Repeat = rule.Epochs(images, step, c.Repeat)
	}
	c.LR = cmp.Or(c.LR, rule.LR(c.Optimizer, step))
	return c
}

// trainImages counts the images to train on. side is the median of the shorter sides of all
// images, or 0 if it is not known.
func (c Config) trainImages() (n, side int) {
	if c.free != nil && c.free.images > 0 { // they were counted before
		return c.free.images, c.free.side
	}
	x, err := c.scan(context.Background())
	if err != nil {
		x = &folder.Index{}
	}
	counts := x.Counts(data.Train)
	if !c.ofClasses() { // a share of all images is held out, as if they were one class
		all := 0
		for _, count := range counts {
			all += count
		}
		counts = []int{all}
	}
	for _, count := range counts {
		n += count
		if !x.Tested {
			n -= folder.HeldOut(count, c.Holdout)
		}
	}
	if c.TrainSize > 0 {
		n = min(n, c.TrainSize)
	}
	return n, x.ShorterSide(context.Background())
}

// noting records once which settings a budget may choose.
func (c Config) noting() Config {
	if c.free == nil && c.Forecast != nil && c.Forecast.Budget > 0 {
		c.free = &unset{
			model: c.Model == "" && c.Blocks == nil, size: c.Resize == 0, shorter: c.ResizeShorter == 0,
			batch: c.Batch == 0, rate: c.LR == 0, augment: c.Augment == "", crop: c.CropScale == 0, cropScale: c.CropScale, epochs: c.Epochs == 0, repeat: c.Repeat,
		}
	}
	return c
}

// asking records once which settings were given.
func (c Config) asking() Config {
	if c.asked != nil {
		return c
	}
	asked := map[string]bool{}
	is := reflect.ValueOf(c)
	for _, row := range settings.Table() {
		if !is.FieldByName(row.Field).IsZero() {
			asked[row.Field] = true
		}
	}
	c.asked = asked
	return c
}

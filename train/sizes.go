package train

import (
	"cmp"
	"time"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/internal/field"
	"github.com/residual-ml/residual/prepare"
	"github.com/residual-ml/residual/train/foresight"
	"github.com/residual-ml/residual/train/loop"
	"github.com/residual-ml/residual/train/recipe"
)

// evalSize returns the pixels of both sides of the images that the model is tested on, and is for.
func (c Config) evalSize() int { return cmp.Or(c.EvalSize, c.Resize) }

// trainingInput returns the input of a training on images of size by size pixels. It differs from
// the model's in the size alone.
func (p plan) trainingInput(size int) prepare.Input {
	in := p.input(data.Info{}) // of which only the sizes and the normalisation matter here
	if of := in.Height; of != size {
		if in.Preprocess.ResizeShorter > 0 {
			in.Preprocess.ResizeShorter = max(in.Preprocess.ResizeShorter*size/of, size)
		}
		in.Height, in.Width = size, size
	}
	return in
}

// stages returns the stages with which the training begins, on images in their own size.
func (p plan) stages(train data.Dataset) (all []loop.Stage) {
	if p.Progressive == 0 {
		return nil
	}
	sizes := recipe.ProgressiveSizes(p.Progressive, p.Resize)
	for _, size := range sizes[:len(sizes)-1] {
		all = append(all, loop.Stage{Train: data.Resize(train, size), Transform: p.augment().Transform(p.trainingInput(size), p.Transform)})
	}
	return all
}

// growth returns how long the epochs of a training with images that grow take on average, by their
// pixels, as a share of those with the last size.
func (c Config) growth() float64 {
	if c.Progressive == 0 {
		return 1
	}
	var shares []float64
	for _, size := range recipe.ProgressiveSizes(c.Progressive, c.Resize) {
		shares = append(shares, float64(size*size)/float64(c.Resize*c.Resize))
	}
	return meanOf(shares)
}

// meanOf returns the mean of the times of stages, 1 for none.
func meanOf(stages []float64) float64 {
	if len(stages) == 0 {
		return 1
	}
	sum := 0.0
	for _, s := range stages {
		sum += s
	}
	return sum / float64(len(stages))
}

// spread makes the estimate of one epoch, which is the last, that of any epoch.
func spread(e *foresight.Estimate) {
	less := e.Epoch - time.Duration(float64(e.Epoch)*meanOf(e.Stages))
	e.FirstEpoch -= less
	e.Epoch -= less
}

// checkSizes returns an error if the sizes of the images do not suit the model or each other.
func (p plan) checkSizes() error {
	if e := p.entry; e.FixedSize {
		switch {
		case p.Resize != e.Height || p.Resize != e.Width:
			return field.Errorf("model %s takes only %dx%d images, not %dx%d; leave {Resize} out, or choose another {Model}",
				e.Name, e.Height, e.Width, p.Resize, p.Resize)
		case p.Progressive != 0:
			return field.Errorf("{Progressive} %d: model %s takes only %dx%d images; leave it out, or choose another {Model}", p.Progressive, e.Name, e.Height, e.Width)
		case p.evalSize() != p.Resize:
			return field.Errorf("{EvalSize} %d: model %s takes only %dx%d images; leave it out, or choose another {Model}", p.EvalSize, e.Name, e.Height, e.Width)
		}
	}
	for _, s := range []struct {
		name string
		set  bool
	}{{"Progressive", p.Progressive != 0}, {"EvalSize", p.EvalSize != 0}} {
		switch name := field.Name(s.name); {
		case !s.set:
		case p.Freeze == FreezeBackbone:
			return field.Errorf("%s beside {Freeze} backbone: the features of an image are computed once, at one size; leave one of them out", name)
		case p.Teacher != "" || p.TeacherModule != nil:
			return field.Errorf("%s beside {Teacher}, which takes images of one size; leave one of them out", name)
		case s.name == "EvalSize" && p.Forecast != nil && p.Forecast.Budget > 0:
			return field.Errorf("%s beside {Budget}, which chooses the size; give {Epochs} in place of the budget", name)
		}
	}
	if p.Progressive >= p.Resize && p.Progressive != 0 {
		return field.Errorf("{Progressive} %d: the training begins with images of this size and ends with %dx%d ({Resize}); give less than %d", p.Progressive, p.Resize, p.Resize, p.Resize)
	}
	return nil
}

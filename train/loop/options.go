package loop

import (
	"math"

	"github.com/residual-ml/residual/data/transforms"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/internal/field"
	"github.com/residual-ml/residual/optim"
	"github.com/residual-ml/residual/train/settings"
)

// Options are the settings of a Trainer. Zero values are those of the notes: plain
// gradient descent with rate 0.05, ten epochs in batches of 256, and nothing else.
type Options struct {
	Batch     int  // of images; the last two of an epoch share theirs evenly where the last would have few: see data.LoaderConfig.Even
	ShortLast bool // leave the last batch what is left, be it one image
	Epochs    int
	Optimizer optim.Optimizer
	Schedule  optim.Schedule
	Seed      uint64 // of the order of the images
	Workers   int    // of the loader; 0 chooses. It never changes a result
	Precision engine.Precision
	Recompute bool // activations, for the gradients: see engine.Spec

	// Transform changes the images to train on anew in every epoch, and Mix mixes batches
	// of them: see data.LoaderConfig. With Mix the labels are soft (one probability per
	// class), and the answer with the largest probability counts as right.
	Transform transforms.Transform
	Mix       transforms.BatchTransform
	Normalize transforms.Normalize // of all images, those of an evaluation too

	// LabelSmoothing, from 0 to below 1, is the share of a label that all classes get
	// alike, and ClassWeights has the weight of every class in the loss, above 0; nil: all
	// count the same. Both are of nn.CrossEntropyLoss, and of the training alone: the loss
	// of an evaluation is the plain one.
	LabelSmoothing float64
	ClassWeights   []float32

	// ClipNorm is the most that the norm of all gradients together may be in a step; 0: no
	// limit. See optim.ClipFactor.
	ClipNorm float64

	// Accumulate is the number of batches a step of the optimiser is made of; 0 means 1. The
	// gradient is the mean over all their images, as of one batch so large, in the memory
	// that one takes. A batch norm still sees one batch at a time: its statistics are those
	// of Batch images, and move Accumulate times a step. What is left at the end of an
	// epoch makes a step of its own.
	Accumulate int

	// EMA, from 0 to below 1, is how much of an exponential moving average of the weights is
	// kept in a step; 0: none. After step n it is
	//
	//	average = d*average + (1-d)*weight,  d = min(EMA, (1+n)/(10+n))
	//
	// from the first weights on; d grows so that they are forgotten soon, as TensorFlow's
	// ExponentialMovingAverage has it. Running statistics of batch norms are averaged in the
	// same way, as timm and torchvision do: those of the latest batch belong to the latest
	// weights, not to their average. The averages are what is evaluated and saved as a
	// model; Fit leaves them in the module.
	EMA float64

	// Metric is what the best epoch is chosen by, and Patience after how many epochs without
	// a better one the training ends; 0: after the last.
	Metric   Metric
	Patience int

	// Freeze names what is not trained: FreezeStem, FreezeBackbone, or parts of the module by
	// the prefixes of its parameters' names, such as layer1 or layer4.0. No gradient is
	// computed that only frozen parameters need, and frozen batch norms use their running
	// statistics and leave them as they are, as timm's freeze does.
	Freeze []string

	// BackboneRate multiplies the learning rate of all but the last layer; 0 means 1.
	// LayerDecay multiplies it by itself once for each layer that follows, counted as
	// timm's param_groups_layer_decay does: the stem is one layer, so is each block, and
	// the last layer has the whole rate; 0 means 1. Only one of the two may be given.
	BackboneRate float64
	LayerDecay   float64

	// GradientNorm asks for the norm of the gradient that reaches the first layer that is
	// trained; it changes no result.
	GradientNorm bool
}

func (o Options) resolved() Options {
	if o.Batch == 0 {
		o.Batch = 256
	}
	if o.Epochs == 0 {
		o.Epochs = 10
	}
	if o.Optimizer == nil {
		o.Optimizer = optim.SGD{}
	}
	if o.Schedule == nil {
		o.Schedule = optim.Constant{Base: 0.05}
	}
	o.Accumulate = max(o.Accumulate, 1)
	if o.Metric == "" {
		o.Metric = Accuracy
	}
	return o
}

// Check returns an error for the first option that cannot be: a *settings.Error where its
// value is out of range.
func (o Options) Check() error {
	if err := settings.Check(o); err != nil {
		return err
	}
	if o.BackboneRate != 0 && o.LayerDecay != 0 {
		return field.Errorf("{BackboneRate} %v and {LayerDecay} %v: both are of the layers' rates; give one of them", o.BackboneRate, o.LayerDecay)
	}
	for i, w := range o.ClassWeights {
		if !(w > 0) || math.IsInf(float64(w), 1) {
			return field.Errorf("{ClassWeights}: weight %d is %v; it must be a number above 0", i+1, w)
		}
	}
	return nil
}

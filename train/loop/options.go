package loop

import (
	"errors"
	"math"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/data/transforms"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/internal/field"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/optim"
	"github.com/residual-ml/residual/task"
	"github.com/residual-ml/residual/train/settings"
)

// Options holds the settings of a Trainer. The zero values mean plain gradient descent with
// the learning rate 0.05, for ten epochs in batches of 256 images.
type Options struct {
	Batch     int  // images in a batch. If the last batch of an epoch would be small, the last two share their images evenly: see data.LoaderConfig.Even
	ShortLast bool // do not share them: the last batch is what remains, which may be a single image
	Epochs    int
	Optimizer optim.Optimizer
	Schedule  optim.Schedule
	Seed      uint64 // of the order of the images
	Workers   int    // goroutines of the loader; 0 chooses a number. It never changes a result
	Precision engine.Precision
	Recompute bool // recompute activations for the gradients to save memory: see engine.Spec

	// Sampler chooses the training images of every epoch; nil takes each once, in a new order. An
	// evaluation measures every image once.
	Sampler data.Sampler

	// Transform is applied to every training image again in every epoch, and Mix mixes the
	// images of a batch: see data.LoaderConfig. With Mix the training uses soft labels (one
	// probability per class), and a prediction is correct if it is the class with the
	// highest one.
	Transform transforms.Transform
	Mix       transforms.BatchTransform
	Normalize transforms.Normalize // applied to all images, also in an evaluation

	// LabelSmoothing, from 0 to below 1, is the probability that is spread evenly over all
	// classes. ClassWeights holds the weight of every class in the loss, above 0; nil gives
	// all the same weight. Both are settings of nn.CrossEntropyLoss and apply to the training
	// only: an evaluation uses the plain loss.
	LabelSmoothing float64
	ClassWeights   []float32

	// Loss is what the training minimises in place of the task's own loss, such as
	// nn.FocalLoss{}.Forward or a function of a program's own. For classes its targets are soft
	// labels [N, classes], 1 for the class of an image. An evaluation measures it, too.
	Loss nn.Loss

	// Teacher is a trained network whose outputs the training learns from; nil means none.
	Teacher *Teacher

	// ClipNorm is the largest norm that all gradients together may have in a step; 0 means no
	// limit. See optim.ClipFactor.
	ClipNorm float64

	// Accumulate is the number of batches per step of the optimiser; 0 means 1. The gradient
	// is the mean over the images of all these batches, as with one large batch, but needs
	// only the memory of one. A batch norm still sees one batch at a time: its statistics
	// are those of Batch images, and its running statistics are updated Accumulate times a
	// step. The batches that remain at the end of an epoch make a step of their own.
	Accumulate int

	// EMA, from 0 to below 1, is the decay of an exponential moving average of the weights; 0
	// means no average. After step n the average is
	//
	//	average = d*average + (1-d)*weight,  d = min(EMA, (1+n)/(10+n))
	//
	// and it starts from the initial weights. d grows with n so that these are soon forgotten,
	// as in TensorFlow's ExponentialMovingAverage. The running statistics of batch norms are
	// averaged in the same way, as in timm and torchvision, since the statistics of the latest
	// batch fit the latest weights and not their average. The averages are evaluated and saved
	// as the model; Fit leaves them in the module.
	EMA float64

	// Lookahead, from 0 to below 1, makes the training go back to slow weights; 0 means no. From 30 %
	// of the steps on, after every fifth step n of N,
	//
	//	slow = r*slow + (1-r)*weight,  weight = slow,  r = Lookahead^5 (n/N)^3
	//
	// so that the weights move fast at first and are averages at the end (Jordan 2024,
	// https://arxiv.org/abs/2404.00498, section 3.4, has 0.95). The running statistics of batch norms
	// take part. An epoch ends with the slow weights.
	Lookahead float64

	// Metric chooses the best epoch; empty means the one of DefaultMetric. Patience ends the
	// training after so many epochs without a better one; 0 trains for all epochs.
	Metric   Metric
	Patience int

	// Stages are those with which the training begins, in place of the training images of New: each
	// lasts as many epochs as the others, and so does the last stage, with the images of New. With
	// images that grow from stage to stage the first epochs take less time (progressive learning, Tan
	// and Le 2021, https://arxiv.org/abs/2104.00298, section 4). The test images do not change.
	Stages []Stage

	// Score chooses the best epoch in place of Metric: the one for which it is the highest.
	Score func(Epoch) float64

	// Freeze names the parts of the module that are not trained: FreezeStem, FreezeBackbone,
	// FreezeNormWeights, or prefixes of parameter names, such as layer1 or layer4.0. Gradients that only frozen
	// parameters need are not computed. Frozen batch norms use their running statistics and
	// do not update them, as with timm's freeze.
	Freeze []string

	// BackboneRate multiplies the learning rate of all layers but the last; 0 means 1.
	// LayerDecay multiplies a layer's learning rate once for each layer after it; 0 means 1.
	// Layers are counted like in timm's param_groups_layer_decay: the stem is one layer, so is
	// each block, and the last layer has the full rate. Only one of the two may be set.
	BackboneRate float64
	LayerDecay   float64

	// NormBiasRate multiplies the learning rate of the biases of batch norms, but not their weight decay,
	// by multiplying their gradients; 0 means 1. It is for sgd, whose steps are proportional to the
	// gradients. ClipNorm sees the larger gradients.
	NormBiasRate float64

	// GradientNorm computes the norm of the gradient of the first trained layer's weight. It
	// changes no other result.
	GradientNorm bool
}

// Stage is a part of a training in which the images have a size of their own: see Options.Stages.
type Stage struct {
	// Train has the training images in the size of the stage: those of New, in the same order.
	Train data.Dataset
	// Transform stands in for Options.Transform. Its output has the size of Train.
	Transform transforms.Transform
}

func (o Options) resolved(of task.Task, tested bool) Options {
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
		o.Metric = DefaultMetric(of, tested)
	}
	return o
}

// score returns the value by which an epoch is compared with others.
func (o Options) score(e Epoch) float64 {
	if o.Score != nil {
		return o.Score(e)
	}
	return o.Metric.of(e)
}

// better reports whether the score a is better than b.
func (o Options) better(a, b float64) bool {
	if o.Score != nil {
		return Accuracy.better(a, b) // the higher one
	}
	return o.Metric.better(a, b)
}

// Check returns an error for the first option that cannot be: a *settings.Error where its
// value is out of range.
func (o Options) Check() error {
	if err := settings.Check(o); err != nil {
		return err
	}
	if o.Score != nil && o.Metric != "" {
		return field.Errorf("{Metric} %s beside a Score of the program's own: both choose the best epoch; give one of them", o.Metric)
	}
	if len(o.Stages) > 0 && o.Teacher != nil {
		return errors.New("loop: Stages beside a Teacher, which takes images of one size; leave one of them out")
	}
	if o.BackboneRate != 0 && o.LayerDecay != 0 {
		return field.Errorf("{BackboneRate} %v and {LayerDecay} %v: both are of the layers' rates; give one of them", o.BackboneRate, o.LayerDecay)
	}
	if o.EMA != 0 && o.Lookahead != 0 {
		return field.Errorf("{EMA} %v and {Lookahead} %v: both are averages of the weights; give one of them", o.EMA, o.Lookahead)
	}
	if name := (optim.SGD{}).Name(); o.NormBiasRate != 0 && o.Optimizer != nil && o.Optimizer.Name() != name {
		return field.Errorf("{NormBiasRate} %v with the optimiser %s, whose steps are not proportional to the gradients; leave it out, or use sgd", o.NormBiasRate, o.Optimizer.Name())
	}
	for i, w := range o.ClassWeights {
		if !(w > 0) || math.IsInf(float64(w), 1) {
			return field.Errorf("{ClassWeights}: weight %d is %v; it must be a number above 0", i+1, w)
		}
	}
	return nil
}

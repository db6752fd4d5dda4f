package recipe

import (
	"math"
	"strings"

	"github.com/residual-ml/residual/data/transforms"
	"github.com/residual-ml/residual/internal/field"
	"github.com/residual-ml/residual/nn"
)

// FastName is the name of the recipe that Fast returns.
const FastName = "fast"

// Named lists the names of recipes.
func Named() []string { return []string{FastName} }

// Quick is a recipe that trains in less time than the usual one.
type Quick struct {
	Recipe
	Model        string
	Repeat       int     // passes over the images in an epoch
	Freeze       string  // see loop.Options for this and the next two
	NormBiasRate float64 // 0: 1
	Lookahead    float64 // 0: none
	Mean, Std    []float64
}

// The size of a batch of Fast, and the least number of steps and of images in a batch of small sets.
const (
	fastBatch = 1024
	fastLeast = 64
	fastSteps = 480
)

// Fast returns the fast recipe of a model on a data set of so many images and channels; 0 images stand
// for many. model and set are empty where none was chosen, or the set has no name.
//
// whitened-resnet8 trains as in Jordan 2024 (https://arxiv.org/abs/2404.00498): for small images of
// any kind. d2l-resnet18 on Fashion-MNIST has the images and batches of Dive into Deep Learning, and
// a one-cycle schedule with momentum, which takes 3 epochs instead of 10.
func Fast(model, set string, images, channels int) (Quick, error) {
	if model == "d2l-resnet18" && set == "fashion-mnist" {
		q := Quick{Recipe: For(model, set), Model: model}
		q.Epochs, q.LR, q.Schedule = 3, 0.1, "onecycle,warmup=0.3"
		q.Momentum, q.WeightDecay, q.Nesterov = 0.9, 5e-4, true
		return q, nil
	}
	if model != "" && model != "whitened-resnet8" {
		return Quick{}, field.Errorf("{Recipe} fast has no settings for {Model} %s; it trains whitened-resnet8, or d2l-resnet18 on fashion-mnist: leave one of the two out", model)
	}
	q := Quick{
		Recipe: Recipe{
			Resize: 32, Batch: fastBatch, Epochs: 16, Schedule: "onecycle,warmup=0.23,div=5,finaldiv=2.857,linear=1",
			Optimizer: "sgd", Momentum: 0.85, WeightDecay: 0.00133, Nesterov: true, LabelSmoothing: 0.2,
			Init: nn.PyTorchDefault, Augment: "shift",
		},
		Model: "whitened-resnet8", Freeze: "whiten.weight,norm-weights", NormBiasRate: 64, Lookahead: 0.95,
	}
	q.Mean, q.Std = fastNormalize(set, channels)
	for images > 0 && q.Batch > fastLeast && images < 40*q.Batch {
		q.Batch /= 2
	}
	if steps := q.Epochs * ((images + q.Batch - 1) / q.Batch); images > 0 && steps < fastSteps {
		q.Repeat = (fastSteps + steps - 1) / steps
	}
	return q, nil
}

// FastLR is the learning rate of Fast for batches of a size. Jordan's is 11.5 for 1,024 images, of
// which Nesterov momentum of 0.85 makes 1 + 1/(1 - 0.85) times as much.
func FastLR(batch int) float32 {
	return float32(math.Round(11.5/(1+1/(1-0.85))*float64(batch)/fastBatch*1e4) / 1e4)
}

// fastNormalize returns the mean and the std of the images' pixels: those of CIFAR-10, or those of
// Fashion-MNIST for grey images.
func fastNormalize(set string, channels int) (mean, std []float64) {
	if channels == 1 {
		return []float64{0.286}, []float64{0.353}
	}
	if strings.HasPrefix(set, "cifar") {
		return []float64{0.4914, 0.4822, 0.4465}, []float64{0.2470, 0.2435, 0.2616}
	}
	n := transforms.ImageNet()
	return n.Mean, n.Std
}

package train

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/residual-ml/residual/data"
)

// Balanced is what Config.ClassWeights says for BalancedWeights.
const Balanced = "balanced"

// options are the plan's for a Trainer on train.
func (p plan) options(train data.Dataset) (Options, error) {
	o := p.settings()
	if p.ClassWeights == Balanced {
		labels, err := data.Labels(context.Background(), train)
		if err != nil {
			return o, err
		}
		if o.ClassWeights, err = BalancedWeights(labels, train.Info().Classes); err != nil {
			return o, err
		}
	}
	return o, nil
}

// settings are those that do not depend on the data.
func (p plan) settings() Options {
	o := Options{
		Batch: p.Batch, ShortLast: p.LastBatch == ShortLast, Epochs: p.Epochs, Optimizer: p.optimizer, Schedule: p.schedule, Seed: p.Seed, Workers: p.Workers,
		Precision: p.precision, Recompute: p.Recompute, GradientNorm: p.GradientNorm,
		Transform: p.transform(p.IsPhotos(), p.Resize, p.Transform), Mix: p.mix(), Normalize: p.normalize(),
		LabelSmoothing: p.LabelSmoothing, ClipNorm: p.ClipNorm, Accumulate: p.Accumulate, EMA: p.EMA,
		Metric: Metric(p.Metric), Patience: p.Patience, BackboneRate: p.BackboneRate, LayerDecay: p.LayerDecay,
	}
	if p.Freeze != "" {
		o.Freeze = strings.Split(p.Freeze, ",")
	}
	o.ClassWeights, _ = p.classWeights()
	return o
}

// checkOptions names the first of the plan's options that cannot be.
func (p plan) checkOptions() error {
	if _, err := p.classWeights(); err != nil {
		return err
	}
	return p.settings().check()
}

// checkFreeze looks for what is to be frozen in the model, before there are data for it.
func (p plan) checkFreeze() error {
	if p.Freeze == "" {
		return nil
	}
	m, err := p.newModule(data.Info{}, true)
	if err != nil {
		return err
	}
	t := Trainer{module: m, options: p.settings()}
	return t.choose()
}

// classWeights are the numbers of ClassWeights.
func (p plan) classWeights() (weights []float32, err error) {
	if p.ClassWeights == "" || p.ClassWeights == Balanced {
		return nil, nil
	}
	for _, text := range strings.Split(p.ClassWeights, ",") {
		w, err := strconv.ParseFloat(strings.TrimSpace(text), 32)
		if err != nil {
			return nil, fmt.Errorf("--class-weights %s: %q is no number; give balanced, or a weight for each class, such as 1,1,2.5", p.ClassWeights, text)
		}
		weights = append(weights, float32(w))
	}
	return weights, nil
}

// BalancedWeights are weights of the classes by which all count the same in a loss,
// however many pictures they have: N/(K*n) for a class with n of the N pictures, of K
// classes, as scikit-learn's compute_class_weight has it.
func BalancedWeights(labels []int, classes []string) ([]float32, error) {
	counts := make([]int, len(classes))
	for _, label := range labels {
		counts[label]++
	}
	weights := make([]float32, len(classes))
	for k, n := range counts {
		if n == 0 {
			return nil, fmt.Errorf("--class-weights balanced: class %s has no picture to train on; give weights as numbers, or more pictures (--train-size)", classes[k])
		}
		weights[k] = float32(float64(len(labels)) / float64(len(classes)*n))
	}
	return weights, nil
}

// metric is the one of Config.Metric.
func (p plan) metric() Metric { return Metric(or(p.Metric, string(Accuracy))) }

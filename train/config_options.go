package train

import (
	"cmp"
	"context"
	"strconv"
	"strings"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/internal/field"
	"github.com/residual-ml/residual/task"
	"github.com/residual-ml/residual/train/loop"
)

// Balanced is what Config.ClassWeights says for loop.BalancedWeights.
const Balanced = "balanced"

// options are the plan's for a Trainer on train.
func (p plan) options(train data.Dataset) (loop.Options, error) {
	o := p.settings()
	if p.ClassWeights == Balanced {
		labels, err := data.Labels(context.Background(), train)
		if err != nil {
			return o, err
		}
		if o.ClassWeights, err = loop.BalancedWeights(labels, train.Info().Classes); err != nil {
			return o, err
		}
	}
	return o, nil
}

// settings are those that do not depend on the data.
func (p plan) settings() loop.Options {
	o := loop.Options{
		Batch: p.Batch, ShortLast: p.LastBatch == ShortLast, Epochs: p.Epochs, Optimizer: p.optimizer, Schedule: p.schedule, Seed: p.Seed, Workers: p.Workers,
		Precision: p.precision, Recompute: p.Recompute, GradientNorm: p.GradientNorm,
		Transform: p.transform(p.IsPhotos(), p.Resize, p.Transform), Mix: p.mix(), Normalize: p.normalize(),
		LabelSmoothing: p.LabelSmoothing, ClipNorm: p.ClipNorm, Accumulate: p.Accumulate, EMA: p.EMA,
		Loss:   p.Loss,
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
	return p.settings().Check()
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
	return loop.CheckFreeze(m, p.settings())
}

// classWeights are the numbers of ClassWeights.
func (p plan) classWeights() (weights []float32, err error) {
	if p.ClassWeights == "" || p.ClassWeights == Balanced {
		return nil, nil
	}
	for _, text := range strings.Split(p.ClassWeights, ",") {
		w, err := strconv.ParseFloat(strings.TrimSpace(text), 32)
		if err != nil {
			return nil, field.Errorf("{ClassWeights} %s: %q is no number; give balanced, or a weight for each class, such as 1,1,2.5", p.ClassWeights, text)
		}
		weights = append(weights, float32(w))
	}
	return weights, nil
}

// metric is the one of Config.Metric, or of the task of images with this description.
func (p plan) metric(of task.Task, tested bool) Metric {
	return cmp.Or(Metric(p.Metric), loop.DefaultMetric(of, tested))
}

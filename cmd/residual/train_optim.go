package main

import (
	"fmt"
	"reflect"

	"github.com/spf13/cobra"

	"github.com/residual-ml/residual/train"
	"github.com/residual-ml/residual/train/loop"
)

// optimisationHelp is what train says of these flags.
const optimisationHelp = `--freeze and the rates by layer are for starting from --weights: --freeze backbone trains the
last layer alone, which is quick; --backbone-lr-scale 0.1 or --layer-decay 0.8 let what was
learned before move less than what is new. ` + "`residual lr-find`" + ` with the same flags finds a rate.

--ema evaluates and saves an average of the weights, which jumps less from epoch to epoch;
--patience ends a training that gets no better by --metric. A loss or a gradient that is
no number ends it before the weights are touched, and the first layer that gave one is
named, with the images of the batch.`

// addOptimisation adds the flags of how a training learns, beside those of the recipe.
func addOptimisation(cmd *cobra.Command, c *train.Config) {
	fs := cmd.Flags()
	fs.Float64Var(&c.LabelSmoothing, "label-smoothing", 0, "share of every label that all classes get alike, such as 0.1")
	fs.StringVar(&c.ClassWeights, "class-weights", "", "weights of the classes in the loss: balanced, so that rare classes count as much as frequent ones, or a number for each, such as 1,1,2.5")
	fs.Float64Var(&c.ClipNorm, "clip-norm", 0, "scale gradients down to this norm, all together, where it is larger, such as 1")
	fs.IntVar(&c.Accumulate, "accumulate", 0, "batches whose gradients make one step: their mean, as of one batch so large, in the memory of a small one. Batch norms still see each batch by itself (default: 1)")
	fs.Float64Var(&c.EMA, "ema", 0, "keep an exponential moving average of the weights with this decay, such as 0.999; it is what is evaluated and saved")
	fs.StringVar(&c.Metric, "metric", string(train.Accuracy), "what the best epoch is chosen by: accuracy, loss, macro-f1 or balanced-accuracy, of the test images")
	fs.IntVar(&c.Patience, "patience", 0, "end after this many epochs without a better one (default: never)")
	fs.StringVar(&c.Freeze, "freeze", "", "what is not trained: stem, backbone (all but the last layer), or parts by the beginnings of their parameters' names, such as conv1,bn1,layer1. No time goes into its gradients, and its batch norms work as in evaluation")
	fs.Float64Var(&c.BackboneRate, "backbone-lr-scale", 0, "factor of the learning rate of all but the last layer, such as 0.1 (default: 1)")
	fs.Float64Var(&c.LayerDecay, "layer-decay", 0, "factor of the learning rate for every layer further from the last one, the stem and each block being one, such as 0.8 (default: 1)")
	var metrics []string
	for _, m := range loop.Metrics() {
		metrics = append(metrics, string(m))
	}
	_ = cmd.RegisterFlagCompletionFunc("metric", words(metrics...))
	_ = cmd.RegisterFlagCompletionFunc("freeze", words(train.FreezeStem, train.FreezeBackbone))
	_ = cmd.RegisterFlagCompletionFunc("class-weights", words(train.Balanced))
}

// takeOptimisation gives c what of these flags was given.
func takeOptimisation(c *train.Config, g train.Config, changed func(flag string) bool) error {
	return takeGiven(changed, []setting{
		{"label-smoothing", nil, func() { c.LabelSmoothing = g.LabelSmoothing }},
		{"class-weights", g.ClassWeights, func() { c.ClassWeights = g.ClassWeights }},
		{"clip-norm", g.ClipNorm, func() { c.ClipNorm = g.ClipNorm }},
		{"accumulate", g.Accumulate, func() { c.Accumulate = g.Accumulate }},
		{"ema", nil, func() { c.EMA = g.EMA }},
		{"metric", g.Metric, func() { c.Metric = g.Metric }},
		{"patience", g.Patience, func() { c.Patience = g.Patience }},
		{"freeze", g.Freeze, func() { c.Freeze = g.Freeze }},
		{"backbone-lr-scale", g.BackboneRate, func() { c.BackboneRate = g.BackboneRate }},
		{"layer-decay", g.LayerDecay, func() { c.LayerDecay = g.LayerDecay }},
	})
}

// setting is a flag that a Config takes where it is given.
type setting struct {
	flag string
	some any // its value, which must not be the zero that in a Config is the default; nil: it may be any
	take func()
}

// takeGiven takes the flags that were given.
func takeGiven(changed func(flag string) bool, all []setting) error {
	for _, s := range all {
		if !changed(s.flag) {
			continue
		}
		if s.some != nil {
			switch v := reflect.ValueOf(s.some); {
			case v.CanInt() && v.IsZero(), v.CanFloat() && v.IsZero():
				return usagef("--%s 0: must be above 0; leave the flag out for the default", s.flag)
			case (v.Kind() == reflect.String || v.Kind() == reflect.Slice) && v.Len() == 0:
				return usagef("--%s is empty; give a value, or leave the flag out", s.flag)
			}
		}
		s.take()
	}
	return nil
}

// optimisation is a line about what of it is not the default; "" where nothing is.
func optimisation(c train.Config) string {
	line := ""
	say := func(shown bool, text string) {
		if shown && line != "" {
			line += ", "
		}
		if shown {
			line += text
		}
	}
	say(c.Accumulate > 1, fmt.Sprint("steps of ", c.Accumulate, " batches"))
	say(c.LabelSmoothing > 0, fmt.Sprint("label smoothing ", c.LabelSmoothing))
	say(c.ClassWeights != "", "class weights "+c.ClassWeights)
	say(c.ClipNorm > 0, fmt.Sprint("gradients clipped to ", c.ClipNorm))
	say(c.EMA > 0, fmt.Sprint("weights averaged with decay ", c.EMA))
	say(c.Freeze != "", c.Freeze+" frozen")
	say(c.BackboneRate > 0, fmt.Sprint("rate of all but the last layer times ", c.BackboneRate))
	say(c.LayerDecay > 0, fmt.Sprint("rate times ", c.LayerDecay, " a layer from the last"))
	say(c.Metric != "" && c.Metric != string(train.Accuracy), "the best by "+c.Metric)
	say(c.Patience > 0, fmt.Sprint("ends after ", c.Patience, " epochs without a better one"))
	return line
}

package main

import (
	"fmt"

	"github.com/residual-ml/residual/train"
)

// optimisationHelp is what train says of these flags.
const optimisationHelp = `--freeze and the rates by layer are for starting from --weights: --freeze backbone trains the
last layer alone, which is quick; --backbone-lr-scale 0.1 or --layer-decay 0.8 let what was
learned before move less than what is new. ` + "`residual lr-find`" + ` with the same flags finds a rate.

--ema evaluates and saves an average of the weights, which jumps less from epoch to epoch;
--patience ends a training that gets no better by --metric. A loss or a gradient that is
no number ends it before the weights are touched, and the first layer that gave one is
named, with the images of the batch.`

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
	say(c.Sampler != "", c.Sampler+" sampler")
	say(c.ClipNorm > 0, fmt.Sprint("gradients clipped to ", c.ClipNorm))
	say(c.EMA > 0, fmt.Sprint("weights averaged with decay ", c.EMA))
	say(c.Freeze != "", c.Freeze+" frozen")
	say(c.BackboneRate > 0, fmt.Sprint("rate of all but the last layer times ", c.BackboneRate))
	say(c.LayerDecay > 0, fmt.Sprint("rate times ", c.LayerDecay, " a layer from the last"))
	say(c.Metric != "" && c.Metric != string(train.Accuracy), "the best by "+c.Metric)
	say(c.Patience > 0, fmt.Sprint("ends after ", c.Patience, " epochs without a better one"))
	return line
}

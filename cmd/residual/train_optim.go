package main

import (
	"fmt"

	"github.com/residual-ml/residual/train"
)

// optimisation returns a line about the settings of the optimisation that are not the default;
// "" if there are none.
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
	say(c.Recipe != "", "recipe "+c.Recipe)
	say(c.Accumulate > 1, fmt.Sprint("steps of ", c.Accumulate, " batches"))
	say(c.LabelSmoothing > 0, fmt.Sprint("label smoothing ", c.LabelSmoothing))
	say(c.ClassWeights != "", "class weights "+c.ClassWeights)
	say(c.Sampler != "", c.Sampler+" sampler")
	say(c.ClipNorm > 0, fmt.Sprint("gradients clipped to ", c.ClipNorm))
	say(c.EMA > 0, fmt.Sprint("weights averaged with decay ", c.EMA))
	say(c.Lookahead > 0, fmt.Sprint("lookahead ", c.Lookahead))
	say(c.NormBiasRate > 0, fmt.Sprint("rate of batch norms' biases times ", c.NormBiasRate))
	say(c.Freeze != "", c.Freeze+" frozen")
	say(c.BackboneRate > 0, fmt.Sprint("rate of all but the last layer times ", c.BackboneRate))
	say(c.LayerDecay > 0, fmt.Sprint("rate times ", c.LayerDecay, " a layer from the last"))
	say(c.Metric != "" && c.Metric != string(train.Accuracy), "the best by "+c.Metric)
	say(c.Patience > 0, fmt.Sprint("ends after ", c.Patience, " epochs without a better one"))
	return line
}

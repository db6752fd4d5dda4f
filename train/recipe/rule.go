package recipe

import "math"

// Rule says for how long, and at which rate, a training on a user's own images goes on. It counts
// steps of the optimiser: a small set is gone over as often as a fixed number of steps takes, and
// a large one less often. The rate depends on the batch and the optimiser, and not on the number
// of images. docs/photos.md says on what the numbers were measured.
type Rule struct {
	Batch  int     // images in a batch; no more than there are
	Rate   float64 // learning rate of sgd with momentum 0.9, for a batch of 32
	Steps  int     // the least number of steps
	Passes float64 // over the images, where these are more steps
	Large  int     // number of images from which on the passes become fewer, with its square root
}

// Scratch is the rule of a training from new weights, and Tuned that of one from the weights of a
// file.
func Scratch() Rule { return Rule{Batch: 32, Rate: 0.05, Steps: 600, Passes: 40, Large: 5000} }

// Tuned is described at Scratch.
func Tuned() Rule { return Rule{Batch: 32, Rate: 0.05, Steps: 600, Passes: 24, Large: 5000} }

// ruleBatch is the batch that Rule.Rate is for.
const ruleBatch = 32

// LR returns the learning rate of an optimiser of optim.New for steps of so many images. It is
// proportional to these (Goyal et al., https://arxiv.org/abs/1706.02677, section 2.1), and to their
// square root for adamw, whose steps are normalised (Malladi et al., https://arxiv.org/abs/2205.10287).
func (r Rule) LR(optimizer string, batch int) float32 {
	rate, share := r.Rate, float64(batch)/ruleBatch
	switch optimizer {
	case "adamw":
		rate, share = rate/50, math.Sqrt(share)
	case "lars":
		rate *= 20
	}
	return float32(math.Round(rate*share*1e5) / 1e5)
}

// StepsFor returns the number of steps for so many images in batches of a size.
func (r Rule) StepsFor(images, batch int) int {
	passes := r.Passes
	if images > r.Large {
		passes *= math.Sqrt(float64(r.Large) / float64(images))
	}
	return max(r.Steps, int(math.Ceil(passes*float64(images)/float64(max(batch, 1)))))
}

// epochSteps is the least number of steps in an epoch, at whose end the model is tested and saved.
const epochSteps = 60

// Epochs divides the steps for so many images into epochs. An epoch of a set so small that a pass
// over it has fewer than 60 steps has several passes: repeat is their number. A number of passes
// that is given, above 0, is kept.
func (r Rule) Epochs(images, batch, given int) (epochs, repeat int) {
	images, batch = max(images, 1), max(batch, 1)
	if repeat = given; repeat == 0 {
		repeat = (epochSteps*batch + images - 1) / images
		if (images+batch-1)/batch >= epochSteps {
			repeat = 1
		}
	}
	steps := (repeat*images + batch - 1) / batch
	return max((r.StepsFor(images, batch)+steps/2)/steps, 1), repeat
}

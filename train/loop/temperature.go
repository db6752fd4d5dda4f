package loop

import (
	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/metrics"
	"github.com/residual-ml/residual/task"
	"github.com/residual-ml/residual/tensor"
)

// mostHeld is the largest number of logits that a temperature is fitted to: a single number
// needs no more, and the fit then takes a fraction of a second.
const mostHeld = 1 << 20

// held keeps the logits of images of the test set, or of every few of them.
type held struct {
	of      task.Task
	images  int // of the test set
	width   int // logits of an image
	every   int // of so many images one is kept
	seen    int
	logits  []float32
	labels  []int64
	targets []float32
}

func newHeld(of task.Targets, images int) *held {
	return &held{of: of.Task.Named(), images: images}
}

// add takes the outputs of a batch.
func (h *held) add(b *data.Batch, outputs *tensor.Tensor) {
	if h.of != task.Classes && h.of != task.Labels {
		return
	}
	h.width = outputs.Shape()[1]
	h.every = max(1, (h.images*h.width+mostHeld-1)/mostHeld)
	for i := range b.Indices {
		if h.seen++; h.seen%h.every != 0 {
			continue
		}
		h.logits = append(h.logits, outputs.Data()[i*h.width:(i+1)*h.width]...)
		if h.of == task.Labels {
			h.targets = append(h.targets, b.Targets.Data()[i*h.width:(i+1)*h.width]...)
		} else {
			h.labels = append(h.labels, b.Labels.Ints()[i])
		}
	}
}

// temperature returns the temperatures; nil for a task without probabilities.
func (h *held) temperature() []float64 {
	switch {
	case len(h.logits) == 0:
		return nil
	case h.of == task.Labels:
		return metrics.LabelTemperatures(h.logits, h.targets, h.width)
	}
	return []float64{metrics.ClassTemperature(h.logits, h.width, h.labels)}
}

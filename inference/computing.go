package inference

import (
	"fmt"
	"slices"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/exchange"
	"github.com/residual-ml/residual/internal/field"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/quant"
	"github.com/residual-ml/residual/task"
	"github.com/residual-ml/residual/tensor"
)

// PreferredFor returns the precision that engine.Auto stands for: int8 for a quantised model or graph where
// the device computes it, and otherwise the one that the device prefers for inference.
func PreferredFor(m nn.Module, dev engine.Device) engine.Precision {
	if quantised(m) && dev.Computes(engine.INT8) == nil {
		return engine.INT8
	}
	return dev.Preferred(engine.Inference)
}

// quantised reports whether layers of m compute with integers.
func quantised(m nn.Module) bool {
	graph, ok := m.(*exchange.Network)
	_, scheme := quant.Unwrap(m)
	return scheme != nil || ok && graph.Quantised()
}

// Device returns the device that computes the model.
func (c *Classifier) Device() engine.Device { return c.store.Device() }

// Precision returns the precision in which the model is computed.
func (c *Classifier) Precision() engine.Precision { return c.precision }

// ImageShape returns the shape [1, C, H, W] of an image that the network takes. For a model that
// takes images of any size it is a usual one.
func (c *Classifier) ImageShape() tensor.Shape { return c.oneImage() }

// Computing returns a classifier that computes m in precision p, on memory of its own, and
// otherwise is like c. m may have the same variables as c's network.
func (c *Classifier) Computing(m nn.Module, p engine.Precision) *Classifier {
	with := newClassifier(c.path, c.info, m, engine.NewStore(c.store.Device()), p, nil)
	with.like(c)
	return with
}

// TakesData returns an error if the model cannot be evaluated on a data set, such as one with
// another number of channels or classes.
func (c *Classifier) TakesData(info data.Info) error {
	if info.Channels != c.info.Channels {
		return fmt.Errorf("%s takes %d channels and the images of %s have %d; use the data set it was trained on (%s)",
			c.path, c.info.Channels, info.Name, info.Channels, c.info.Dataset)
	}
	is, want := info.Targets.Task.Named(), c.info.Task.Named()
	if is != want {
		return fmt.Errorf("%s answers with %s, and %s has %s; use the data set it was trained on (%s)", c.path, want, info.Name, is, c.info.Dataset)
	}
	if want != task.Classes && !slices.Equal(info.Targets.Names, c.info.Names()) {
		return fmt.Errorf("%s answers with the %s %q, and %s has %q; use the data set it was trained on (%s)", c.path, want, c.info.Names(), info.Name, info.Targets.Names, c.info.Dataset)
	}
	if want == task.Classes && len(info.Classes) != len(c.info.Classes) {
		return fmt.Errorf("%s knows %d classes and %s has %d; use the data set it was trained on (%s)",
			c.path, len(c.info.Classes), info.Name, len(info.Classes), c.info.Dataset)
	}
	return nil
}

// Viewing returns a classifier that answers by the mean of the outputs for views of every image:
// of the logits of classes and labels, and of values. It shares c's memory, and closes with it.
// Logits, GradCAM and embeddings stay those of the image alone.
//
// A model whose training is known to have mirrored no image does not take Flip: a mirrored image
// may mean something else to it.
func (c *Classifier) Viewing(v Views) (*Classifier, error) {
	if v != "" && !slices.Contains(AllViews(), v) {
		return nil, field.Errorf("{Views} %s is not known; choose one of %v", v, AllViews())
	}
	if v != "" && c.info.Task.Named() == task.Masks {
		return nil, fmt.Errorf("%s answers with masks, and those of several views have different places", c.path)
	}
	if v == Flip && !c.mirrored() {
		return nil, field.Errorf("{Views} flip: the training of %s mirrored no image (its augmentation is %s), so a mirrored image may mean something else; choose crops, or train with the augmentation flip", c.path, c.info.Augment)
	}
	d := c.derived()
	d.views = v
	return d, nil
}

// Calibrated returns a classifier whose probabilities are as sure as they were right on images
// that the training held out: it divides the logits by the Temperature in the model's file. That
// never changes which class is the likeliest, and no label crosses the probability 1/2. It shares
// c's memory, and closes with it. A file without a temperature is an error.
func (c *Classifier) Calibrated() (*Classifier, error) {
	switch of := c.info.Task.Named(); {
	case of != task.Classes && of != task.Labels:
		return nil, fmt.Errorf("%s answers with %s, which have no probabilities to calibrate", c.path, of)
	case len(c.info.Temperature) == 0:
		return nil, fmt.Errorf("%s has no temperature, since its training held out no image or was of another version or program; train with images to test on", c.path)
	}
	d := c.derived()
	d.temperature = c.info.Temperature
	return d, nil
}

// derived returns a copy of c that shares its memory.
func (c *Classifier) derived() *Classifier {
	d := newClassifier(c.path, c.info, c.module, c.store, c.precision, c)
	d.like(c)
	d.runner = c.runner
	return d
}

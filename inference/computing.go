package inference

import (
	"fmt"
	"slices"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/exchange"
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
	with.Decoding, with.Memory = c.Decoding, c.Memory
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

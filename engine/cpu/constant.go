package cpu

import (
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/graph"
)

// whenChanged returns a function that calls f only if variables have changed since its last
// call. f may read nothing else, and nothing else may write what f writes.
func (b *binder) whenChanged(f func()) func() {
	done, version := false, uint64(0)
	return func() {
		if !done || version != *b.Version {
			f()
			done, version = true, *b.Version
		}
	}
}

// ofVariables reports whether a value is the same in all runs until variables change: in a
// program without updates, a variable, or the running statistics of a batch norm, which are
// two variables one after the other. So is a missing value.
func (b *binder) ofVariables(v *engine.Value) bool {
	if v == nil || b.Static && v.Place == engine.Persistent {
		return true
	}
	for _, s := range b.Steps {
		if c, ok := s.(*engine.Compute); ok && c.Out == v {
			return b.isStatistics(c)
		}
	}
	return false
}

// isStatistics reports whether a step puts two variables after each other.
func (b *binder) isStatistics(c *engine.Compute) bool {
	if _, ok := c.Op.(graph.Stack); !ok || !b.Static {
		return false
	}
	for _, v := range c.In {
		if v.Place != engine.Persistent {
			return false
		}
	}
	return true
}

// onlyNorms reports whether all that read a value are convolutions that fold a batch norm
// with these statistics, and read them only when variables have changed.
func (b *binder) onlyNorms(v *engine.Value) bool {
	for _, s := range b.Steps {
		for _, r := range s.Reads() {
			if c, ok := s.(*engine.Conv); r == v && !(ok && c.Norm != nil && c.Norm.Stats == v && b.folds(c)) {
				return false
			}
		}
	}
	return !v.Keep
}

// folds reports whether the scale and shift of a convolution's batch norm are computed only
// when variables have changed.
func (b *binder) folds(c *engine.Conv) bool {
	return b.ofVariables(c.Norm.Stats) && b.ofVariables(c.Norm.Gamma) && b.ofVariables(c.Norm.Beta) && b.ofVariables(c.Bias)
}

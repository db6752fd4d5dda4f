package inference

import (
	"reflect"
	"slices"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/tensor"
)

// TakeTurns makes c compute only in its turns of t, which other classifiers share. Call it before
// the first call; classifiers that c makes, such as by Calibrated, take turns of t, too.
func (c *Classifier) TakeTurns(t *Turns) { c.turns, c.queue.turns = t, t }

// Sharing returns a classifier that reads images and answers as c does, and computes with the network of
// with, in its memory. The two networks must be the same: see SameNetwork. It closes with the other
// classifier, and does not need c's network any more; c may be closed.
func (c *Classifier) Sharing(with *Classifier) *Classifier {
	d := newClassifier(c.path, c.info, with.module, with.store, with.precision, with)
	d.like(c)
	d.runner = with.runner
	return d
}

// SameNetwork reports whether two classifiers compute the same outputs for an image that was
// prepared: the same operations with equal weights, for the same task, in one precision and on one
// device. How they prepare images and what they call classes may differ.
func (c *Classifier) SameNetwork(d *Classifier) bool {
	if c.precision != d.precision || c.store.Device() != d.store.Device() || c.info.Task.Named() != d.info.Task.Named() ||
		!slices.Equal(c.info.TargetShape, d.info.TargetShape) || c.info.Channels != d.info.Channels {
		return false
	}
	size := c.oneImage()
	a, b := traced(c, size), traced(d, size)
	return a != nil && b != nil && slices.EqualFunc(a.Nodes, b.Nodes, sameNode)
}

// traced returns the graph of a network for an image, or nil if it does not take one of that size.
func traced(c *Classifier, size tensor.Shape) *graph.Graph {
	g := graph.New(graph.Eval)
	if _, err := engine.Trace(c.module.Forward, g.Input("images", tensor.Float32, size...)); err != nil {
		return nil
	}
	return g
}

// sameNode reports whether two nodes at one place of two graphs compute the same.
func sameNode(a, b *graph.Node) bool {
	if a.ID != b.ID || !a.Shape.Equal(b.Shape) || !slices.EqualFunc(a.Inputs, b.Inputs, func(x, y *graph.Node) bool { return x.ID == y.ID }) {
		return false
	}
	p, isLeaf := a.Op.(*graph.Leaf)
	q, isToo := b.Op.(*graph.Leaf)
	if isLeaf != isToo || !isLeaf {
		return isLeaf == isToo && reflect.DeepEqual(a.Op, b.Op)
	}
	x, y := p.Variable.Value, q.Variable.Value
	return x == y || x.Shape().Equal(y.Shape()) && x.DType() == y.DType() && x.DType() == tensor.Float32 && slices.Equal(x.Data(), y.Data())
}

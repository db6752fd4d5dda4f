package exchange

import (
	"fmt"
	"math"
	"slices"

	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/quant"
)

// unheldNote names the layers whose weights are integers in the graph and that the recognised model
// computes in floating point. It returns nil if there are none.
func (n *Network) unheldNote(m nn.Module) []string {
	_, scheme := quant.Unwrap(m)
	if scheme == nil || len(scheme.Layers) >= len(n.quantised) {
		return nil
	}
	return []string{fmt.Sprintf("of the graph's %d quantised layers %d compute with integers; the others have signed inputs, such as images, and compute in floating point",
		len(n.quantised), len(scheme.Layers))}
}

// reading is an input of a node.
type reading struct {
	node  *graph.Node
	input int
}

// unquantised returns the value that n rounds, or n itself.
func unquantised(n *graph.Node) *graph.Node {
	if _, ok := n.Op.(graph.FakeQuantize); ok {
		return n.Inputs[0]
	}
	return n
}

// unrounded returns the node of the model that computes what b rounds with op: a, or, if a is a ReLU
// that the rounding does as well since 0 is its least number, a's input. It returns nil if neither does.
func (m *matcher) unrounded(a, b *graph.Node, op graph.FakeQuantize) *graph.Node {
	if m.same(a, b.Inputs[0]) {
		return a
	}
	if _, ok := a.Op.(graph.ReLU); ok && op.Low == op.Zero && m.same(a.Inputs[0], b.Inputs[0]) {
		return a.Inputs[0]
	}
	return nil
}

// noteRounding records how the inputs of a are rounded, where in are the network's inputs in a's order.
func (m *matcher) noteRounding(a *graph.Node, in []*graph.Node) {
	for i, n := range in {
		if op, ok := rounding(n); ok {
			m.rounded[reading{a, i}] = op
		}
	}
}

// rounding returns the operation that has rounded the elements of n, also before they were moved.
func rounding(n *graph.Node) (op graph.FakeQuantize, ok bool) {
	for {
		switch o := n.Op.(type) {
		case graph.FakeQuantize:
			return o, true
		case graph.Reshape, graph.MaxPool2d:
			n = n.Inputs[0]
		default:
			return op, false
		}
	}
}

// quantised returns the model, whose output is out, with the quantisation of the network, or the
// model itself if the network has no quantised layers. It returns nil if it has some and a scheme can
// hold none of them.
func (m *matcher) quantised(model nn.Module, out *graph.Node) nn.Module {
	if !m.roundsWeights() {
		return model
	}
	s := &quant.Scheme{Layers: map[string]quant.Layer{}}
	terms := map[*graph.Node]graph.FakeQuantize{} // how sums round the outputs of layers
	for at, op := range m.rounded {
		if _, ok := at.node.Op.(graph.Add); ok {
			terms[at.node.Inputs[at.input]] = op
		}
	}
	for _, c := range quant.Layers(model, out) {
		weight, ok := m.rounded[reading{c.Node, 1}]
		input, isRounded := m.rounded[reading{c.Node, 0}]
		scales, symmetric := weightScales(weight, c.Weight.Value.Shape()[0])
		grid, fits := gridOf(input)
		if signed := input.Low < 0 && input.Zero == 0; signed { // the input is not negative
			grid.Zero = 0
		}
		if !ok || !isRounded || !symmetric || !fits || grid.Zero != 0 {
			continue
		}
		l := quant.Layer{Weight: scales, Input: grid}
		for n, op := range terms {
			if output, ok := gridOf(op); ok && (n == c.Node || isNormOf(n, c.Node)) {
				l.Output = &output
			}
		}
		s.Layers[c.Name] = l
	}
	if len(s.Layers) == 0 {
		return nil
	}
	return &quant.Net{Module: model, Scheme: s}
}

// roundsWeights reports whether the weight of any layer is rounded.
func (m *matcher) roundsWeights() bool {
	for at := range m.rounded {
		if _, ok := at.node.Inputs[at.input].Op.(*graph.Leaf); ok {
			return true
		}
	}
	return false
}

// isNormOf reports whether n is the batch norm of a layer.
func isNormOf(n, layer *graph.Node) bool {
	_, ok := n.Op.(graph.BatchNorm)
	return ok && n.Inputs[0] == layer
}

// gridOf returns the grid of an activation that is rounded to integers of 8 bits. Signed integers
// become unsigned ones, with a zero point that is 128 more.
func gridOf(op graph.FakeQuantize) (g quant.Grid, ok bool) {
	if len(op.Scale) != 1 || op.High-op.Low != math.MaxUint8 {
		return g, false
	}
	return quant.Grid{Scale: op.Scale[0], Zero: op.Zero - op.Low}, true
}

// weightScales returns the scale of each output channel of a weight that is rounded to symmetric
// integers of 8 bits.
func weightScales(op graph.FakeQuantize, channels int) (scales []float32, ok bool) {
	if op.Zero != 0 || op.Low != -math.MaxInt8 || op.High != math.MaxInt8 {
		return nil, false
	}
	if len(op.Scale) == 1 {
		return slices.Repeat(op.Scale, channels), true
	}
	return op.Scale, op.Axis == 0 && len(op.Scale) == channels
}

package ptq

import (
	"errors"
	"fmt"

	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/quant"
)

// layersOf lists the convolutions and linear layers of a traced net in their order, and says which
// can be quantised: all but the first, the last, those whose input may be negative, and those
// that devices compute in floating point anyway.
func layersOf(m nn.Module, out *graph.Node) ([]layer, error) {
	can := map[*graph.Node]quant.Candidate{}
	for _, c := range quant.Layers(m, out) {
		can[c.Node] = c
	}
	nn.Named(m)
	var layers []layer
	convolutions := 0
	for _, n := range out.Graph.Nodes[:out.ID+1] {
		switch n.Op.(type) {
		case graph.Conv2d:
			convolutions++
		case graph.Linear:
		default:
			continue
		}
		leaf, ok := n.Inputs[1].Op.(*graph.Leaf)
		if !ok {
			continue
		}
		l := layer{candidate: quant.Candidate{Name: leaf.Variable.Name, Weight: leaf.Variable, Node: n}}
		if c, ok := can[n]; ok {
			l.candidate, l.can = c, true
			l.why = inFloat(n)
		} else {
			l.why = "its input may be negative"
		}
		layers = append(layers, l)
	}
	if convolutions == 0 {
		return nil, errors.New("the model has no convolutions, and quantisation is for convolutional nets")
	}
	layers[0].why = "the first layer"
	layers[len(layers)-1].why = "the last layer"
	for _, l := range layers {
		if l.why == "" {
			return layers, nil
		}
	}
	return nil, errors.New("the model has no layer to quantise: the first and the last stay in floating point, and the others have inputs that may be negative, as those behind another activation than ReLU")
}

// inFloat says why a layer would not be computed with integers even if it were quantised, or
// nothing if it would.
func inFloat(n *graph.Node) string {
	if c, ok := n.Op.(graph.Conv2d); ok && c.Groups > 1 {
		return "its channels are in groups"
	}
	if channels := n.Inputs[1].Shape[1]; channels%4 != 0 {
		return fmt.Sprintf("its %d input channels are no multiple of 4", channels)
	}
	return ""
}

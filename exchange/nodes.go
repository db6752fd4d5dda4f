package exchange

import (
	"fmt"
	"slices"

	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/tensor"
)

// node writes the ONNX node, or nodes, of one node of a trace.
func (e *exporter) node(n *graph.Node) error {
	for _, write := range []func(*exporter, *graph.Node) (bool, error){
		(*exporter).writeLeaf, (*exporter).writeLayer, (*exporter).writeElementwise, (*exporter).writeMove, (*exporter).writeQuantised,
	} {
		known, err := write(e, n)
		if err != nil {
			return err
		}
		if known {
			e.round(n)
			return nil
		}
	}
	if _, own := n.Op.(graph.Computer); own {
		return fmt.Errorf("it is an operation of your own, which ONNX cannot express; build it from operations of package graph")
	}
	return fmt.Errorf("the operation has no counterpart in ONNX that Export writes")
}

// writeLeaf writes weights and constants.
func (e *exporter) writeLeaf(n *graph.Node) (known bool, err error) {
	switch op := n.Op.(type) {
	case *graph.Leaf:
		name := op.Variable.Name
		if name == "" {
			name = e.unique(fmt.Sprintf("parameter_%d", n.ID))
		}
		e.names[n] = e.initialiser(name, op.Variable.Value)
	case *graph.Constant:
		e.broadcasts[n] = pendingBroadcast{"", tensor.Shape(slices.Repeat([]int{1}, len(op.Size)))} // operands or value will write it
	case *graph.Input:
		return true, fmt.Errorf("the network takes %q besides its images, but an exported graph takes only images", op.Label)
	default:
		return false, nil
	}
	return true, nil
}

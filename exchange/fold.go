package exchange

import (
	"math"

	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/tensor"
)

// foldable reports whether a batch norm has running statistics and follows a layer whose
// output and weights no other node uses.
func (e *exporter) foldable(bn *graph.Node) bool {
	layer := bn.Inputs[0]
	switch layer.Op.(type) {
	case graph.Conv2d, graph.Linear:
	default:
		return false
	}
	if e.uses[layer] != 1 || layer == e.out {
		return false
	}
	stats := bn.Inputs[1]
	if _, ok := stats.Op.(graph.Stack); !ok || e.uses[stats] != 1 {
		return false
	}
	weights := append(append([]*graph.Node{}, stats.Inputs...), bn.Inputs[2:]...)
	for _, n := range append(weights, layer.Inputs[1:]...) {
		if _, ok := constantValues(unquantised(n)); !ok || e.uses[n] != 1 || e.uses[unquantised(n)] != 1 {
			return false
		}
	}
	return true
}

// constantValues returns the elements of a variable or a constant. ok is false for other nodes.
func constantValues(n *graph.Node) ([]float32, bool) {
	switch op := n.Op.(type) {
	case *graph.Leaf:
		return op.Variable.Value.Data(), op.Variable.Value.DType() == tensor.Float32
	case *graph.Constant:
		return tensor.New(op.Size...).Fill(float32(op.Value)).Data(), true
	}
	return nil, false
}

// fold merges a batch norm into the layer before it and returns the layer's new weight and
// bias, computed in float64:
//
//	w'[o,...] = w[o,...]·gamma[o]/√(var[o]+eps)    b'[o] = (b[o]-mean[o])·gamma[o]/√(var[o]+eps) + beta[o]
func fold(layer, bn *graph.Node) (weight, bias *tensor.Tensor) {
	numbers := func(n *graph.Node) []float32 { v, _ := constantValues(n); return v }
	mean, variance := numbers(bn.Inputs[1].Inputs[0]), numbers(bn.Inputs[1].Inputs[1])
	gamma, beta := numbers(bn.Inputs[2]), numbers(bn.Inputs[3])
	w := numbers(layer.Inputs[1])
	weight, bias = tensor.New(layer.Inputs[1].Shape...), tensor.New(len(mean))
	row := len(w) / len(mean)
	for o := range mean {
		factor := float64(gamma[o]) / math.Sqrt(float64(variance[o])+bn.Op.(graph.BatchNorm).Eps)
		b := 0.0
		if len(layer.Inputs) == 3 {
			b = float64(numbers(layer.Inputs[2])[o])
		}
		bias.Data()[o] = float32((b-float64(mean[o]))*factor + float64(beta[o]))
		for i := o * row; i < (o+1)*row; i++ {
			weight.Data()[i] = float32(float64(w[i]) * factor)
		}
	}
	return weight, bias
}

package graph

import "github.com/residual-ml/residual/tensor"

// Reference computes nodes in float64 with the reference loops of the operations, in row-major
// order. feeds holds the values of the inputs, with labels as float64. It may also override the
// value of any other node, for example for finite differences.
func Reference(outputs []*Node, feeds map[*Node][]float64) [][]float64 {
	values := map[*Node][]float64{}
	for n, v := range feeds {
		if len(v) != n.Shape.Numel() {
			panic(tensor.Misusef("graph.Reference: wrong number of values for %v", n))
		}
		values[n] = v
	}
	var eval func(n *Node) []float64
	eval = func(n *Node) []float64 {
		if v, ok := values[n]; ok {
			return v
		}
		in := make([][]float64, len(n.Inputs))
		for i, m := range n.Inputs {
			in[i] = eval(m)
		}
		out := make([]float64, n.Shape.Numel())
		n.Op.Reference(n, out, in)
		values[n] = out
		return out
	}
	res := make([][]float64, len(outputs))
	for i, n := range outputs {
		res[i] = eval(n)
	}
	return res
}

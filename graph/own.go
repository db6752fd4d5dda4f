package graph

// Computer is an operation of a user's own: an Op that also computes itself in float32, which
// is all that the CPU needs to run it. Other devices report that they have no kernel for it.
//
// Its Gradient may be made of other operations, or be another Computer. Reference may be one
// line that calls ReferenceByCompute.
type Computer interface {
	Op
	// Compute computes n from the values of its inputs, in row-major order; labels and
	// indices are float32, too. out holds zeros at first. n has the operation and the shapes
	// of the output and inputs, but does not belong to a graph. Compute must not keep the
	// slices, and may use several goroutines as long as it waits for them.
	Compute(n *Node, out []float32, in [][]float32)
}

// ReferenceByCompute is a Reference for a Computer that calls its Compute, with the precision
// of float32.
func ReferenceByCompute(o Computer, n *Node, out []float64, in [][]float64) {
	inputs, y := make([][]float32, len(in)), make([]float32, len(out))
	for i, x := range in {
		inputs[i] = make([]float32, len(x))
		for k, v := range x {
			inputs[i][k] = float32(v)
		}
	}
	o.Compute(n, y, inputs)
	for i, v := range y {
		out[i] = float64(v)
	}
}

package graph

// MACs returns the multiply-adds of a Conv2d, Linear or MatMul node for its whole batch, and 0 for all
// other nodes. As in fvcore and torchvision, biases do not count, and taps in the padding count
// like all others.
func MACs(n *Node) int64 {
	switch n.Op.(type) {
	case Conv2d, Linear:
		// every output element is a dot product with one row of the weight
		w := n.Inputs[1].Shape
		return int64(n.Shape.Numel()) * int64(w[1:].Numel())
	case MatMul:
		a := n.Inputs[0].Shape
		return int64(n.Shape.Numel()) * int64(a[len(a)-1])
	}
	return 0
}

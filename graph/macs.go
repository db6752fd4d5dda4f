package graph

// MACs returns the multiply-adds of a Conv2d or Linear node over its whole batch,
// biases and padding counted as fvcore and torchvision do: biases not at all, taps
// in the padding as any other. All other nodes count 0.
func MACs(n *Node) int64 {
	switch n.Op.(type) {
	case Conv2d, Linear:
		// every output element is a dot product with one row of the weight
		w := n.Inputs[1].Shape
		return int64(n.Shape.Numel()) * int64(w[1:].Numel())
	}
	return 0
}

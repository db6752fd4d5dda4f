package graph

import (
	"slices"

	"github.com/residual-ml/residual/tensor"
)

// Gradients builds, into loss's graph, the gradient of the scalar loss with
// respect to every node of wrt, by reverse accumulation. A node that loss does
// not depend on gets a constant zero.
func Gradients(loss *Node, wrt []*Node) []*Node {
	out := ReachedGradients(loss, wrt)
	for i, n := range wrt {
		if out[i] == nil {
			out[i] = loss.Graph.Constant(0, n.Shape...)
		}
	}
	return out
}

// ReachedGradients is like Gradients, but a node that loss does not depend on, or only through
// Detach, gets nil. An optimiser leaves such a parameter alone.
func ReachedGradients(loss *Node, wrt []*Node) []*Node {
	if loss.Shape.Numel() != 1 {
		panic(tensor.Misusef("graph.Gradients: %v is not a scalar", loss))
	}
	g := loss.Graph
	needed := reaching(loss, wrt)
	grads := make(map[*Node]*Node, loss.ID)
	grads[loss] = g.Constant(1, loss.Shape...)
	for id := loss.ID; id >= 0; id-- {
		n := g.Nodes[id]
		dy := grads[n]
		if dy == nil || !slices.ContainsFunc(n.Inputs, func(in *Node) bool { return needed[in] }) {
			continue
		}
		for i, d := range inputGradients(n, dy, needed) {
			if d == nil {
				continue
			}
			in := n.Inputs[i]
			if old := grads[in]; old != nil {
				d = old.Add(d)
			}
			grads[in] = d
		}
	}
	out := make([]*Node, len(wrt))
	for i, n := range wrt {
		out[i] = grads[n]
	}
	return out
}

// inputGradients applies the gradient rule of n and checks the shapes. It removes the nodes
// that the rule made for inputs whose gradient is not needed, such as the images of a network's
// first convolution.
func inputGradients(n, dy *Node, needed map[*Node]bool) []*Node {
	g := n.Graph
	first := len(g.Nodes)
	grads := n.Op.Gradient(n, dy)
	used := map[*Node]bool{}
	for i, d := range grads {
		in := n.Inputs[i]
		if d == nil || !needed[in] {
			grads[i] = nil
			continue
		}
		if !d.Shape.Equal(in.Shape) {
			panic(tensor.Misusef("graph: %v gave its input %v a gradient of shape %v", n, in, d.Shape))
		}
		used[d] = true
	}
	made := g.Nodes[first:]
	for _, m := range slices.Backward(made) {
		if used[m] {
			for _, in := range m.Inputs {
				used[in] = true
			}
		}
	}
	g.Nodes = append(g.Nodes[:first], slices.DeleteFunc(made, func(m *Node) bool { return !used[m] })...)
	for i, m := range g.Nodes[first:] {
		m.ID = first + i
	}
	return grads
}

// reaching returns the nodes on a path from one of wrt to loss.
func reaching(loss *Node, wrt []*Node) map[*Node]bool {
	marked := map[*Node]bool{}
	for _, n := range wrt {
		marked[n] = true
	}
	for _, n := range loss.Graph.Nodes[:loss.ID+1] {
		for _, in := range n.Inputs {
			if marked[in] {
				marked[n] = true
			}
		}
	}
	return marked
}

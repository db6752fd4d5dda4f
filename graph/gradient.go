package graph

import "fmt"

// Gradients builds, into loss's graph, the gradient of the scalar loss with
// respect to every node of wrt, by reverse accumulation. A node that loss does
// not depend on gets a constant zero.
func Gradients(loss *Node, wrt []*Node) []*Node {
	if loss.Shape.Numel() != 1 {
		panic(fmt.Sprintf("graph.Gradients: %v is not a scalar", loss))
	}
	g := loss.Graph
	needed := reaching(loss, wrt)
	grads := make(map[*Node]*Node, loss.ID)
	grads[loss] = g.Constant(1, loss.Shape...)
	for id := loss.ID; id >= 0; id-- {
		n := g.Nodes[id]
		dy := grads[n]
		if dy == nil || !needed[n] {
			continue
		}
		for i, d := range n.Op.Gradient(n, dy) {
			in := n.Inputs[i]
			if d == nil || !needed[in] {
				continue
			}
			if !d.Shape.Equal(in.Shape) {
				panic(fmt.Sprintf("graph: %v gave its input %v a gradient of shape %v", n, in, d.Shape))
			}
			if old := grads[in]; old != nil {
				d = old.Plus(d)
			}
			grads[in] = d
		}
	}
	out := make([]*Node, len(wrt))
	for i, n := range wrt {
		if out[i] = grads[n]; out[i] == nil {
			out[i] = g.Constant(0, n.Shape...)
		}
	}
	return out
}

// reaching marks the nodes up to loss that lie on a path from one of wrt.
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

// noSecond ends a gradient through op, which is itself a gradient.
func noSecond(op Op) []*Node {
	panic(op.Name() + ": second derivatives are not supported")
}

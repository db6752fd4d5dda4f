package main

import (
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/internal/host"
)

// leastBytes is memory that a program of g cannot do without: in training every
// result of a convolution, which its gradient wants again; in inference, and where
// it is computed again, the largest value. Doing with it is no promise, doing without it is impossible.
func leastBytes(g *graph.Graph, keeps bool, p engine.Precision) int64 {
	var kept, largest int64
	for _, n := range g.Nodes {
		bytes := int64(4)
		if p == engine.BF16 && len(n.Shape) > 2 {
			bytes = 2
		}
		for _, size := range n.Shape {
			bytes *= int64(size)
		}
		largest = max(largest, bytes)
		if graph.MACs(n) > 0 {
			kept += bytes
		}
	}
	if keeps {
		return max(kept, largest)
	}
	return largest
}

// room says whether this process can take so much memory, where the system tells.
func room(bytes int64) error { return host.ReadMemory().Fits(bytes) }

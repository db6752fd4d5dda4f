package conformance

import (
	"testing"

	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/internal/rng"
)

// readTwice checks values that several steps read, or one step twice. Fusing steps and
// working in place must leave such a value to all of its readers.
func readTwice(t *testing.T, check Check) {
	r := rng.PCG(27, 28)
	for _, s := range []struct{ n, c, h, w int }{{2, 5, 6, 7}, {8, 16, 5, 6}} {
		// The gradient of conv(x) + x is the sum of the output's gradient and a convolution
		// of it, which reads that gradient at other places while the result is written.
		g := graph.New(graph.Train)
		in, feeds := randomInputs(g, r)
		x, weight := in("x", s.n, s.c, s.h, s.w), in("weight", s.c, s.c, 3, 3)
		c := graph.Conv2d{StrideH: 1, StrideW: 1, PadH: 1, PadW: 1, DilationH: 1, DilationW: 1, Groups: 1}
		inner := g.Apply(graph.Sigmoid{}, x)
		loss := Weighted(g, g.Apply(graph.Sigmoid{}, g.Apply(c, inner, weight).Add(inner)), feeds, r)
		check(t, Case{Graph: g, Feeds: feeds, Outputs: append([]*graph.Node{loss}, graph.Gradients(loss, []*graph.Node{x})...), Tolerance: 2e-6})

		// The sum of a batch norm and a shortcut is read by ReLU and by another step.
		for choice := range 3 {
			g := graph.New(graph.Train)
			in, feeds := randomInputs(g, r)
			x, gamma, beta, shortcut := in("x", s.n, s.c, s.h, s.w), in("gamma", s.c), in("beta", s.c), in("shortcut", s.n, s.c, s.h, s.w)
			norm := g.Apply(graph.BatchNorm{Eps: 1e-2}, x, g.Apply(graph.BatchNormStats{}, x), gamma, beta)
			sum := norm.Add(shortcut)
			outputs := [][]*graph.Node{
				{g.Apply(graph.ReLU{}, sum), g.Apply(graph.Sigmoid{}, sum)},
				{g.Apply(graph.ReLU{}, sum), sum},
				{g.Apply(graph.ReLU{}, sum), norm, g.Apply(graph.ReLU{}, norm)},
			}[choice]
			check(t, Case{Graph: g, Feeds: feeds, Outputs: outputs, Tolerance: 2e-6, Flips: 0.1})
		}
	}
}

package cpu

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/conformance"
	"github.com/residual-ml/residual/engine/cpu/kernel"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/tensor"
)

// inferenceGraph has two 3x3 convolutions and all that can be fused with them in a program
// without updates: bias, batch norm, residual and ReLU.
func inferenceGraph(r *rand.Rand, n, cin, cout, h, w, pad int) (*graph.Graph, map[*graph.Node]*tensor.Tensor, []*graph.Node) {
	g := graph.New(graph.Eval)
	feeds := map[*graph.Node]*tensor.Tensor{}
	in := func(name string, shape ...int) *graph.Node {
		node := g.Input(name, tensor.Float32, shape...)
		feeds[node] = conformance.Random(r, shape...)
		return node
	}
	op := graph.Conv2d{StrideH: 1, StrideW: 1, PadH: pad, PadW: pad, DilationH: 1, DilationW: 1, Groups: 1}
	same := graph.Conv2d{StrideH: 1, StrideW: 1, PadH: 1, PadW: 1, DilationH: 1, DilationW: 1, Groups: 1}
	bias := in("bias", cout)
	y := g.Apply(graph.ReLU{}, g.Apply(op, in("x", n, cin, h, w), in("k", cout, cin, 3, 3), bias))
	fixed := g.Apply(graph.Stack{}, in("mean", cout), g.Apply(graph.Mul{}, bias, bias))
	z := g.Apply(same, y, in("k2", cout, cout, 3, 3))
	z = g.Apply(graph.BatchNorm{Eps: 0.1, Frozen: true}, z, fixed, in("gamma", cout), in("beta", cout))
	return g, feeds, []*graph.Node{g.Apply(graph.ReLU{}, z.Add(y))}
}

// TestWinogradInt16 checks layers by every tiling against the reference: on every
// instruction set the same bits, with any number of threads.
func TestWinogradInt16(t *testing.T) {
	r := rand.New(rand.NewPCG(17, 18))
	shapes := [][6]int{ // n, cin, cout, h, w, pad
		{1, 1, 1, 3, 3, 1}, {2, 3, 5, 7, 4, 0}, {3, 17, 33, 6, 6, 1}, {5, 20, 8, 5, 9, 2}, {33, 16, 16, 3, 3, 1}, {35, 6, 7, 9, 2, 1}, {1, 32, 40, 13, 11, 1},
		{2, 150, 48, 6, 6, 1}, {1, 131, 32, 7, 5, 1}, {1, 16, 16, 13, 9, 1}, {64, 16, 32, 9, 8, 1},
	}
	for i := range tilings {
		for _, s := range shapes {
			t.Run(fmt.Sprintf("F(%d,3)/%v", tilings[i].m, s), func(t *testing.T) {
				g, feeds, outputs := inferenceGraph(r, s[0], s[1], s[2], s[3], s[4], s[5])
				values := map[*graph.Node][]float64{}
				for n, v := range feeds {
					values[n] = conformance.Wide(v)
				}
				want := graph.Reference(outputs, values)
				var first [][]float32
				for _, isa := range kernel.Available() {
					for threads := 1; threads <= 3; threads++ {
						got := evaluateIn(t, engine.BF16, &tilings[i], g, feeds, outputs, Options{Threads: threads, ISA: &isa})
						name := fmt.Sprintf("%v, %d threads", isa, threads)
						conformance.Compare(t, name, got[0], want[0], conformance.BF16Tolerance, 0)
						if first != nil && !conformance.SameBits(first[0], got[0]) {
							t.Errorf("%s: other bits", name)
						}
						if first == nil {
							first = got
						}
					}
				}
			})
		}
	}
}

// gradientGraph has two 3x3 convolutions, the statistics of the first, and the gradients of
// their operands; a shortcut past the second adds to the gradient between them.
func gradientGraph(r *rand.Rand, n, cin, cout, h, w, pad int) (*graph.Graph, map[*graph.Node]*tensor.Tensor, []*graph.Node) {
	g := graph.New(graph.Train)
	feeds := map[*graph.Node]*tensor.Tensor{}
	var inputs []*graph.Node
	in := func(name string, shape ...int) *graph.Node {
		node := g.Input(name, tensor.Float32, shape...)
		feeds[node] = conformance.Random(r, shape...)
		inputs = append(inputs, node)
		return node
	}
	op := graph.Conv2d{StrideH: 1, StrideW: 1, PadH: pad, PadW: pad, DilationH: 1, DilationW: 1, Groups: 1}
	same := graph.Conv2d{StrideH: 1, StrideW: 1, PadH: 1, PadW: 1, DilationH: 1, DilationW: 1, Groups: 1}
	y := g.Apply(op, in("x", n, cin, h, w), in("k", cout, cin, 3, 3), in("bias", cout))
	z := g.Apply(same, y, in("k2", cout, cout, 3, 3)).Add(y)
	loss := conformance.Weighted(g, z, feeds, r)
	return g, feeds, append([]*graph.Node{g.Apply(graph.BatchNormStats{}, y)}, graph.Gradients(loss, inputs)...)
}

// TestGradientsInt16 checks convolutions with statistics and their gradients by every tiling,
// a gradient to be added included, against the reference. Any number of threads gives the
// same bits, and so do AVX2 and AVX-512.
func TestGradientsInt16(t *testing.T) {
	r := rand.New(rand.NewPCG(19, 20))
	for i := range tilings {
		for _, s := range [][6]int{{1, 1, 1, 3, 3, 1}, {3, 17, 33, 6, 6, 1}, {5, 20, 8, 5, 9, 2}, {9, 16, 16, 7, 5, 1}, {2, 150, 48, 6, 6, 0}} {
			g, feeds, outputs := gradientGraph(r, s[0], s[1], s[2], s[3], s[4], s[5])
			values := map[*graph.Node][]float64{}
			for n, v := range feeds {
				values[n] = conformance.Wide(v)
			}
			want := graph.Reference(outputs, values)
			var vectors [][]float32
			for _, isa := range kernel.Available() {
				if isa == kernel.AMX {
					continue // computes gradients of weights by direct sums
				}
				var first [][]float32
				for threads := 1; threads <= 3; threads++ {
					got := evaluateIn(t, engine.BF16, &tilings[i], g, feeds, outputs, Options{Threads: threads, ISA: &isa})
					for j, n := range outputs {
						name := fmt.Sprintf("F(%d,3) of %v, %v, %v, %d threads", tilings[i].m, s, n, isa, threads)
						conformance.Compare(t, name, got[j], want[j], conformance.BF16Tolerance, 0)
						if first != nil && !conformance.SameBits(first[j], got[j]) || vectors != nil && !conformance.SameBits(vectors[j], got[j]) {
							t.Errorf("%s: other bits", name)
						}
					}
					if first == nil {
						first = got
					}
				}
				if isa != kernel.Portable && vectors == nil {
					vectors = first
				}
			}
		}
	}
}

// TestChooseTiling16 checks the choice for the shapes of common networks.
func TestChooseTiling16(t *testing.T) {
	for _, c := range []struct{ channels, size, want int }{
		{64, 24, 4}, {128, 12, 4}, {256, 6, 3}, {512, 3, 0}, {64, 56, 4}, {128, 28, 4}, {256, 14, 4}, {512, 7, 4},
		{8, 32, 0}, {16, 32, 4}, {32, 16, 4}, {64, 8, 4}, {33, 24, 0}, {64, 1, 0},
	} {
		taps := 9*c.size*c.size - 4*3*c.size + 4 // those inside the image
		if f, _ := chooseTiling16(c.channels, c.channels, c.size, c.size, taps); f.m != c.want {
			t.Errorf("%d channels, %dx%d: F(%d,3), want F(%d,3)", c.channels, c.size, c.size, f.m, c.want)
		}
	}
}

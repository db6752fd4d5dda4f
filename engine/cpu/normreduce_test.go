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

// blockGraph has two bottlenecks without and one with a convolution in the shortcut. The
// gradient of every batch norm's output but those of the last block comes from a
// convolution, with and without a shortcut to add.
func blockGraph(r *rand.Rand, n, c, size int) (*graph.Graph, map[*graph.Node]*tensor.Tensor, []*graph.Node) {
	g, feeds := graph.New(graph.Train), map[*graph.Node]*tensor.Tensor{}
	var inputs []*graph.Node
	in := func(name string, shape ...int) *graph.Node {
		node := g.Input(name, tensor.Float32, shape...)
		feeds[node] = conformance.Random(r, shape...)
		inputs = append(inputs, node)
		return node
	}
	norm := func(x *graph.Node, cin, cout, kernel int) *graph.Node {
		op := graph.Conv2d{StrideH: 1, StrideW: 1, PadH: kernel / 2, PadW: kernel / 2, DilationH: 1, DilationW: 1, Groups: 1}
		y := g.Apply(op, x, in("weight", cout, cin, kernel, kernel))
		return g.Apply(graph.BatchNorm{Eps: 1e-2}, y, g.Apply(graph.BatchNormStats{}, y), in("gamma", cout), in("beta", cout))
	}
	relu := func(x *graph.Node) *graph.Node { return g.Apply(graph.ReLU{}, x) }
	x := in("x", n, c, size, size)
	for block := range 3 {
		y := relu(norm(x, c, 16, 1))
		y = relu(norm(y, 16, 16, 3))
		y = norm(y, 16, c, 1)
		if block == 1 {
			x = norm(x, c, c, 1)
		}
		x = relu(y.Add(x))
	}
	loss := conformance.Weighted(g, x, feeds, r)
	return g, feeds, append([]*graph.Node{loss}, graph.Gradients(loss, inputs)...)
}

// TestNormReduce compares gradients through batch norms whose first pass belongs to the
// gradient of a convolution with those through batch norms for which it is a step of its
// own. Only the order of sums differs.
func TestNormReduce(t *testing.T) {
	r := rand.New(rand.NewPCG(51, 52))
	for _, s := range [][3]int{{2, 24, 6}, {33, 96, 5}, {1, 40, 9}} {
		g, feeds, outputs := blockGraph(r, s[0], s[1], s[2])
		spec := engine.Spec{Outputs: outputs, Precision: engine.BF16}
		for _, isa := range kernel.Available() {
			var first [][]float32
			for threads := 1; threads <= 3; threads++ {
				d, err := New(Options{Threads: threads, ISA: &isa, Direct: true})
				if err != nil {
					t.Fatal(err)
				}
				got := conformance.Evaluate(t, d, g, feeds, spec)
				if first == nil {
					first = got
					apart := conformance.Evaluate(t, struct{ engine.Device }{d}, g, feeds, spec) // no engine.NormReducer
					for i, n := range outputs {
						want := make([]float64, len(apart[i]))
						for k, v := range apart[i] {
							want[k] = float64(v)
						}
						conformance.Compare(t, fmt.Sprintf("%v of %v, %v", n, s, isa), got[i], want, conformance.BF16Tolerance, 0)
					}
				}
				d.Close()
				for i, n := range outputs {
					if !conformance.SameBits(first[i], got[i]) {
						t.Errorf("%v of %v, %v: other bits with %d threads", n, s, isa, threads)
					}
				}
			}
		}
	}
}

// TestReducesNorms counts the first passes of batch norms' gradients that remain steps of
// their own: those of the last block, and of the shortcut's batch norm.
func TestReducesNorms(t *testing.T) {
	g, _, outputs := blockGraph(rand.New(rand.NewPCG(51, 52)), 2, 24, 6)
	d, err := New(Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for precision, want := range map[engine.Precision][2]int{engine.BF16: {2, 8}, engine.FP32: {10, 0}} {
		p, err := engine.Compile(g, engine.NewStore(d), engine.Spec{Outputs: outputs, Precision: precision})
		if err != nil {
			t.Fatal(err)
		}
		var apart, fused int
		for _, s := range p.Steps() {
			switch s := s.(type) {
			case *engine.BatchNormReduce:
				apart++
			case *engine.ConvGradInput:
				if s.Reduce != nil {
					fused++
				}
			case *engine.BatchNormGrad:
				if s.Masked != nil && precision == engine.BF16 && apart+fused > 1 {
					t.Errorf("%v: a gradient is masked twice", precision)
				}
			}
		}
		if apart != want[0] || fused != want[1] {
			t.Errorf("%v: %d first passes are steps of their own and %d are not; want %v", precision, apart, fused, want)
		}
	}
}

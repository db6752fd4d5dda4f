// Package conformance tests devices against the float64 references of the operations. It
// contains one list of graphs; the tests of each device pass Run and RunAlphabet a Check
// that computes them on that device.
package conformance

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/tensor"
)

// Case is a graph with the values of its inputs.
type Case struct {
	Graph   *graph.Graph
	Feeds   map[*graph.Node]*tensor.Tensor
	Outputs []*graph.Node

	// Tolerance is the largest error in FP32, relative to the largest element of the
	// tensor. In BF16 it is BF16Tolerance. The inputs are exact in bfloat16; the tests of
	// the kernels check that BF16 sums are as exact as those of FP32.
	Tolerance float64
	// Flips is the share of elements whose error is not limited in BF16, because the input
	// of a ReLU before them is so close to 0 that rounding decides its sign.
	Flips float64
}

// BF16Tolerance is the tolerance in BF16: the error of a few successive roundings to eight
// bits.
const BF16Tolerance = 0.02

// Check runs a case on a device and compares it with Case.Reference.
type Check func(t *testing.T, c Case)

// Reference computes the outputs in float64.
func (c Case) Reference() [][]float64 {
	values := map[*graph.Node][]float64{}
	for n, v := range c.Feeds {
		values[n] = Wide(v)
	}
	return graph.Reference(c.Outputs, values)
}

// Evaluate compiles g, runs it twice and returns spec.Outputs of the second run.
func Evaluate(t *testing.T, d engine.Device, g *graph.Graph, feeds map[*graph.Node]*tensor.Tensor, spec engine.Spec) [][]float32 {
	t.Helper()
	p, err := engine.Compile(g, engine.NewStore(d), spec)
	if err != nil {
		t.Fatal(err)
	}
	key := int64(0)
	if err := p.Run(key); (err == nil) != (len(feeds) == 0) {
		t.Fatalf("Run of a program with %d inputs before they were fed returned %v", len(feeds), err)
	}
	for n, v := range feeds {
		if n.Op.(*graph.Input).Label == "key" {
			key = v.Ints()[0]
			continue
		}
		if err := p.Feed(n, v); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // the first run must not influence the second
		if err := p.Run(key); err != nil {
			t.Fatal(err)
		}
	}
	out := make([][]float32, len(spec.Outputs))
	for i, n := range spec.Outputs {
		v := tensor.New(n.Shape...)
		p.Read(n, v)
		out[i] = v.Data()
	}
	if err := d.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

// Wide returns a tensor's values in float64.
func Wide(v *tensor.Tensor) []float64 {
	out := make([]float64, v.Numel())
	for i := range out {
		if v.DType() == tensor.Int64 {
			out[i] = float64(v.Ints()[i])
		} else {
			out[i] = float64(v.Data()[i])
		}
	}
	return out
}

// SameBits reports whether a and b are equal bit by bit.
func SameBits(a, b []float32) bool {
	for i := range a {
		if math.Float32bits(a[i]) != math.Float32bits(b[i]) {
			return false
		}
	}
	return true
}

// Compare fails the test if got differs from want by more than tolerance times the largest
// element of want, except in a share free of the elements.
func Compare(t *testing.T, name string, got []float32, want []float64, tolerance, free float64) {
	t.Helper()
	most := 1e-30
	for _, w := range want {
		most = math.Max(most, math.Abs(w))
	}
	off := 0
	for i, w := range want {
		if d := math.Abs(float64(got[i]) - w); !(d <= tolerance*most) {
			if off++; float64(off) > free*float64(len(want)) {
				t.Fatalf("%s: element %d is %v, want %v (largest %v), the %dth such", name, i, got[i], w, most, off)
			}
		}
	}
}

// Random returns a tensor of multiples of 1/64 between -1 and 1. They are exact in FP32 and
// never in (0, 1/64), so that rounding alone does not change the sign of a ReLU's input.
func Random(r *rand.Rand, shape ...int) *tensor.Tensor {
	v := tensor.New(shape...)
	for i := range v.Data() {
		v.Data()[i] = float32(r.IntN(129)-64) / 64
	}
	return v
}

// Weighted returns the sum of y's elements, each times a random weight, so that every
// element has a gradient of its own.
func Weighted(g *graph.Graph, y *graph.Node, feeds map[*graph.Node]*tensor.Tensor, r *rand.Rand) *graph.Node {
	w := g.Input("weights", tensor.Float32, y.Shape...)
	feeds[w] = Random(r, y.Shape...)
	return g.Apply(graph.Sum{}, g.Apply(graph.Mul{}, y, w))
}

// Op checks op and its gradients with random inputs of these shapes.
func Op(t *testing.T, r *rand.Rand, check Check, op graph.Op, shapes ...tensor.Shape) {
	t.Helper()
	g := graph.New(graph.Train)
	feeds := map[*graph.Node]*tensor.Tensor{}
	var in []*graph.Node
	for i, s := range shapes {
		n := g.Input(fmt.Sprint("in", i), tensor.Float32, s...)
		feeds[n] = Random(r, s...)
		in = append(in, n)
	}
	y := g.Apply(op, in...)
	outputs := append([]*graph.Node{y}, graph.Gradients(Weighted(g, y, feeds, r), in)...)
	check(t, Case{Graph: g, Feeds: feeds, Outputs: outputs, Tolerance: 2e-6})
}

// Package conformance holds every device to the float64 references of the operations:
// one list of graphs, which the tests of a device run in its own ways.
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

// Case is a graph with what it is fed.
type Case struct {
	Graph   *graph.Graph
	Feeds   map[*graph.Node]*tensor.Tensor
	Outputs []*graph.Node

	// Tolerance is that of fp32, relative to the largest element of a tensor. The inputs
	// are exact in bfloat16, whose tolerance is BF16Tolerance; that its sums are as exact
	// as fp32's is for the tests of the kernels.
	Tolerance float64
	// Flips is the share of elements that may lie anywhere in bfloat16, because a ReLU
	// before them is so near its kink that a rounding decides.
	Flips float64
}

// BF16Tolerance is that of some roundings to eight bits, one after the other.
const BF16Tolerance = 0.02

// Check runs a case on a device and compares it with Case.Reference.
type Check func(t *testing.T, c Case)

// Run holds a device to all cases.
func Run(t *testing.T, check Check) {
	for _, part := range []struct {
		name string
		run  func(*testing.T, Check)
	}{
		{"Convolutions", convolutions}, {"ManyGroups", manyGroups}, {"Eights", eights}, {"Blocks", blocks}, {"OneImage", oneImage}, {"ReadTwice", readTwice}, {"Dense", dense}, {"Elementwise", elementwise}, {"Pools", pools},
		{"BatchNorm", batchNorm}, {"LossAndDropout", lossAndDropout}, {"ChannelsAndStochasticDepth", channelsAndStochasticDepth},
	} {
		t.Run(part.name, func(t *testing.T) { part.run(t, check) })
	}
}

// RunAlphabet holds a device to the operations that a network of one's own or of another
// program is put together of. A device may lack some of them, and then names them when a
// program is compiled.
func RunAlphabet(t *testing.T, check Check) {
	for _, part := range []struct {
		name string
		run  func(*testing.T, Check)
	}{{"Functions", functions}, {"Moves", moves}, {"Reductions", reductions}, {"Matrices", matrices}} {
		t.Run(part.name, func(t *testing.T) { part.run(t, check) })
	}
}

// Reference computes the outputs in float64.
func (c Case) Reference() [][]float64 {
	values := map[*graph.Node][]float64{}
	for n, v := range c.Feeds {
		values[n] = Wide(v)
	}
	return graph.Reference(c.Outputs, values)
}

// Evaluate computes what spec asks for of g, twice, and returns what the second run gave.
func Evaluate(t *testing.T, d engine.Device, g *graph.Graph, feeds map[*graph.Node]*tensor.Tensor, spec engine.Spec) [][]float32 {
	t.Helper()
	p, err := engine.Compile(g, engine.NewStore(d), spec)
	if err != nil {
		t.Fatal(err)
	}
	key := int64(0)
	if err := p.Run(key); (err == nil) != (len(feeds) == 0) {
		t.Fatalf("a program of %d inputs runs before they were fed: %v", len(feeds), err)
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
	for range 2 { // nothing may be left over from the first run
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

// SameBits reports whether a and b are the same to the bit.
func SameBits(a, b []float32) bool {
	for i := range a {
		if math.Float32bits(a[i]) != math.Float32bits(b[i]) {
			return false
		}
	}
	return true
}

// Compare allows an error relative to the largest element of the tensor, and any
// in a share of the elements.
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

// Random fills a tensor with multiples of 1/64 between -1 and 1: exact in fp32,
// and never in (0, 1/64), so that ReLU is not at its kink by rounding alone.
func Random(r *rand.Rand, shape ...int) *tensor.Tensor {
	v := tensor.New(shape...)
	for i := range v.Data() {
		v.Data()[i] = float32(r.IntN(129)-64) / 64
	}
	return v
}

// Weighted makes a scalar of y that gives every element a gradient of its own.
func Weighted(g *graph.Graph, y *graph.Node, feeds map[*graph.Node]*tensor.Tensor, r *rand.Rand) *graph.Node {
	w := g.Input("weights", tensor.Float32, y.Shape...)
	feeds[w] = Random(r, y.Shape...)
	return g.Apply(graph.Sum{}, g.Apply(graph.Mul{}, y, w))
}

// Op checks op and its gradients for random inputs of these shapes.
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

package cpu

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/conformance"
	"github.com/residual-ml/residual/engine/cpu/kernel"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/tensor"
)

// pointGraph has a 1x1 convolution with the given weights [cout][cin][1][1], and with a
// bias, a residual and a ReLU behind it if fused is set. Its inputs are exact in bfloat16.
func pointGraph(r *rand.Rand, weight *tensor.Tensor, n, size, stride int, fused bool) (*graph.Graph, map[*graph.Node]*tensor.Tensor, *graph.Node) {
	g := graph.New(graph.Eval)
	feeds := map[*graph.Node]*tensor.Tensor{}
	in := func(name string, shape ...int) *graph.Node {
		node := g.Input(name, tensor.Float32, shape...)
		feeds[node] = conformance.Random(r, shape...)
		return node
	}
	cout, cin := weight.Shape()[0], weight.Shape()[1]
	op := graph.Conv2d{StrideH: stride, StrideW: stride, DilationH: 1, DilationW: 1, Groups: 1}
	args := []*graph.Node{in("x", n, cin, size, size), g.Variable(&graph.Variable{Value: weight})}
	if fused {
		args = append(args, in("bias", cout))
	}
	y := g.Apply(op, args...)
	if fused {
		y = g.Apply(graph.ReLU{}, y.Add(in("residual", y.Shape...)))
	}
	return g, feeds, y
}

// pointWeights returns normally distributed weights of a 1x1 convolution.
func pointWeights(r *rand.Rand, cout, cin int) *tensor.Tensor {
	w := tensor.New(cout, cin, 1, 1)
	for i := range w.Data() {
		w.Data()[i] = float32(r.NormFloat64())
	}
	return w
}

// onInt16 evaluates a graph in bf16, with convolutions in 16-bit integers or without.
func onInt16(t *testing.T, o Options, integers bool, g *graph.Graph, feeds map[*graph.Node]*tensor.Tensor, y *graph.Node) []float32 {
	t.Helper()
	d, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	d.set.Int16.ForBF16 = integers
	return evaluateOn(t, d, engine.BF16, g, feeds, []*graph.Node{y})[0]
}

// TestConvInt16 checks 1x1 convolutions in 16-bit integers: their error is below that of
// products of bfloat16, with the same bits on every instruction set and any number of
// threads.
func TestConvInt16(t *testing.T) {
	r := rand.New(rand.NewPCG(61, 1))
	for _, s := range [][5]int{{1, 32, 40, 7, 1}, {3, 34, 7, 5, 2}, {2, 64, 256, 14, 1}, {9, 300, 33, 6, 2}, {2, 1026, 70, 5, 1}} {
		for _, fused := range []bool{false, true} {
			t.Run(fmt.Sprintf("%v/%v", s, fused), func(t *testing.T) {
				g, feeds, y := pointGraph(r, pointWeights(r, s[2], s[1]), s[0], s[3], s[4], fused)
				values := map[*graph.Node][]float64{}
				for n, v := range feeds {
					values[n] = conformance.Wide(v)
				}
				want := graph.Reference([]*graph.Node{y}, values)[0]
				var first []float32
				for _, isa := range kernel.Available() {
					for threads := 1; threads <= 2; threads++ {
						got := onInt16(t, Options{Threads: threads, ISA: &isa}, true, g, feeds, y)
						if first != nil && !conformance.SameBits(first, got) {
							t.Errorf("%v, %d threads: other bits", isa, threads)
						}
						first = got
					}
				}
				integers, direct := meanSquare(first, want), meanSquare(onInt16(t, Options{}, false, g, feeds, y), want)
				if !(integers < direct) {
					t.Errorf("the error of integers is %.3g, of bfloat16 %.3g", math.Sqrt(integers), math.Sqrt(direct))
				}
			})
		}
	}
}

// meanSquare returns the mean squared error.
func meanSquare(got []float32, want []float64) float64 {
	sum := 0.0
	for i, v := range got {
		sum += (float64(v) - want[i]) * (float64(v) - want[i])
	}
	return sum / float64(len(got))
}

// TestConvInt16Alone checks that an image has the same bits in a batch as alone, and that a
// number that is not finite spoils no other pixel.
func TestConvInt16Alone(t *testing.T) {
	r := rand.New(rand.NewPCG(62, 1))
	const images, cin, cout, size = 3, 64, 40, 5
	weight := pointWeights(r, cout, cin)
	g, feeds, y := pointGraph(r, weight, images, size, 1, false)
	single, few, z := pointGraph(r, weight, 1, size, 1, false)
	all := onInt16(t, Options{}, true, g, feeds, y)
	var x *tensor.Tensor
	for _, v := range feeds {
		x = v
	}
	for _, v := range few {
		copy(v.Data(), x.Data()[2*cin*size*size:])
	}
	if alone := onInt16(t, Options{}, true, single, few, z); !conformance.SameBits(alone, all[2*cout*size*size:]) {
		t.Error("an image has other bits alone than in a batch")
	}
	for _, bad := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		x.Data()[cin*size*size+7] = float32(bad) // pixel 7 of image 1
		for i, v := range onInt16(t, Options{}, true, g, feeds, y) {
			spoilt := i/(cout*size*size) == 1 && i%(size*size) == 7
			if spoilt != (v != v) || !spoilt && v != all[i] {
				t.Fatalf("with %v in pixel 7 of image 1, element %d is %v, otherwise %v", bad, i, v, all[i])
			}
		}
	}
}

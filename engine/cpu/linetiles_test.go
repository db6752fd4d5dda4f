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

// lineLayer is a first layer: images that are exact in bfloat16, their convolution with weights of
// variables, and what is fused behind it if fused is set.
type lineLayer struct {
	n, c, h, w, kernel, kernelW, stride, pad, cout int
	fused, bytes                                   bool
}

func (l lineLayer) build(r *rand.Rand) (*graph.Graph, *graph.Node, *tensor.Tensor, *graph.Node, map[*graph.Node][]float64) {
	g := graph.New(graph.Eval)
	x, k := tensor.New(l.n, l.c, l.h, l.w), tensor.New(l.cout, l.c, l.kernel, l.kernelW)
	for i := range x.Data() {
		x.Data()[i] = tensor.FromBFloat16(tensor.ToBFloat16(float32(r.NormFloat64())))
	}
	for i := range k.Data() {
		k.Data()[i] = float32(r.NormFloat64())
	}
	in, w := g.Input("x", tensor.Float32, x.Shape()...), g.Variable(&graph.Variable{Name: "k", Value: k})
	values := map[*graph.Node][]float64{in: conformance.Wide(x), w: conformance.Wide(k)}
	args := []*graph.Node{in, w}
	if l.fused {
		bias := conformance.Random(r, l.cout)
		b := g.Variable(&graph.Variable{Name: "b", Value: bias})
		values[b] = conformance.Wide(bias)
		args = append(args, b)
	}
	y := g.Apply(graph.Conv2d{StrideH: l.stride, StrideW: 2, PadH: l.pad, PadW: l.pad, DilationH: 1, DilationW: 1, Groups: 1}, args...)
	if l.fused {
		y = g.Apply(graph.ReLU{}, y)
	}
	if l.bytes {
		y = g.Apply(graph.Uint8(0.2, 0), y)
	}
	return g, in, x, y, values
}

var lineLayers = []lineLayer{
	{1, 3, 32, 32, 7, 7, 2, 3, 64, true, false}, {3, 3, 27, 45, 7, 7, 2, 3, 64, false, false}, {2, 4, 17, 22, 5, 6, 1, 0, 32, true, false}, {33, 3, 14, 18, 7, 8, 2, 2, 96, false, false},
	{2, 3, 40, 31, 6, 5, 3, 1, 32, true, true}, {1, 3, 29, 230, 7, 7, 2, 3, 64, true, true},
}

// TestLineTiles checks layers of tiles of lines: their error is below that of products of
// bfloat16, with the same bits on every instruction set and any number of threads, and for an
// image alone and in a batch.
func TestLineTiles(t *testing.T) {
	for i, l := range lineLayers {
		t.Run(fmt.Sprintf("%+v", l), func(t *testing.T) {
			build := func(l lineLayer) (*graph.Graph, *graph.Node, *tensor.Tensor, *graph.Node, map[*graph.Node][]float64) {
				return l.build(rand.New(rand.NewPCG(81, uint64(i))))
			}
			g, in, x, y, values := build(l)
			precision := engine.BF16
			if l.bytes {
				precision = engine.INT8
			}
			run := func(g *graph.Graph, in *graph.Node, x *tensor.Tensor, y *graph.Node, o Options) []float32 {
				return evaluate(t, g, map[*graph.Node]*tensor.Tensor{in: x}, o, engine.Spec{Outputs: []*graph.Node{y}, Precision: precision})[0]
			}
			want := graph.Reference([]*graph.Node{y}, values)[0]
			var first []float32
			for _, isa := range kernel.Available() {
				if isa == kernel.AMX {
					continue
				}
				for threads := 1; threads <= 3; threads++ {
					got := run(g, in, x, y, Options{Threads: threads, ISA: &isa})
					if first == nil {
						first = got
					} else if !conformance.SameBits(first, got) {
						t.Errorf("%v, %d threads: other bits", isa, threads)
					}
				}
			}
			tiles, direct := meanSquare(first, want), meanSquare(run(g, in, x, y, Options{Direct: true}), want)
			t.Logf("error %.3g, of direct sums %.3g", math.Sqrt(tiles), math.Sqrt(direct))
			if !(tiles < direct) {
				t.Errorf("the error is %.3g, of direct sums %.3g", math.Sqrt(tiles), math.Sqrt(direct))
			}
			alone := l
			alone.n = 1
			g1, in1, x1, y1, _ := build(alone)
			last := l.n - 1
			copy(x1.Data(), x.Data()[last*len(x1.Data()):])
			copy(g1.Variables()[0].Value.Data(), g.Variables()[0].Value.Data())
			if l.fused {
				copy(g1.Variables()[1].Value.Data(), g.Variables()[1].Value.Data())
			}
			if got := run(g1, in1, x1, y1, Options{}); !conformance.SameBits(got, first[last*len(got):]) {
				t.Error("an image has other bits alone than in a batch")
			}
		})
	}
}

// TestLineTilesNotFinite puts a number that is not finite, or too large, into one pixel: it spoils
// the blocks of lines of that image that read it, and nothing else.
func TestLineTilesNotFinite(t *testing.T) {
	l := lineLayer{3, 3, 80, 24, 7, 7, 2, 3, 32, false, false}
	const image, row, oh, ow = 1, 33, 40, 12
	g, in, x, y, _ := l.build(rand.New(rand.NewPCG(83, 84)))
	run := func() []float32 {
		return evaluate(t, g, map[*graph.Node]*tensor.Tensor{in: x}, Options{}, engine.Spec{Outputs: []*graph.Node{y}, Precision: engine.BF16})[0]
	}
	before := run()
	for _, bad := range []float32{float32(math.Inf(-1)), float32(math.NaN()), 0x1p124} {
		x.Data()[(image*l.c*l.h+row)*l.w+5] = bad
		for at, v := range run() {
			block := at / ow % oh / lineBlock * lineBlock
			reads := at/(l.cout*oh*ow) == image && row >= 2*block-3 && row <= 2*(block+lineBlock-1)+3
			if nan := v != v; nan != reads || !nan && v != before[at] {
				t.Fatalf("with %g, element %d is %g, before %g", bad, at, v, before[at])
			}
		}
	}
}

// TestLineTilesError checks that the root mean square error of the first layer of a ResNet, before
// its result is rounded to bfloat16, is less than half of that of products of bfloat16.
func TestLineTilesError(t *testing.T) {
	l := lineLayer{2, 3, 64, 64, 7, 7, 2, 3, 64, false, false}
	g, in, x, y, values := l.build(rand.New(rand.NewPCG(85, 86)))
	want := graph.Reference([]*graph.Node{y}, values)[0]
	rms := func(o Options) float64 {
		got := evaluate(t, g, map[*graph.Node]*tensor.Tensor{in: x}, o, engine.Spec{Outputs: []*graph.Node{y}, Precision: engine.BF16})[0]
		sum, all := 0.0, 0.0
		for i, w := range want {
			rounded := float64(tensor.FromBFloat16(tensor.ToBFloat16(float32(w))))
			d, e := float64(got[i])-w, rounded-w
			sum += d*d - e*e
			all += w * w
		}
		return math.Sqrt(max(sum, 0) / all)
	}
	tiles, direct := rms(Options{}), rms(Options{Direct: true})
	t.Logf("error %.3g, of direct sums %.3g: %.2f", tiles, direct, tiles/direct)
	if !(tiles < direct/2) {
		t.Errorf("the error is %.3g, of direct sums %.3g", tiles, direct)
	}
}

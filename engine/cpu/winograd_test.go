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

// winogradGraph has all that can be fused with a 3x3 convolution: bias, statistics, a
// residual in the gradient, and a second convolution with batch norm, residual and ReLU.
func winogradGraph(r *rand.Rand, n, cin, cout, h, w, pad int) (*graph.Graph, map[*graph.Node]*tensor.Tensor, []*graph.Node) {
	op := graph.Conv2d{StrideH: 1, StrideW: 1, PadH: pad, PadW: pad, DilationH: 1, DilationW: 1, Groups: 1}
	g := graph.New(graph.Train)
	feeds := map[*graph.Node]*tensor.Tensor{}
	in := func(name string, shape ...int) *graph.Node {
		node := g.Input(name, tensor.Float32, shape...)
		feeds[node] = conformance.Random(r, shape...)
		return node
	}
	x, k, bias := in("x", n, cin, h, w), in("k", cout, cin, 3, 3), in("bias", cout)
	y := g.Apply(op, x, k, bias)
	stats := g.Apply(graph.BatchNormStats{}, y)
	same := graph.Conv2d{StrideH: 1, StrideW: 1, PadH: 1, PadW: 1, DilationH: 1, DilationW: 1, Groups: 1}
	fixed := g.Apply(graph.Stack{}, in("mean", cout), g.Apply(graph.Mul{}, bias, bias))
	z := g.Apply(same, y, in("k2", cout, cout, 3, 3))
	z = g.Apply(graph.BatchNorm{Eps: 0.1, Frozen: true}, z, fixed, in("gamma", cout), in("beta", cout))
	z = g.Apply(graph.ReLU{}, z.Add(y))
	outputs := []*graph.Node{stats, z}
	loss := conformance.Weighted(g, z.Add(y), feeds, r)
	return g, feeds, append(outputs, graph.Gradients(loss, []*graph.Node{x, k, bias})...)
}

func TestWinograd(t *testing.T) {
	r := rand.New(rand.NewPCG(13, 14))
	shapes := [][6]int{ // n, cin, cout, h, w, pad
		{1, 1, 1, 3, 3, 1}, {2, 3, 5, 7, 4, 0}, {3, 17, 33, 6, 6, 1}, {5, 20, 8, 5, 9, 2}, {33, 16, 16, 3, 3, 1}, {70, 5, 7, 9, 2, 1}, {1, 32, 40, 13, 11, 1},
	}
	for i := range tilings {
		for _, s := range shapes {
			t.Run(fmt.Sprintf("F(%d,3)/%v", tilings[i].m, s), func(t *testing.T) {
				g, feeds, outputs := winogradGraph(r, s[0], s[1], s[2], s[3], s[4], s[5])
				values := map[*graph.Node][]float64{}
				for n, v := range feeds {
					values[n] = conformance.Wide(v)
				}
				want := graph.Reference(outputs, values)
				for _, isa := range kernel.Available() {
					var first [][]float32
					for threads := 1; threads <= 3; threads++ {
						got := evaluateBy(t, &tilings[i], g, feeds, outputs, Options{Threads: threads, ISA: &isa})
						for j := range outputs {
							conformance.Compare(t, fmt.Sprintf("%v, %v, %d threads", outputs[j], isa, threads), got[j], want[j], 2e-5, 0)
							if first != nil && !conformance.SameBits(first[j], got[j]) {
								t.Errorf("%v, %v: other bits with %d threads", outputs[j], isa, threads)
							}
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

func evaluateBy(t *testing.T, f *tiling, g *graph.Graph, feeds map[*graph.Node]*tensor.Tensor, outputs []*graph.Node, o Options) [][]float32 {
	t.Helper()
	return evaluateIn(t, engine.FP32, f, g, feeds, outputs, o)
}

func evaluateIn(t *testing.T, precision engine.Precision, f *tiling, g *graph.Graph, feeds map[*graph.Node]*tensor.Tensor, outputs []*graph.Node, o Options) [][]float32 {
	t.Helper()
	d, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	d.forced = f
	p, err := engine.Compile(g, engine.NewStore(d), engine.Spec{Outputs: outputs, Precision: precision})
	if err != nil {
		t.Fatal(err)
	}
	for n, v := range feeds {
		if err := p.Feed(n, v); err != nil {
			t.Fatal(err)
		}
	}
	p.Run(0)
	p.Run(0)
	out := make([][]float32, len(outputs))
	for i, n := range outputs {
		v := tensor.New(n.Shape...)
		p.Read(n, v)
		out[i] = v.Data()
	}
	return out
}

// TestChooseTiling checks the choice of tilings for the shapes of common networks. Training
// uses only the more exact ones.
func TestChooseTiling(t *testing.T) {
	for _, c := range []struct{ n, channels, size, training, inference int }{
		{64, 64, 24, 3, 4}, {64, 128, 12, 3, 4}, {64, 256, 6, 3, 3}, {256, 512, 3, 3, 3}, {64, 8, 24, 0, 0}, {1, 64, 24, 3, 4}, {1, 128, 12, 0, 0},
		{128, 16, 32, 3, 4}, {128, 32, 16, 3, 4}, {128, 64, 8, 3, 4},
	} {
		taps := 9*c.size*c.size - 4*3*c.size + 4 // those inside the image
		for _, by := range []struct {
			name string
			from []tiling
			want int
		}{{"training", trainingTilings, c.training}, {"inference", tilings[:], c.inference}} {
			f, _ := chooseTiling(by.from, c.n, c.channels, c.channels, c.size, c.size, taps)
			if f.m != by.want {
				t.Errorf("%s of %d images of %d channels, %dx%d: F(%d,3), want F(%d,3)", by.name, c.n, c.channels, c.size, c.size, f.m, by.want)
			}
		}
	}
}

// TestWinogradError checks that the root mean square error of a layer with normally
// distributed numbers, relative to the result's, is at most twice that of the direct sum.
func TestWinogradError(t *testing.T) {
	r := rand.New(rand.NewPCG(15, 16))
	normal := func(shape ...int) *tensor.Tensor {
		v := tensor.New(shape...)
		for i := range v.Data() {
			v.Data()[i] = float32(r.NormFloat64())
		}
		return v
	}
	g := graph.New(graph.Eval)
	x, k := g.Input("x", tensor.Float32, 2, 256, 12, 12), g.Input("k", tensor.Float32, 32, 256, 3, 3)
	y := g.Apply(graph.Conv2d{StrideH: 1, StrideW: 1, PadH: 1, PadW: 1, DilationH: 1, DilationW: 1, Groups: 1}, x, k)
	feeds := map[*graph.Node]*tensor.Tensor{x: normal(x.Shape...), k: normal(k.Shape...)}
	want := graph.Reference([]*graph.Node{y}, map[*graph.Node][]float64{x: conformance.Wide(feeds[x]), k: conformance.Wide(feeds[k])})[0]
	rms := func(got []float32) float64 {
		sum, all := 0.0, 0.0
		for i, w := range want {
			d := float64(got[i]) - w
			sum += d * d
			all += w * w
		}
		return math.Sqrt(sum / all)
	}
	direct := rms(evaluate(t, g, feeds, Options{Direct: true}, engine.Spec{Outputs: []*graph.Node{y}})[0])
	for i := range tilings {
		e := rms(evaluateBy(t, &tilings[i], g, feeds, []*graph.Node{y}, Options{})[0])
		t.Logf("F(%d,3): error %.3g, direct %.3g", tilings[i].m, e, direct)
		if !(e < 2*direct) {
			t.Errorf("F(%d,3): error %.3g, direct %.3g", tilings[i].m, e, direct)
		}
	}
}

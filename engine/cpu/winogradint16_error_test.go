package cpu

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/conformance"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/tensor"
)

// oneLayer is a single 3x3 convolution of images, which it rounds to bfloat16, with weights in
// float32.
func oneLayer(x, k *tensor.Tensor) (*graph.Graph, map[*graph.Node]*tensor.Tensor, *graph.Node) {
	g := graph.New(graph.Eval)
	for i, v := range x.Data() {
		x.Data()[i] = tensor.FromBFloat16(tensor.ToBFloat16(v))
	}
	in, w := g.Input("x", tensor.Float32, x.Shape()...), g.Variable(&graph.Variable{Name: "k", Value: k})
	y := g.Apply(graph.Conv2d{StrideH: 1, StrideW: 1, PadH: 1, PadW: 1, DilationH: 1, DilationW: 1, Groups: 1}, in, w)
	return g, map[*graph.Node]*tensor.Tensor{in: x}, y
}

// TestWinogradInt16Error checks that the root mean square error of a layer in bf16, before
// its result is rounded to bfloat16, is at most that of the direct sum, which rounds the
// weights: with activations as after a ReLU, and with numbers of both signs, as gradients
// are.
func TestWinogradInt16Error(t *testing.T) {
	for _, c := range []struct {
		name     string
		positive bool
		most     [3]float64 // of the error, in units of the direct sum's
	}{{"after a ReLU", true, [3]float64{0.3, 0.45, 0.8}}, {"of both signs", false, [3]float64{0.4, 0.6, 1}}} {
		r := rand.New(rand.NewPCG(19, 20))
		x, k := tensor.New(2, 256, 12, 12), tensor.New(32, 256, 3, 3)
		for i := range x.Data() {
			if x.Data()[i] = float32(r.NormFloat64()); c.positive {
				x.Data()[i] = max(0, x.Data()[i])
			}
		}
		for i := range k.Data() {
			k.Data()[i] = float32(r.NormFloat64())
		}
		g, feeds, y := oneLayer(x, k)
		values := map[*graph.Node][]float64{}
		for n, v := range feeds {
			values[n] = conformance.Wide(v)
		}
		values[g.Variable(g.Variables()[0])] = conformance.Wide(k)
		want := graph.Reference([]*graph.Node{y}, values)[0]
		// The rounding of the result is the same for all: its variance is subtracted.
		rms := func(got []float32) float64 {
			sum, all := 0.0, 0.0
			for i, w := range want {
				rounded := float64(tensor.FromBFloat16(tensor.ToBFloat16(float32(w))))
				d, e := float64(got[i])-w, rounded-w
				sum += d*d - e*e
				all += w * w
			}
			return math.Sqrt(max(sum, 0) / all)
		}
		outputs := []*graph.Node{y}
		direct := rms(evaluate(t, g, feeds, Options{Direct: true}, engine.Spec{Outputs: outputs, Precision: engine.BF16})[0])
		for i := range tilings {
			e := rms(evaluateIn(t, engine.BF16, &tilings[i], g, feeds, outputs, Options{})[0])
			t.Logf("%s, F(%d,3): error %.3g, direct %.3g: %.2f", c.name, tilings[i].m, e, direct, e/direct)
			if !(e <= c.most[i]*direct) {
				t.Errorf("%s, F(%d,3): error %.3g, direct %.3g", c.name, tilings[i].m, e, direct)
			}
		}
	}
}

// TestWinogradInt16NotFinite puts an infinity, a NaN and a huge number into one pixel of
// one image: what a direct sum spoils may spread over the tiles that read the pixel, and
// nowhere else.
func TestWinogradInt16NotFinite(t *testing.T) {
	r := rand.New(rand.NewPCG(21, 22))
	const n, size, py, px, image = 3, 13, 5, 6, 1
	for _, bad := range []float32{float32(math.Inf(1)), float32(math.NaN()), -0x1p125} {
		for i := range tilings {
			x, k := conformance.Random(r, n, 32, size, size), conformance.Random(r, 32, 32, 3, 3)
			g, feeds, y := oneLayer(x, k)
			outputs := []*graph.Node{y}
			before := evaluateIn(t, engine.BF16, &tilings[i], g, feeds, outputs, Options{})[0]
			x.Data()[((image*32+7)*size+py)*size+px] = bad
			after := evaluateIn(t, engine.BF16, &tilings[i], g, feeds, outputs, Options{})[0]
			m := tilings[i].m
			for at, v := range after {
				row, col := at/size%size/m*m, at%size/m*m // of the tile
				reads := at/(32*size*size) == image && py >= row-1 && py <= row+m && px >= col-1 && px <= col+m
				if nan := v != v; nan != reads || !nan && v != before[at] {
					t.Fatalf("F(%d,3), %g: element %d is %g, before %g", m, bad, at, v, before[at])
				}
			}
		}
	}
}

// TestWinogradInt16Zeros checks layers of zeros and of numbers below the normal ones.
func TestWinogradInt16Zeros(t *testing.T) {
	r := rand.New(rand.NewPCG(23, 24))
	for _, scale := range []float32{0, 0x1p-130} {
		for i := range tilings {
			x, k := conformance.Random(r, 2, 32, 7, 7), conformance.Random(r, 32, 32, 3, 3)
			for j := range x.Data() {
				x.Data()[j] *= scale
			}
			g, feeds, y := oneLayer(x, k)
			for at, v := range evaluateIn(t, engine.BF16, &tilings[i], g, feeds, []*graph.Node{y}, Options{})[0] {
				if !(math.Abs(float64(v)) < 0x1p-110) {
					t.Fatalf("F(%d,3), inputs of %g: element %d is %g", tilings[i].m, scale, at, v)
				}
			}
		}
	}
}

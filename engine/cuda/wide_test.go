//go:build cuda && !windows

package cuda

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/conformance"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/tensor"
)

// crowded is a device that launches the kernels over packs or pixels with as few blocks as
// possible, so that every thread processes many.
type crowded struct {
	*Device
	changed map[string]bool
}

func (c crowded) Bind(b engine.Binding) (engine.Executable, error) {
	e, err := c.Device.Bind(b)
	if err != nil {
		return nil, err
	}
	for _, step := range e.(*executable).steps {
		for _, l := range step {
			name := strings.TrimSuffix(strings.TrimSuffix(l.name, "_fp32"), "_bf16")
			switch name {
			case "batch_norm", "batch_norm_grad", "channels":
				l.gx = min(l.gx, 2) // lanes, in these tests, are fewer than threads
			case "elementwise", "max_pool", "max_pool_winners", "max_pool_grad", "weigh":
				l.gx, l.gy = min(l.gx, 1), 1
			default:
				continue
			}
			c.changed[l.name] = true
		}
	}
	return e, nil
}

// The number of blocks must not change a bit.
func TestFewBlocks(t *testing.T) {
	d, _ := emulated(t)
	few := crowded{d, map[string]bool{}}
	r := rand.New(rand.NewPCG(21, 22))
	check := func(t *testing.T, c conformance.Case) {
		t.Helper()
		for _, precision := range []engine.Precision{engine.FP32, engine.BF16} {
			spec := engine.Spec{Outputs: c.Outputs, Precision: precision}
			got, want := conformance.Evaluate(t, few, c.Graph, c.Feeds, spec), conformance.Evaluate(t, d, c.Graph, c.Feeds, spec)
			for i, n := range c.Outputs {
				if !conformance.SameBits(got[i], want[i]) {
					t.Errorf("%v, %v: other bits", n, precision)
				}
			}
		}
	}
	for _, x := range []tensor.Shape{{4, 5, 13, 17}, {24, 24, 9, 11}} {
		conformance.Op(t, r, check, graph.Add{}, x, x)
		conformance.Op(t, r, check, graph.PadChannels{To: 2 * x[1]}, x)
		conformance.Op(t, r, check, graph.MaxPool2d{KH: 3, KW: 3, StrideH: 2, StrideW: 2, PadH: 1, PadW: 1, DilationH: 1, DilationW: 1}, x)
		conformance.Op(t, r, check, graph.AvgPool2d{KH: 2, KW: 2, StrideH: 1, StrideW: 1}, x)
		normalised(t, r, check, x)
	}
	for name := range d.signatures {
		if base, _, wide := strings.Cut(name, "_fp32"); wide && !strings.HasPrefix(name, "column") && !few.changed[base+"_bf16"] {
			t.Errorf("%s was not run by few blocks", name)
		}
	}
}

// normalised checks a batch norm, a residual and a ReLU, and their gradients.
func normalised(t *testing.T, r *rand.Rand, check conformance.Check, s tensor.Shape) {
	t.Helper()
	g := graph.New(graph.Train)
	feeds := map[*graph.Node]*tensor.Tensor{}
	in := func(shape ...int) *graph.Node {
		n := g.Input(fmt.Sprint("in", len(feeds)), tensor.Float32, shape...)
		feeds[n] = conformance.Random(r, shape...)
		return n
	}
	x, residual, gamma, beta := in(s...), in(s...), in(s[1]), in(s[1])
	y := g.Apply(graph.BatchNorm{Eps: 1e-5}, x, g.Apply(graph.BatchNormStats{}, x), gamma, beta)
	y = g.Apply(graph.ReLU{}, y.Add(residual))
	outputs := append([]*graph.Node{y}, graph.Gradients(conformance.Weighted(g, y, feeds, r), []*graph.Node{x, residual, gamma, beta})...)
	check(t, conformance.Case{Graph: g, Feeds: feeds, Outputs: outputs, Tolerance: 5e-5, Flips: 0.1})
}

// The gradient of max pooling goes to the first NaN of a window, or else to the first of its
// largest elements. The inputs have NaN, infinities, zeros of both signs and many equal
// elements, windows have many sizes, and lanes are multiples of a pack or not.
func TestMaxPoolFindsTheFirst(t *testing.T) {
	d, _ := emulated(t)
	r := rand.New(rand.NewPCG(23, 24))
	infinity := float32(math.Inf(1))
	rare := []float32{float32(math.NaN()), infinity, -infinity, 0, float32(math.Copysign(0, -1))}
	for _, op := range []graph.MaxPool2d{
		{KH: 3, KW: 3, StrideH: 2, StrideW: 2, PadH: 1, PadW: 1, DilationH: 1, DilationW: 1},
		{KH: 2, KW: 2, StrideH: 2, StrideW: 2, DilationH: 1, DilationW: 1},
		{KH: 4, KW: 5, StrideH: 1, StrideW: 3, PadH: 2, PadW: 2, DilationH: 2, DilationW: 1},
		{KH: 17, KW: 16, StrideH: 1, StrideW: 1, PadH: 8, PadW: 8, DilationH: 1, DilationW: 1}, // more taps than a byte can number
	} {
		for _, s := range []tensor.Shape{{2, 8, 17, 18}, {1, 3, 17, 18}} {
			for share := range 4 {
				g := graph.New(graph.Train)
				x := g.Input("x", tensor.Float32, s...)
				v := tensor.New(s...)
				for i := range v.Data() {
					v.Data()[i] = float32(r.IntN(5) - 2)
					if r.IntN(8) < share {
						v.Data()[i] = rare[r.IntN(len(rare))]
					}
					if share == 3 && i%5 < 4 {
						v.Data()[i] = -infinity
					}
				}
				feeds := map[*graph.Node]*tensor.Tensor{x: v}
				y := g.Apply(op, x)
				outputs := append([]*graph.Node{y}, graph.Gradients(conformance.Weighted(g, y, feeds, r), []*graph.Node{x})...)
				want := conformance.Case{Graph: g, Feeds: feeds, Outputs: outputs}.Reference()
				for _, precision := range []engine.Precision{engine.FP32, engine.BF16} {
					got := conformance.Evaluate(t, d, g, feeds, engine.Spec{Outputs: outputs, Precision: precision})
					for i, n := range outputs {
						sameOrNaN(t, fmt.Sprintf("%v of %+v %v, %v, %d", n, op, s, precision, share), got[i], want[i])
					}
				}
			}
		}
	}
}

// sameOrNaN compares sums of a few small numbers to eight bits, and everything else exactly.
func sameOrNaN(t *testing.T, name string, got []float32, want []float64) {
	t.Helper()
	for i, w := range want {
		g := float64(got[i])
		if g == w || g != g && w != w || math.Abs(g-w) <= math.Abs(w)/128 {
			continue
		}
		t.Fatalf("%s: element %d is %v, want %v", name, i, g, w)
	}
}

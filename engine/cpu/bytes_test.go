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

// byteCase is a quantised convolution with what may be fused behind it.
type byteCase struct {
	n, cin, cout, h, w, kernel, stride, pad int
	bias, norm, relu                        bool
	residual                                string // "", "bytes", "floats"
	output                                  string // "bytes", "floats", "pooled", "both"
}

func randomByteCase(r *rand.Rand) byteCase {
	pick := func(v ...int) int { return v[r.IntN(len(v))] }
	c := byteCase{
		n: pick(1, 1, 2, 5, 17), cin: 4 * pick(1, 2, 3, 5, 16, 33), cout: pick(1, 3, 16, 40, 64, 70, 130),
		h: 1 + r.IntN(9), w: 1 + r.IntN(14), kernel: pick(1, 3, 3, 5), stride: pick(1, 1, 2),
		bias: r.IntN(2) == 0, norm: r.IntN(2) == 0, relu: r.IntN(2) == 0,
		residual: []string{"", "bytes", "floats"}[r.IntN(3)], output: []string{"bytes", "floats", "pooled", "both"}[r.IntN(4)],
	}
	c.pad = r.IntN(c.kernel/2 + 1)
	c.h, c.w = max(c.h, c.kernel), max(c.w, c.kernel)
	return c
}

// build returns the graph, the values of its inputs, its outputs, and the step of each: the
// difference of neighbouring numbers in its quantisation, or 0.
func (c byteCase) build(r *rand.Rand) (g *graph.Graph, feeds map[*graph.Node]*tensor.Tensor, outputs []*graph.Node, steps []float64) {
	g, feeds = graph.New(graph.Eval), map[*graph.Node]*tensor.Tensor{}
	in := func(name string, shape ...int) *graph.Node {
		n := g.Input(name, tensor.Float32, shape...)
		feeds[n] = conformance.Random(r, shape...)
		return n
	}
	variable := func(name string, shape ...int) *graph.Node {
		return g.Variable(&graph.Variable{Name: name, Value: conformance.Random(r, shape...)})
	}
	x := g.Apply(graph.Uint8(1.0/128, 0), in("x", c.n, c.cin, c.h, c.w).ReLU())
	scales := make([]float32, c.cout)
	for i := range scales {
		scales[i] = float32(0.005 + 0.01*r.Float64())
	}
	inputs := []*graph.Node{x, g.Apply(graph.Int8(scales...), variable("w", c.cout, c.cin, c.kernel, c.kernel))}
	if c.bias {
		inputs = append(inputs, variable("bias", c.cout))
	}
	y := g.Apply(graph.Conv2d{StrideH: c.stride, StrideW: c.stride, PadH: c.pad, PadW: c.pad, DilationH: 1, DilationW: 1, Groups: 1}, inputs...)
	if c.norm {
		gamma, beta := variable("gamma", c.cout), variable("beta", c.cout)
		variance := &graph.Variable{Name: "variance", Value: tensor.New(c.cout).Fill(float32(c.cin*c.kernel*c.kernel) / 12)}
		stats := g.Apply(graph.Stack{}, variable("mean", c.cout), g.Variable(variance))
		y = g.Apply(graph.BatchNorm{Eps: 1e-5, Frozen: true}, y, stats, gamma, beta)
	}
	if c.residual != "" {
		shortcut := in("residual", y.Shape...)
		if c.residual == "bytes" {
			shortcut = g.Apply(graph.Uint8(1.0/64, 100), shortcut)
		}
		y = y.Add(shortcut)
	}
	zero := 128
	if c.relu {
		y, zero = y.ReLU(), r.IntN(2)*20
	}
	step := 0.02
	if c.output == "floats" {
		return g, feeds, []*graph.Node{y}, []float64{0}
	}
	q := g.Apply(graph.Uint8(float32(step), zero), y)
	outputs, steps = []*graph.Node{q}, []float64{step}
	switch c.output {
	case "pooled":
		outputs, steps = append(outputs, g.Apply(graph.AdaptiveAvgPool2d{H: 1, W: 1}, q)), append(steps, step)
	case "both":
		outputs, steps = append(outputs, y), append(steps, 0)
	}
	return g, feeds, outputs, steps
}

// Results in 8 bits are within one step of those of the graph in float64, others within the
// error of bfloat16, and all are the same bits on every instruction set and any number of threads.
func TestConvolutionsOfBytes(t *testing.T) {
	r := rand.New(rand.NewPCG(61, 62))
	for i := range 80 {
		c := randomByteCase(r)
		t.Run(fmt.Sprintf("%d/%+v", i, c), func(t *testing.T) {
			g, feeds, outputs, steps := c.build(r)
			checkBytes(t, g, feeds, outputs, steps, c.residual == "floats" || c.output != "bytes")
		})
	}
}

func checkBytes(t *testing.T, g *graph.Graph, feeds map[*graph.Node]*tensor.Tensor, outputs []*graph.Node, steps []float64, rounded bool) {
	t.Helper()
	want := conformance.Case{Graph: g, Feeds: feeds, Outputs: outputs}.Reference()
	var first [][]float32
	for _, isa := range kernel.Available() {
		for threads := 1; threads <= 2; threads++ {
			got := evaluate(t, g, feeds, Options{Threads: threads, ISA: &isa}, engine.Spec{Outputs: outputs, Precision: engine.INT8})
			for i, n := range outputs {
				name := fmt.Sprintf("%v, %v, %d threads", n, isa, threads)
				if first != nil && !conformance.SameBits(first[i], got[i]) {
					t.Errorf("%s: other bits than %v", name, kernel.Available()[0])
				}
				if steps[i] == 0 {
					conformance.Compare(t, name, got[i], want[i], conformance.BF16Tolerance, 0.02)
					continue
				}
				for k, v := range got[i] {
					most := 1.001 * steps[i]
					if rounded { // to bfloat16
						most += math.Abs(want[i][k]) / 64
					}
					if !(math.Abs(float64(v)-want[i][k]) <= most) {
						t.Fatalf("%s: element %d is %v, want %v within %v", name, k, v, want[i][k], most)
					}
				}
			}
			if first == nil {
				first = got
			}
		}
	}
}

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

// sameBytes checks that a graph has the bits of direct sums by every tiling, on every
// instruction set, with one to three threads.
func sameBytes(t *testing.T, g *graph.Graph, feeds map[*graph.Node]*tensor.Tensor, outputs []*graph.Node) {
	t.Helper()
	portable := kernel.Portable
	want := evaluate(t, g, feeds, Options{Direct: true, ISA: &portable}, engine.Spec{Outputs: outputs, Precision: engine.INT8})
	for i := range tilings[1:] {
		for _, isa := range kernel.Available() {
			for threads := 1; threads <= 3; threads++ {
				got := evaluateIn(t, engine.INT8, &tilings[1+i], g, feeds, outputs, Options{Threads: threads, ISA: &isa})
				for o := range outputs {
					if !conformance.SameBits(got[o], want[o]) {
						t.Errorf("F(%d,3), %v, %d threads: output %d has other bits than direct sums", tilings[1+i].m, isa, threads, o)
					}
				}
			}
		}
	}
}

// TestWinogradBytes checks that convolutions of 8 bits by tilings, with all that is fused
// behind them, have the bits of direct sums, for any number of threads.
func TestWinogradBytes(t *testing.T) {
	r := rand.New(rand.NewPCG(65, 66))
	for i := range 40 {
		c := randomByteCase(r)
		c.kernel, c.stride, c.pad = 3, 1, r.IntN(3)
		c.h, c.w = max(c.h, 3), max(c.w, 3)
		t.Run(fmt.Sprintf("%d/%+v", i, c), func(t *testing.T) {
			g, feeds, outputs, _ := c.build(r)
			sameBytes(t, g, feeds, outputs)
		})
	}
}

// TestWinogradBytesExtremes checks layers of the largest inputs and weights: images of one
// value and checkerboards, and weights whose signs add up. Those of the last two have sums
// that a tiling cannot compute.
func TestWinogradBytesExtremes(t *testing.T) {
	const n, size, out = 2, 9, 16
	for _, c := range []struct {
		name     string
		channels int
		pixel    func(y, x int) float32
		weight   func(tap int) float32
	}{
		{"zeros", 64, func(y, x int) float32 { return 0 }, func(int) float32 { return 127 }},
		{"largest", 64, func(y, x int) float32 { return 255 }, func(int) float32 { return 127 }},
		{"checkerboard", 64, func(y, x int) float32 { return float32(255 * ((y + x) % 2)) }, func(tap int) float32 { return float32(127 * (1 - 2*(tap%2))) }},
		{"lines", 112, func(y, x int) float32 { return float32(255 * (x % 2)) }, func(tap int) float32 { return float32(127 * (1 - 2*(tap%2))) }},
		{"too large", 128, func(y, x int) float32 { return 255 }, func(int) float32 { return 127 }},
		{"too small", 128, func(y, x int) float32 { return 255 }, func(int) float32 { return -127 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := graph.New(graph.Eval)
			x, w := tensor.New(n, c.channels, size, size), tensor.New(out, c.channels, 3, 3)
			for i := range x.Data() {
				x.Data()[i] = c.pixel(i/size%size, i%size)
			}
			for i := range w.Data() {
				w.Data()[i] = c.weight(i % 9)
			}
			in, v := g.Input("x", tensor.Float32, x.Shape()...), g.Variable(&graph.Variable{Name: "w", Value: w})
			y := g.Apply(graph.Conv2d{StrideH: 1, StrideW: 1, PadH: 1, PadW: 1, DilationH: 1, DilationW: 1, Groups: 1},
				g.Apply(graph.Uint8(1, 0), in), g.Apply(graph.Int8(1), v))
			sameBytes(t, g, map[*graph.Node]*tensor.Tensor{in: x}, []*graph.Node{y, g.Apply(graph.Uint8(1<<18, 128), y)})
		})
	}
}

// TestChooseByteTiling checks the choice for the shapes of common networks.
func TestChooseByteTiling(t *testing.T) {
	for _, c := range []struct{ n, channels, size, want int }{
		{64, 64, 24, 4}, {64, 128, 12, 4}, {64, 512, 3, 0}, {1, 64, 24, 4}, {1, 64, 12, 0}, {1, 128, 12, 0}, {1, 256, 6, 0},
		{1, 64, 56, 4}, {1, 128, 28, 4}, {1, 256, 14, 0}, {1, 512, 7, 0},
		{16, 64, 56, 4}, {16, 256, 14, 4}, {64, 16, 32, 0}, {64, 33, 24, 0}, {64, 64, 1, 0},
	} {
		taps := 9*c.size*c.size - 4*3*c.size + 4 // those inside the image
		if f, _ := chooseByteTiling(c.n, c.channels, c.channels, c.size, c.size, taps); f.m != c.want {
			t.Errorf("%d images of %d channels, %dx%d: F(%d,3), want F(%d,3)", c.n, c.channels, c.size, c.size, f.m, c.want)
		}
	}
}

package cpu

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/conformance"
	"github.com/residual-ml/residual/engine/cpu/kernel"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/tensor"
)

// TestSmallBatchesOfBF16 compares convolutions of a few images, which are computed by tables of
// rows, by strips of lines or as single products, bit by bit between all kernels (without a
// scale all of them round alike) and with float32 within the error of bfloat16.
func TestSmallBatchesOfBF16(t *testing.T) {
	for i, c := range []struct {
		in, out, kernel, size int
		conv                  nn.Conv
	}{
		{1, 64, 7, 20, nn.Conv{Stride: 2, Padding: 3}}, {3, 64, 7, 21, nn.Conv{Stride: 2, Padding: 3}}, {3, 24, 5, 9, nn.Conv{Padding: 4}},
		{3, 16, 3, 15, nn.Conv{Padding: 1}}, {5, 33, 3, 8, nn.Conv{Padding: 1, Dilation: 2}}, {7, 32, 2, 9, nn.Conv{Stride: 3}},
		{32, 64, 3, 13, nn.Conv{Stride: 2, Padding: 1}}, {64, 96, 3, 5, nn.Conv{Stride: 2, Padding: 1}}, {34, 64, 3, 4, nn.Conv{Padding: 3}},
		{64, 64, 3, 7, nn.Conv{Padding: 1, Groups: 2}}, {32, 32, 1, 9, nn.Conv{Stride: 2}}, {32, 64, 1, 6, nn.Conv{}}, {32, 40, 1, 6, nn.Conv{}},
		{2048, 64, 1, 4, nn.Conv{}}, {32, 32, 5, 7, nn.Conv{Padding: 2, Dilation: 2, Stride: 2}},
	} {
		for _, n := range []int{1, 2, 5, stripImages + 5} {
			if n > 5 && c.in > 7 {
				continue // only strips treat so many images in another way
			}
			rng := rand.New(rand.NewPCG(uint64(i), uint64(n)))
			layer := nn.NewConv2d(c.in, c.out, c.kernel, c.conv)
			nn.Init(layer, uint64(i), nn.KaimingNormal)
			images := conformance.Random(rng, n, c.in, c.size, c.size)
			run := func(isa kernel.ISA, precision engine.Precision) []float32 {
				g := graph.New(graph.Eval)
				x := g.Input("x", tensor.Float32, n, c.in, c.size, c.size)
				y := layer.Forward(x).ReLU()
				return evaluate(t, g, map[*graph.Node]*tensor.Tensor{x: images}, Options{Threads: 2, ISA: &isa}, engine.Spec{Outputs: []*graph.Node{y}, Precision: precision})[0]
			}
			what := fmt.Sprintf("%d images, %+v", n, c)
			exact, want := run(kernel.Portable, engine.FP32), run(kernel.Portable, engine.BF16)
			for j, v := range want {
				if d := v - exact[j]; d > 0.1 || d < -0.1 {
					t.Fatalf("%s: element %d is %v, in float32 %v", what, j, v, exact[j])
				}
			}
			for _, isa := range kernel.Available() {
				integers := kernel.For(isa).Int16.ForBF16 && c.kernel == 1 // have other sums
				if isa != kernel.AMX && !integers && !slices.Equal(run(isa, engine.BF16), want) {
					t.Errorf("%s: %v has other bits than plain Go", what, isa)
				}
			}
		}
	}
}

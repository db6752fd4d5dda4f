package cpu

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/residual-ml/residual/engine/conformance"
	"github.com/residual-ml/residual/engine/cpu/kernel"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/internal/amxemu"
	"github.com/residual-ml/residual/tensor"
)

// TestAMX checks convolutions of the ResNet family with their gradients, and a
// linear layer, on every instruction set including AMX, whose tiles they divide in
// different ways.
func TestAMX(t *testing.T) {
	if !slices.Contains(kernel.Available(), kernel.AVX512BF16) {
		t.Skip("AMX needs assembly, which this build leaves out, or the AVX512_BF16 that this processor lacks")
	}
	amxemu.Test(t, slices.Contains(kernel.Available(), kernel.AMX), func(t *testing.T) {
		r := rand.New(rand.NewPCG(13, 14))
		for _, c := range []struct{ n, in, out, size, kernel, stride, groups int }{
			{3, 1, 40, 12, 7, 2, 1}, // the first convolution, of grey and of coloured images
			{2, 3, 16, 11, 7, 2, 1},
			{17, 16, 33, 4, 3, 1, 1},
			{5, 40, 34, 5, 3, 2, 1},
			{5, 34, 40, 4, 1, 2, 1}, // a shortcut
			{2, 24, 24, 3, 3, 1, 4},
			{1, 34, 33, 5, 3, 1, 1}, // one image
		} {
			op := graph.Conv2d{
				StrideH: c.stride, StrideW: c.stride, PadH: c.kernel / 2, PadW: c.kernel / 2,
				DilationH: 1, DilationW: 1, Groups: c.groups,
			}
			conformance.Op(t, r, check, op, tensor.Shape{c.n, c.in, c.size, c.size}, tensor.Shape{c.out, c.in / c.groups, c.kernel, c.kernel}, tensor.Shape{c.out})
		}
		conformance.Op(t, r, check, graph.Linear{}, tensor.Shape{33, 50}, tensor.Shape{35, 50}, tensor.Shape{35})
	})
}

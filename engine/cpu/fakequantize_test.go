package cpu

import (
	"math/rand/v2"
	"testing"

	"github.com/residual-ml/residual/engine/conformance"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/tensor"
)

// Scales are powers of two, so that rounding to bfloat16 changes no quantised value.
func TestFakeQuantize(t *testing.T) {
	r := rand.New(rand.NewPCG(51, 52))
	for _, s := range []tensor.Shape{{5}, {33, 5}, {3, 5, 9}, {2, 5, 3, 5}, {20, 5, 30, 6}, {2, 5, 2, 3, 2}} {
		several := graph.FakeQuantize{Scale: []float32{1, 0.5, 0.25, 1.0 / 8, 1.0 / 64}, Axis: min(1, len(s)-1), Low: -3, High: 4}
		for _, op := range []graph.FakeQuantize{graph.Uint8(1.0/64, 0), graph.Uint8(1.0/32, 128), graph.Int8(1.0 / 64), several} {
			conformance.Op(t, r, check, op, s)
		}
	}
}

//go:build cuda && !windows

package cuda

import (
	"fmt"
	"testing"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/conformance"
	"github.com/residual-ml/residual/engine/cuda/emulate"
)

// emulated opens a device on an emulated GPU, or on the real GPU that emulate.Real names.
// It skips the test if there is neither.
func emulated(t testing.TB) (*Device, *emulate.GPU) {
	t.Helper()
	return emulate.Open(t, New)
}

// tf32Tolerance allows several successive roundings to eleven bits.
const tf32Tolerance = 0.02 / 8

// The device must pass the conformance cases of the CPU, fused and unfused, in every
// precision. Running threads in either order must give the same bits.
func TestConformance(t *testing.T) {
	d, gpu := emulated(t)
	conformance.Run(t, func(t *testing.T, c conformance.Case) {
		t.Helper()
		want := c.Reference()
		for _, precision := range []engine.Precision{engine.FP32, engine.TF32, engine.BF16} {
			tolerance, free := c.Tolerance, 0.0
			switch precision {
			case engine.BF16:
				tolerance, free = conformance.BF16Tolerance, c.Flips
			case engine.TF32:
				tolerance, free = max(tolerance, tf32Tolerance), c.Flips
			}
			var first [][]float32
			for _, unfused := range []bool{false, false, true} {
				gpu.Backward = first != nil
				spec := engine.Spec{Outputs: c.Outputs, Unfused: unfused, Precision: precision}
				got := conformance.Evaluate(t, d, c.Graph, c.Feeds, spec)
				for i, n := range c.Outputs {
					name := fmt.Sprintf("%v, %v, unfused %v", n, precision, unfused)
					conformance.Compare(t, name, got[i], want[i], tolerance, free)
					if !unfused && first != nil && !conformance.SameBits(first[i], got[i]) {
						t.Errorf("%s: other bits when threads run in another order", name)
					}
				}
				if !unfused {
					first = got
				}
			}
		}
	})
}

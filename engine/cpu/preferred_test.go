package cpu

import (
	"testing"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu/kernel"
)

// TestPreferred holds that a device prefers bfloat16 where its kernels multiply it or 16-bit
// integers, and for inference with AVX-512.
func TestPreferred(t *testing.T) {
	for _, isa := range kernel.Available() {
		d, err := New(Options{Threads: 1, ISA: &isa})
		if err != nil {
			t.Fatal(err)
		}
		set := kernel.For(isa)
		precision := map[bool]engine.Precision{false: engine.FP32, true: engine.BF16}
		want := map[engine.Purpose]engine.Precision{
			engine.Inference: precision[isa != kernel.Portable && isa != kernel.AVX2], engine.Training: precision[set.BF16.Native || isa == kernel.AVX512VNNI],
		}
		if set.BF16.Native && set.Int16.ForBF16 {
			t.Errorf("%v multiplies bfloat16, but is said to do it faster with integers", isa)
		}
		for purpose, want := range want {
			if got := d.Preferred(purpose); got != want || PreferredBy(set, purpose) != want {
				t.Errorf("%v prefers %v for purpose %d", isa, got, purpose)
			}
		}
		d.Close()
	}
}

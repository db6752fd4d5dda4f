package cpu

import (
	"testing"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu/kernel"
)

// TestPreferred holds that a device prefers bfloat16 where its kernels multiply it, whichever
// the instruction set.
func TestPreferred(t *testing.T) {
	for _, isa := range kernel.Available() {
		d, err := New(Options{Threads: 1, ISA: &isa})
		if err != nil {
			t.Fatal(err)
		}
		set := kernel.For(isa)
		want := map[bool]engine.Precision{false: engine.FP32, true: engine.BF16}[set.BF16.Native]
		if set.BF16.Native && set.Int16.ForBF16 {
			t.Errorf("%v multiplies bfloat16, but is said to do it faster with integers", isa)
		}
		if d.Preferred() != want || PreferredBy(set) != want {
			t.Errorf("%v prefers %v", isa, d.Preferred())
		}
		d.Close()
	}
}

package cpu

import (
	"fmt"
	"testing"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/conformance"
	"github.com/residual-ml/residual/engine/cpu/kernel"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/tensor"
)

func TestConformance(t *testing.T) { conformance.Run(t, check) }

func TestConformanceOfOperations(t *testing.T) { conformance.RunOperations(t, check) }

// check runs a case on the device, fused and unfused, in both precisions, on every
// instruction set and with one to three threads.
func check(t *testing.T, c conformance.Case) {
	t.Helper()
	want := c.Reference()
	for _, isa := range kernel.Available() {
		for _, precision := range []engine.Precision{engine.FP32, engine.BF16} {
			if precision == engine.FP32 && isa > kernel.AVX512 {
				continue // its kernels are those of AVX512
			}
			tolerance, free := c.Tolerance, 0.0
			if precision == engine.BF16 {
				tolerance, free = conformance.BF16Tolerance, c.Flips
			}
			var first [][]float32
			for threads := 1; threads <= 3; threads++ {
				for _, unfused := range []bool{false, true} {
					spec := engine.Spec{Outputs: c.Outputs, Unfused: unfused, Precision: precision}
					got := evaluate(t, c.Graph, c.Feeds, Options{Threads: threads, ISA: &isa}, spec)
					for i, n := range c.Outputs {
						name := fmt.Sprintf("%v, %v, %v, %d threads, unfused %v", n, isa, precision, threads, unfused)
						conformance.Compare(t, name, got[i], want[i], tolerance, free)
						if !unfused && first != nil && !conformance.SameBits(first[i], got[i]) {
							t.Errorf("%s: other bits than with one thread", name)
						}
					}
					if !unfused && first == nil {
						first = got
					}
				}
			}
		}
	}
}

func evaluate(t *testing.T, g *graph.Graph, feeds map[*graph.Node]*tensor.Tensor, o Options, spec engine.Spec) [][]float32 {
	t.Helper()
	d, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	return conformance.Evaluate(t, d, g, feeds, spec)
}

package cpu

import (
	"math/rand/v2"
	"testing"

	"github.com/residual-ml/residual/engine/conformance"
	"github.com/residual-ml/residual/engine/cpu/kernel"
	"github.com/residual-ml/residual/tensor"
)

// TestImageUpload compares images in the layout of the device, in both types and for every
// kernel, with the elements one by one.
func TestImageUpload(t *testing.T) {
	rng := rand.New(rand.NewPCG(12, 8))
	for _, isa := range kernel.Available() {
		set, p := kernel.For(isa), newPool(2)
		u := newImageUpload(set, 2)
		for _, c := range []struct{ rows, pixels int }{{1, 1}, {1, 9001}, {2, 70}, {3, 5000}, {3, 7}, {6, 64}, {31, 65}, {32, 130}, {33, 100}, {48, 200}, {100, 3}} {
			src := conformance.Random(rng, c.rows, c.pixels).Data()
			full, bf16 := alloc(len(src)), make([]uint16, len(src))
			u.run(p, activation{full: full}, src, c.rows, c.pixels)
			u.run(p, activation{bf16: bf16}, src, c.rows, c.pixels)
			for i, v := range src {
				at := i%c.pixels*c.rows + i/c.pixels
				if full[at] != v || bf16[at] != tensor.ToBFloat16(v) {
					t.Fatalf("%v, %d rows of %d pixels: element %d became %v and %#04x, want %v", isa, c.rows, c.pixels, i, full[at], bf16[at], v)
				}
			}
		}
		p.close()
	}
}

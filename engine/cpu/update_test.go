package cpu

import (
	"math"
	"testing"
)

// allFinite must find an infinity or NaN of either sign at every index, and must accept
// every finite number.
func TestAllFinite(t *testing.T) {
	good := []float32{0, float32(math.Copysign(0, -1)), 1, -1, math.MaxFloat32, -math.MaxFloat32, math.SmallestNonzeroFloat32, 1e-40, -1e-40, 3e38}
	bad := []float32{
		float32(math.Inf(1)), float32(math.Inf(-1)), float32(math.NaN()), math.Float32frombits(0xffffffff), math.Float32frombits(0x7f800001),
	}
	for n := range 40 {
		x := make([]float32, n)
		for i := range x {
			x[i] = good[i%len(good)]
		}
		if !allFinite(x) {
			t.Errorf("%v are finite", x)
		}
		for i := range x {
			for _, v := range bad {
				was := x[i]
				if x[i] = v; allFinite(x) {
					t.Errorf("%d numbers with %v at %d", n, v, i)
				}
				x[i] = was
			}
		}
	}
}

// BenchmarkAllFinite checks as many numbers as ResNet-18 has parameters.
func BenchmarkAllFinite(b *testing.B) {
	x := make([]float32, 11_178_378)
	for i := range x {
		x[i] = float32(i)
	}
	b.SetBytes(int64(4 * len(x)))
	for b.Loop() {
		if !allFinite(x) {
			b.Fatal("they are")
		}
	}
}

package kernel

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// BenchmarkDotInt16 reports the speed of products of one panel, as in the transformed
// domain of Winograd's convolution, as a share of the peak on registers alone.
func BenchmarkDotInt16(b *testing.B) {
	for _, c := range []struct {
		rows, k    int
		accumulate bool
	}{
		{14, 64, false}, {112, 64, false}, {112, 128, false}, {112, 128, true}, {448, 64, false}, {448, 128, false}, {448, 128, true}, {49, 128, false}, {9, 128, false},
	} {
		for _, isa := range Available() {
			b.Run(fmt.Sprintf("rows%d-k%d-%v/%v", c.rows, c.k, c.accumulate, isa), func(b *testing.B) {
				s := For(isa).Int16
				rng := rand.New(rand.NewPCG(1, 2))
				x, w := make([]int16, c.rows*c.k), make([]int16, c.k*s.Cols)
				for i := range x {
					x[i] = int16(rng.IntN(1<<12) - 1<<11)
				}
				for i := range w {
					w[i] = int16(rng.IntN(1<<12) - 1<<11)
				}
				scale, y := fill(rng, make([]float32, s.Cols)), make([]float32, c.rows*s.Cols)
				run := func() { s.Dot(y, s.Cols, x, c.k, w, scale, c.k, c.rows, s.Cols, c.accumulate) }
				for b.Loop() {
					run()
				}
				const rounds = 1 << 10
				peak := s.PeakDot(rounds) / fastest(func() { s.PeakDot(rounds) }).Seconds()
				ops := 2 * float64(c.rows*s.Cols*c.k) / fastest(run).Seconds()
				b.ReportMetric(ops/peak, "of-peak")
				b.ReportMetric(ops/1e9, "Gop/s")
			})
		}
	}
}

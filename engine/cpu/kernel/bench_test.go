package kernel

import (
	"math/rand/v2"
	"testing"
	"time"
)

// peakOf is the machine's peak in operations a second, measured beside a
// benchmark.
func peakOf(set *Set) float64 {
	const n = 1 << 17
	set.PeakFMA(n)
	best := 0.0
	for range 5 {
		start := time.Now()
		flops := set.PeakFMA(n)
		best = max(best, flops/time.Since(start).Seconds())
	}
	return best
}

// BenchmarkGemm reports each product as a share of the peak of registers only.
func BenchmarkGemm(b *testing.B) {
	for _, c := range []struct {
		name           string
		rows, k, segs  int
		weightGradient bool
	}{
		{name: "K64x9segs-rows1408", rows: 1408, k: 64, segs: 9},
		{name: "K512x9segs-rows64", rows: 64, k: 512, segs: 9},
		{name: "K1x49segs-rows1408", rows: 1408, k: 1, segs: 49},
		{name: "wgrad-K64x24segs-rows13", rows: 13, k: 64, segs: 24, weightGradient: true},
	} {
		for _, isa := range Available() {
			b.Run(c.name+"/"+isa.String(), func(b *testing.B) {
				set := For(isa)
				x := make([]float32, 1<<21)
				w := make([]float32, 1<<20)
				y := make([]float32, c.rows*set.Cols)
				rng := rand.New(rand.NewPCG(1, 2))
				fill(rng, x)
				fill(rng, w)
				ars, aks, bks := c.k, 1, set.Cols
				if c.weightGradient {
					ars, aks, bks = 1, 64, 64
				}
				var segs []Seg
				for s := range c.segs {
					seg := Seg{A: s * c.k, B: s * c.k * set.Cols}
					if c.weightGradient {
						seg = Seg{A: s * c.k * aks, B: s * c.k * bks}
					}
					segs = append(segs, seg)
				}
				peak := peakOf(set)
				b.ResetTimer()
				for b.Loop() {
					set.Gemm(y, set.Cols, x, ars, aks, w, bks, segs, c.k, c.rows, set.Cols, false)
				}
				flops := 2 * float64(c.rows) * float64(set.Cols) * float64(c.k*c.segs) * float64(b.N)
				b.ReportMetric(flops/b.Elapsed().Seconds()/peak, "of-peak")
				b.ReportMetric(flops/b.Elapsed().Seconds()/1e9, "GFLOP/s")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

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

// BenchmarkPasses reports the time an element of the passes over a block of 64
// images and 64 channels, which lies in the caches.
func BenchmarkPasses(b *testing.B) {
	const rows, n = 256, 64
	rng := rand.New(rand.NewPCG(1, 2))
	block := func() []float32 { return fill(rng, make([]float32, rows*n+64)) }
	x, y, dy, dx, res := block(), block(), block(), block(), block()
	p, q, r, s := block(), block(), block(), block()
	offs := make([]int, 9)
	for i := range offs {
		offs[i] = i * n
	}
	pooled := rows*n - 8*n
	for _, c := range []struct {
		name     string
		elements int
		run      func(k *Set)
	}{
		{"MeanM2", rows * n, func(k *Set) { k.MeanM2(p, q, x, rows, n, n) }},
		{"ScaleShift", rows * n, func(k *Set) { k.ScaleShift(y, x, p, q, res, true, rows, n, n) }},
		{"BNReduce", rows * n, func(k *Set) { k.BNReduce(p, q, dy, y, x, r, rows, n, n) }},
		{"BNGrad", rows * n, func(k *Set) { k.BNGrad(dx, res, s, dy, y, x, p, q, r, rows, n, n) }},
		{"SumRows", rows * n, func(k *Set) { k.SumRows(p, x, rows, n, n) }},
		{"MaxPool9", pooled, func(k *Set) { k.MaxPool(y, x, offs, pooled) }},
		{"MaxPoolGrad9", pooled, func(k *Set) { k.MaxPoolGrad(dx, dy, x, y, offs, pooled) }},
		{"Add", rows * n, func(k *Set) { k.Add(dx[:rows*n], x, y) }},
		{"Axpy", rows * n, func(k *Set) { k.Axpy(dx[:rows*n], 1e-9, x) }},
		{"ReLU", rows * n, func(k *Set) { k.ReLU(dx[:rows*n], x) }},
		{"ReLUGrad", rows * n, func(k *Set) { k.ReLUGrad(dx[:rows*n], dy, y) }},
		{"Pack", 16 * n, func(k *Set) { k.Pack(dx, x, n, 16, n, k.Cols) }},
		{"PackTransposed", 16 * rows, func(k *Set) { k.PackTransposed(dx, x, 16, rows, rows, k.Cols) }},
	} {
		for _, isa := range Available() {
			b.Run(c.name+"/"+isa.String(), func(b *testing.B) {
				set := For(isa)
				for b.Loop() {
					c.run(set)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(c.elements), "ns/element")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

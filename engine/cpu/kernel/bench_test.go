package kernel

import (
	"math/rand/v2"
	"testing"
	"time"
)

// fastest returns the shortest time of one run of f within about a fifth of a second. On a
// shared machine only the shortest time is meaningful.
func fastest(f func()) time.Duration {
	best := time.Duration(1 << 62)
	for begin := time.Now(); time.Since(begin) < 200*time.Millisecond; {
		start := time.Now()
		f()
		best = min(best, time.Since(start))
	}
	return best
}

// peakOf returns the machine's peak in operations a second.
func peakOf(set *Set) float64 {
	const n = 1 << 14
	return set.PeakFMA(n) / fastest(func() { set.PeakFMA(n) }).Seconds()
}

// products are shapes of real layers.
var products = []struct {
	name           string
	rows, k, segs  int
	weightGradient bool
	narrow         bool // half the columns
}{
	{name: "K64x9segs-rows1408", rows: 1408, k: 64, segs: 9},
	{name: "K512x9segs-rows64", rows: 64, k: 512, segs: 9},
	{name: "K1x49segs-rows1408", rows: 1408, k: 1, segs: 49},
	{name: "K16-rows32", rows: 32, k: 16, segs: 1},
	{name: "K32-rows32", rows: 32, k: 32, segs: 1},
	{name: "K64-rows32", rows: 32, k: 64, segs: 1},
	{name: "K64x9segs-rows56-half", rows: 56, k: 64, segs: 9, narrow: true},
	{name: "wgrad-K64x24segs-rows13", rows: 13, k: 64, segs: 24, weightGradient: true},
	{name: "wgrad-K64x24segs-rows12", rows: 12, k: 64, segs: 24, weightGradient: true},
}

// BenchmarkGemm reports the speed of each product as a share of the peak on registers
// alone, both at their fastest.
func BenchmarkGemm(b *testing.B) {
	for _, c := range products {
		for _, isa := range Available() {
			b.Run(c.name+"/"+isa.String(), func(b *testing.B) {
				set := For(isa)
				rng := rand.New(rand.NewPCG(1, 2))
				x, w := fill(rng, make([]float32, 1<<20)), fill(rng, make([]float32, 1<<18))
				y := make([]float32, c.rows*set.Cols)
				ars, aks, bks, cols := c.k, 1, set.Cols, set.Cols
				if c.narrow {
					cols /= 2
				}
				if c.weightGradient {
					ars, aks, bks = 1, 64, 64
				}
				var segs []Seg
				for s := range c.segs {
					segs = append(segs, Seg{A: s * c.k * aks, B: s * c.k * bks})
				}
				run := func() {
					set.Gemm(y, set.Cols, x, ars, aks, w, bks, segs, c.k, c.rows, cols, false)
				}
				for b.Loop() {
					run()
				}
				flops := 2 * float64(c.rows*cols*c.k*c.segs) / fastest(run).Seconds()
				b.ReportMetric(flops/peakOf(set), "of-peak")
				b.ReportMetric(flops/1e9, "GFLOP/s")
			})
		}
	}
}

// BenchmarkPasses reports the time per element of the passes over a block of 256 rows and
// 64 channels, which stays in the second-level cache.
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
		{"BNReduce", rows * n, func(k *Set) { k.BNReduce(p, q, dy, y, x, r, nil, rows, n, n) }},
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
				best := fastest(func() { c.run(set) })
				b.ReportMetric(float64(best.Nanoseconds())/float64(c.elements), "ns/element")
			})
		}
	}
}

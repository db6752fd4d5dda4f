package kernel

import (
	"math/rand/v2"
	"testing"
)

// BenchmarkMix2 reports the time a lane of the output of one tile of pixels of
// 64 x 64 values. In "planes" every pixel of the transformed tile is the row of
// a matrix of its own, as a convolution has it, and a power of two away from the
// next. Add, which reads two values and writes one, is beside it.
func BenchmarkMix2(b *testing.B) {
	const n = 64 * 64
	rng := rand.New(rand.NewPCG(1, 2))
	src, dst := fill(rng, make([]float32, mixMost*mixMost*n)), fill(rng, make([]float32, mixMost*mixMost*n))
	scratch := make([]float32, MixScratch)
	for _, isa := range Available() {
		set := For(isa)
		b.Run("Add/"+isa.String(), func(b *testing.B) {
			run := func() { set.Add(dst[:16*n], src, src[8*n:]) }
			for b.Loop() {
				run()
			}
			b.ReportMetric(float64(fastest(run).Nanoseconds())/(16*n), "ns/lane")
		})
		for _, kind := range []Mix{Input2, Output2, Input3, Output3, Input4, Output4, Filter4, OutputGrad4} {
			b.Run(kind.String()+"/"+isa.String(), func(b *testing.B) {
				outs, ins := kind.Size()
				run := func() {
					set.Mix2(kind, dst, src, outs*n, n, ins*n, n, n, 0, ins, 0, ins, outs, outs, scratch)
				}
				for b.Loop() {
					run()
				}
				lanes := float64(outs * outs * n)
				best := float64(fastest(run).Nanoseconds())
				b.ReportMetric(best/lanes, "ns/lane")
				b.ReportMetric(4*(lanes+float64(ins*ins*n))/best, "GB/s")
			})
		}
	}
}

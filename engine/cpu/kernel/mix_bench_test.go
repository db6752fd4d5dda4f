package kernel

import (
	"math/rand/v2"
	"testing"
)

// BenchmarkMix2 reports the time a lane of the output of a tile of pixels of
// 64 x 64 values, a power of two apart, which is the hard case; input and output
// together fill the second cache. Scale, which reads and writes as many values
// as Input4 one after the other, is beside it.
func BenchmarkMix2(b *testing.B) {
	const n = 64 * 64
	rng := rand.New(rand.NewPCG(1, 2))
	src, dst := fill(rng, make([]float32, mixMost*mixMost*n)), fill(rng, make([]float32, mixMost*mixMost*n))
	scratch := make([]float32, MixScratch)
	for _, isa := range Available() {
		set := For(isa)
		b.Run("Scale/"+isa.String(), func(b *testing.B) {
			run := func() { set.Scale(dst, 2, src) }
			for b.Loop() {
				run()
			}
			b.ReportMetric(float64(fastest(run).Nanoseconds())/float64(len(dst)), "ns/lane")
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

package kernel

import (
	"math/rand/v2"
	"testing"
)

// dots are shapes of real layers: rows of a tile of pixels, channels, taps.
var dots = []struct {
	name          string
	rows, k, segs int
	narrow        bool // half the columns
}{
	{name: "K128-rows14", rows: 14, k: 128, segs: 1},
	{name: "K64x9segs-rows448", rows: 448, k: 64, segs: 9},
	{name: "K128x9segs-rows448", rows: 448, k: 128, segs: 9},
	{name: "K256x9segs-rows448", rows: 448, k: 256, segs: 9},
	{name: "K512x9segs-rows448", rows: 448, k: 512, segs: 9},
	{name: "K512x9segs-rows64", rows: 64, k: 512, segs: 9},
	{name: "K64-rows448", rows: 448, k: 64, segs: 1},
	{name: "K64x9segs-rows56-half", rows: 56, k: 64, segs: 9, narrow: true},
	{name: "K2048-rows13", rows: 13, k: 2048, segs: 1},
}

// BenchmarkDot reports the speed of each product as a share of the peak on registers
// alone, both at their fastest.
func BenchmarkDot(b *testing.B) {
	for _, c := range dots {
		for _, isa := range Available() {
			b.Run(c.name+"/"+isa.String(), func(b *testing.B) {
				bf16 := For(isa).BF16
				rng := rand.New(rand.NewPCG(1, 2))
				x, w := make([]uint16, (c.rows+c.segs)*c.k), make([]uint16, c.segs*c.k*bf16.Cols)
				narrowPortable(x, fill(rng, make([]float32, len(x))))
				narrowPortable(w, fill(rng, make([]float32, len(w))))
				y := make([]float32, c.rows*bf16.Cols)
				cols := bf16.Cols
				if c.narrow {
					cols /= 2
				}
				var segs []Seg
				for s := range c.segs { // of an image in rows of pixels, neighbours' rows overlap
					segs = append(segs, Seg{A: s * c.k, B: s * c.k * bf16.Cols})
				}
				run := func() { bf16.Dot(y, bf16.Cols, x, c.k, w, segs, c.k, c.rows, cols, false) }
				for b.Loop() {
					run()
				}
				const rounds = 1 << 13
				peak := bf16.PeakDot(rounds) / fastest(func() { bf16.PeakDot(rounds) }).Seconds()
				flops := 2 * float64(c.rows*cols*c.k*c.segs) / fastest(run).Seconds()
				b.ReportMetric(flops/peak, "of-peak")
				b.ReportMetric(flops/1e9, "GFLOP/s")
			})
		}
	}
}

package kernel

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// BenchmarkDotInt8 reports the speed of products of one panel with results of 8 bits as a
// share of the peak on registers alone.
func BenchmarkDotInt8(b *testing.B) {
	for _, c := range []struct {
		rows, k, segs, cols int
		residual            bool
	}{
		{rows: 448, k: 64, segs: 9, cols: 64}, {rows: 448, k: 128, segs: 9, cols: 64}, {rows: 448, k: 256, segs: 9, cols: 64}, {rows: 448, k: 512, segs: 9, cols: 64},
		{rows: 448, k: 64, segs: 9, cols: 64, residual: true}, {rows: 49, k: 512, segs: 9, cols: 64, residual: true},
		{rows: 448, k: 64, segs: 1, cols: 64}, {rows: 448, k: 64, segs: 1, cols: 64, residual: true}, {rows: 448, k: 256, segs: 1, cols: 64}, {rows: 448, k: 512, segs: 1, cols: 64},
		{rows: 448, k: 64, segs: 9, cols: 32}, {rows: 448, k: 32, segs: 9, cols: 32}, {rows: 448, k: 16, segs: 9, cols: 16}, {rows: 448, k: 48, segs: 9, cols: 48},
	} {
		for _, isa := range Available() {
			b.Run(fmt.Sprintf("%dx%d-k%dx%d-%v/%v", c.rows, c.cols, c.k, c.segs, c.residual, isa), func(b *testing.B) {
				s := For(isa).Int8
				rng := rand.New(rand.NewPCG(1, 2))
				x, w := make([]uint8, (c.rows+c.segs)*c.k), make([]int8, c.segs*c.k*s.Cols)
				for i := range x {
					x[i] = uint8(rng.IntN(256))
				}
				for i := range w {
					w[i] = int8(rng.IntN(255) - 127)
				}
				cols := min(c.cols, s.Cols)
				e := Epilogue{Scale: fill(rng, make([]float32, cols)), Shift: fill(rng, make([]float32, cols)), Bounded: true}
				y := make([]uint8, c.rows*cols)
				if c.residual {
					e.Bytes, e.BytesScale = make([]uint8, len(y)), 1
				}
				var segs []Seg
				for t := range c.segs { // of an image in rows of pixels, neighbours' rows overlap
					segs = append(segs, Seg{A: t * c.k, B: t * c.k * s.Cols})
				}
				run := func() { s.DotBytes(y, cols, x, c.k, w, segs, c.k, c.rows, cols, e, nil, 0) }
				for b.Loop() {
					run()
				}
				const rounds = 1 << 10
				peak := s.PeakDot(rounds) / fastest(func() { s.PeakDot(rounds) }).Seconds()
				ops := 2 * float64(c.rows*cols*c.k*c.segs) / fastest(run).Seconds()
				b.ReportMetric(ops/peak, "of-peak")
				b.ReportMetric(ops/1e9, "Gop/s")
			})
		}
	}
}

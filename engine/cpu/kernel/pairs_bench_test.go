package kernel

import (
	"math/rand/v2"
	"testing"
)

// BenchmarkPairs reports how many bytes a second the passes around products of bfloat16 read
// and write, next to a copy of as many bytes as they read.
func BenchmarkPairs(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 2))
	const most = 1 << 22
	words, out, floats := make([]uint16, most), make([]uint16, most), make([]float32, most)
	fill(rng, floats)
	narrowPortable(words, floats)
	scale, shift := fill(rng, make([]float32, 64)), fill(rng, make([]float32, 64))
	taps := make([]int, 49)
	for t := range taps {
		taps[t] = 256 * 3 * (8*(t/7) + t%7) // of an image of 8 columns, of 256 in the batch
	}
	rowsOf64, rowsOf512 := make([]int, 64), make([]int, 256)
	for i := range rowsOf512 {
		rowsOf64[i%64], rowsOf512[i] = i%64*64, i*512
	}
	for _, c := range []struct {
		name  string
		bytes int // read and written
		run   func(h *BF16)
	}{
		{"Narrow-1M", 6 << 20, func(h *BF16) { h.Narrow(out[:1<<20], floats[:1<<20]) }},
		{"Widen-1M", 6 << 20, func(h *BF16) { h.Widen(floats[:1<<20], words[:1<<20]) }},
		{"PackPairs-256x32-of-128", 256 * 64 * 2, func(h *BF16) {
			for j := 0; j < 128; j += h.Cols {
				h.PackPairs(out, words[j:], 256*32/128, h.Cols, 128, h.Cols)
			}
		}},
		{"PackPairsFloat-512x32", 512 * 32 * 6, func(h *BF16) { h.PackPairsFloat(out, floats, 512*32/h.Cols, h.Cols, 512, h.Cols) }},
		{"PackPairsTransposed-512x32", 512 * 32 * 6, func(h *BF16) { h.PackPairsTransposed(out, floats, h.Cols, 512*32/h.Cols, 4608, h.Cols) }},
		{"Transpose-64x64", 64 * 64 * 4, func(h *BF16) { h.Transpose(out, words, rowsOf64, 64, 64) }},
		{"Transpose-256x512", 256 * 512 * 4, func(h *BF16) { h.Transpose(out, words, rowsOf512, 512, 256) }},
		{"Transpose-64x64-of-8M", 2 << 20 * 4, func(h *BF16) {
			for i := 0; i < 2<<20; i += 64 * 64 {
				h.Transpose(out[i:], words[i:], rowsOf64, 64, 64)
			}
		}},
		{"Patches-49x1", 256 * (49 + 50) * 2, func(h *BF16) { h.Patches(out, words, taps, 256, 1, 1, 50) }},
		{"Patches-49x3", 64 * (147 + 148) * 2, func(h *BF16) { h.Patches(out, words, taps, 64, 3, 3, 148) }},
		{"Finish-448x32", 448 * 32 * 8, func(h *BF16) {
			h.Finish(out, 64, floats, 32, scale, shift, words, true, 448, 32)
		}},
		{"Finish-448x32-of-8M", 64 * 448 * 32 * 8, func(h *BF16) {
			for i := range 64 {
				h.Finish(out[i*448*64:], 64, floats, 32, scale, shift, words[i*448*64:], true, 448, 32)
			}
		}},
	} {
		for _, isa := range Available() {
			b.Run(c.name+"/"+isa.String(), func(b *testing.B) {
				bf16 := For(isa).BF16
				for b.Loop() {
					c.run(&bf16)
				}
				b.ReportMetric(float64(c.bytes)/fastest(func() { c.run(&bf16) }).Seconds()/1e9, "GB/s")
			})
		}
		b.Run(c.name+"/copy", func(b *testing.B) {
			run := func() { copy(out[:c.bytes/4], words[:c.bytes/4]) }
			for b.Loop() {
				run()
			}
			b.ReportMetric(float64(c.bytes)/fastest(run).Seconds()/1e9, "GB/s")
		})
	}
}

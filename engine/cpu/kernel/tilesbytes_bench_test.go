package kernel

import (
	"fmt"
	"testing"
)

// BenchmarkByteTiles measures the transforms of F(4,3) on 16 images of 64 channels, a tile of a
// layer of 24x24, in cycles' place: nanoseconds for a vector of 32 values of every point.
func BenchmarkByteTiles(b *testing.B) {
	k := &For(Available()[len(Available())-1]).Int8.Tiles
	const images, channels, m = 16, 64, 4
	for _, col := range []int{4096, 4160} {
		row := 24 * col
		src, dst := make([]uint8, 7*row), make([]int16, 36*(images*channels+32))
		scratch := make([]float32, ByteTileScratch)
		b.Run(fmt.Sprintf("Input/%d", col), func(b *testing.B) {
			for range b.N {
				k.Input(m, dst, images*channels+32, src, row, col, channels, images, 0, 6, 0, 6, scratch)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/(images*channels/32), "ns/vector")
		})
		for _, residual := range []bool{false, true} {
			e := Epilogue{Scale: make([]float32, channels), Shift: make([]float32, channels)}
			if residual {
				e.Bytes = make([]uint8, 7*row)
			}
			sums, step := make([]int32, 72*(images*32+16)), images*32+16
			out := make([]uint8, 7*row)
			b.Run(fmt.Sprintf("Bytes/%d/%v", col, residual), func(b *testing.B) {
				for range b.N {
					k.Bytes(m, out, row, col, channels, sums, step, 36*step, e, images, m, m, 64, scratch)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/(2*images), "ns/vector")
			})
		}
	}
	set := For(Available()[len(Available())-1])
	v, w, sums := make([]int16, 16*64), make([]int16, 64*32), make([]int32, 16*32)
	b.Run("DotSums", func(b *testing.B) {
		for range b.N {
			set.Int16.DotSums(sums, 32, v, 64, w, 64, 16, 32, nil, 0)
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N), "ns")
	})
}

//go:build !noasm

package kernel

import "math"

var (
	linesAVX512     = Lines{Input: lineInputByAVX512, Output: lineOutputByAVX512}
	linesAVX512BF16 = Lines{Input: lineInputByAVX512, Output: lineOutputByAVX512BF16}
	linesAVX2       = Lines{Input: lineInputByAVX2, Output: lineOutputByAVX2}
)

// linePeak returns the largest magnitude of lines that lie ld elements apart.
func linePeak(isa ISA, src []uint16, ld, lines int, scratch []float32) (most float32) {
	area := newTileArea(scratch)
	for from := 0; from < ld; from += tileRun {
		var rows tileTable
		var peak [1]float32
		for r := range lines {
			rows[r] = &src[r*ld+from]
		}
		size := 2 * min(tileRun, ld-from)
		tileMaxima(isa, true, &area.in[0], &rows[0], lines, size)
		tilePeaks(isa, &peak[0], &area.in[0], size, 1)
		most = max(most, peak[0])
	}
	return most
}

func lineInputByAVX512(dst []int16, line, point int, src []uint16, ld, lines, size, tiles int, scratch []float32) float32 {
	factors, inverse := lineScales(linePeak(AVX512, src, ld, lines, scratch))
	for r := range lines {
		lineInputAVX512(&dst[r*line], 2*point, &src[r*ld], 2*size, &factors[0], tiles/2)
	}
	return inverse
}

func lineInputByAVX2(dst []int16, line, point int, src []uint16, ld, lines, size, tiles int, scratch []float32) float32 {
	factors, inverse := lineScales(linePeak(AVX2, src, ld, lines, scratch))
	for r := range lines {
		lineInputAVX2(&dst[r*line], 2*point, &src[r*ld], 2*size, &factors[0], tiles)
	}
	return inverse
}

// lineFloor is the least result.
func lineFloor(relu bool) float32 {
	if relu {
		return 0
	}
	return float32(math.Inf(-1))
}

func lineOutputByAVX512(dst []uint16, pixel int, src []float32, step int, scale, shift []float32, relu bool, tiles int) {
	if tiles > 0 {
		lineOutputAVX512(&dst[0], 2*pixel, &src[0], 4*step, &scale[0], &shift[0], lineFloor(relu), 128, tiles)
	}
}

func lineOutputByAVX512BF16(dst []uint16, pixel int, src []float32, step int, scale, shift []float32, relu bool, tiles int) {
	if tiles > 0 {
		lineOutputAVX512BF16(&dst[0], 2*pixel, &src[0], 4*step, &scale[0], &shift[0], lineFloor(relu), 128, tiles)
	}
}

func lineOutputByAVX2(dst []uint16, pixel int, src []float32, step int, scale, shift []float32, relu bool, tiles int) {
	if tiles > 0 {
		lineOutputAVX2(&dst[0], 2*pixel, &src[0], 4*step, &scale[0], &shift[0], lineFloor(relu), 64, tiles)
	}
}

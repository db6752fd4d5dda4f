package kernel

import "math"

// portableInt16 is the table of kernels on 16-bit integers in plain Go.
var portableInt16 = Int16{
	Unit: "plain Go", Rows: 4, Cols: 16,
	Dot:            dotInt16Portable,
	DotFetch:       dotFetchInt16Portable,
	DotSegs:        dotSegsPortable,
	DotSums:        dotSumsPortable,
	DotRows:        dotRowsInt16Portable,
	ScaleRows:      scaleRowsPortable,
	PackPairs:      packPairsPortable[int16],
	PackPairsFloat: packPairsScaledPortable,
	PeakDot:        peakInt16Portable,
	Tiles:          portableTiles,
	Lines:          portableLines,
}

// dotInt16Portable computes 4 columns at a time, whose sums stay in registers.
func dotInt16Portable(c []float32, crs int, a []int16, ars int, b []int16, scale []float32, k, rows, cols int, accumulate bool) {
	for r := range rows {
		for j := 0; j < cols; j += 4 {
			n := min(4, cols-j)
			var sum [4]int32
			if k > 0 {
				dotInt16x4(&sum, a[r*ars:][:k], b[2*j:])
			}
			out := c[r*crs+j:][:n]
			for i, s := range scale[j:][:n] {
				v := float32(float32(sum[i]) * s)
				if accumulate {
					v += out[i]
				}
				out[i] = v
			}
		}
	}
}

func dotSegsPortable(c []float32, crs int, a []int16, ars int, b []int16, segs []Seg, scale []float32, k, rows, cols int) {
	for r := range rows {
		for j := 0; j < cols; j += 4 {
			var sum [4]int32
			for _, s := range segs {
				dotInt16x4(&sum, a[s.A+r*ars:][:k], b[s.B+2*j:])
			}
			for i := range min(4, cols-j) {
				c[r*crs+j+i] = float32(sum[i]) * scale[j+i]
			}
		}
	}
}

// dotSumsPortable computes the sums, which may wrap around.
func dotSumsPortable(c []int32, crs int, a []int16, ars int, b []int16, k, rows, cols int, _ []int16, _ int) {
	for r := range rows {
		for j := 0; j < cols; j += 4 {
			var sum [4]int32
			if k > 0 {
				dotInt16x4(&sum, a[r*ars:][:k], b[2*j:])
			}
			copy(c[r*crs+j:][:min(4, cols-j)], sum[:])
		}
	}
}

// dotInt16x4 adds to sum the products of a with four columns of a panel.
func dotInt16x4(sum *[4]int32, a, b []int16) {
	const pair = 2 * portableCols
	s0, s1, s2, s3 := sum[0], sum[1], sum[2], sum[3]
	for i := 0; i+1 < len(a); i += 2 {
		x, y := int32(a[i]), int32(a[i+1])
		w := (*[8]int16)(b[i/2*pair:])
		s0 += x*int32(w[0]) + y*int32(w[1])
		s1 += x*int32(w[2]) + y*int32(w[3])
		s2 += x*int32(w[4]) + y*int32(w[5])
		s3 += x*int32(w[6]) + y*int32(w[7])
	}
	*sum = [4]int32{s0, s1, s2, s3}
}

// dotFetchInt16Portable is dotInt16Portable; it leaves prefetching to the processor.
func dotFetchInt16Portable(c []float32, crs int, a []int16, ars int, b []int16, scale []float32, k, rows, cols int, accumulate bool, _ []int16, _ int) {
	dotInt16Portable(c, crs, a, ars, b, scale, k, rows, cols, accumulate)
}

// dotRowsInt16Portable computes row by row.
func dotRowsInt16Portable(c []float32, crs int, a []int16, ars int, b []int16, scale, rowScale []float32, k, rows, cols int, accumulate bool) {
	var sums [portableCols]float32
	for r := range rows {
		var row []int16
		if k > 0 {
			row = a[r*ars:]
		}
		dotInt16Portable(sums[:], 0, row, 0, b, scale, k, 1, cols, false)
		scaleRow(c[r*crs:][:cols], sums[:cols], rowScale[r], accumulate)
	}
}

// scaleRow multiplies sums by the scale of their row and writes them, or adds them to c.
func scaleRow(c, sums []float32, scale float32, accumulate bool) {
	for j, v := range sums {
		v = float32(v * scale)
		if accumulate {
			v += c[j]
		}
		c[j] = v
	}
}

func scaleRowsPortable(dst []int16, rowScale []float32, src []uint16, rows, n, ld int, limit float32) {
	for r := range rows {
		row, largest := src[r*ld:][:n], uint16(0)
		for _, v := range row {
			largest = max(largest, v&0x7fff)
		}
		var inverse float32
		inverse, rowScale[r] = rowFactors(largest, limit)
		for i, v := range row {
			dst[r*n+i] = 0
			if inverse > 0 {
				dst[r*n+i] = int16(nearest(float32(widen(v)*inverse), math.MinInt16, math.MaxInt16))
			}
		}
	}
}

// rowFactors returns the factor that makes the largest number of a row the limit, and the
// scale of its integers. Factors are bounded, so that they are finite for the smallest
// numbers, too.
func rowFactors(largest uint16, limit float32) (inverse, scale float32) {
	const infinite = 0x7f80
	switch {
	case largest >= infinite:
		return 0, float32(math.NaN())
	case largest == 0:
		return 0, 0
	}
	inverse = min(limit/widen(largest), 0x1p100)
	return inverse, 1 / inverse
}

func packPairsScaledPortable(dst []int16, src, scale []float32, rows, n, ld, cols int) {
	for k := 0; k < rows; k += 2 {
		pair := dst[k*cols:][:2*cols]
		clear(pair)
		for i := k; i < min(k+2, rows); i++ {
			for j, v := range src[i*ld:][:n] {
				pair[2*j+i-k] = int16(nearest(float32(v*scale[j]), math.MinInt16, math.MaxInt16))
			}
		}
	}
}

// nearest rounds to the nearest integer, ties to even, from least to most. A NaN becomes
// most.
func nearest(v, least, most float32) int32 {
	if !(v < most) {
		v = most
	}
	return int32(math.RoundToEven(float64(max(v, least))))
}

// peakInt16Portable multiplies and adds on four independent sums.
func peakInt16Portable(iterations int) float64 {
	iterations = max(iterations, 1)
	a := [2]int16{int16(iterations & 1), 1}
	var b [8]int16
	var sum [4]int32
	for range iterations {
		dotInt16x4(&sum, a[:], b[:])
	}
	if sum != [4]int32{} {
		return 0 // never, but the compiler must keep the sums
	}
	return float64(iterations) * 16
}

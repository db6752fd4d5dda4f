//go:build !noasm

package kernel

import "unsafe"

var int16AVX512VNNI = Int16{
	Unit: "VPDPWSSD", Rows: 14, Cols: 32,
	ForBF16:        true,
	Fast:           true,
	Dot:            dotInt16AVX512VNNI,
	DotFetch:       dotFetchInt16AVX512VNNI,
	DotSegs:        dotSegsAVX512VNNI,
	DotSums:        dotSumsAVX512VNNI,
	DotRows:        dotRowsInt16AVX512VNNI,
	ScaleRows:      scaleRowsAVX512,
	Fetches:        true,
	PackPairs:      packPairsInt16AVX512,
	PackPairsFloat: packPairsScaledPortable,
	PeakDot:        peakDotInt16AVX512VNNI,
	Tiles:          tilesAVX512,
	Lines:          linesAVX512,
}

var int16AVX512 = Int16{
	Unit: "AVX-512 VPMADDWD", Rows: 14, Cols: 32,
	Dot:            dotInt16AVX512,
	DotFetch:       dotFetchInt16AVX512,
	DotSegs:        dotSegsAVX512,
	DotSums:        dotSumsAVX512,
	DotRows:        dotRowsInt16AVX512,
	ScaleRows:      scaleRowsPortable,
	Fetches:        true,
	PackPairs:      packPairsInt16AVX512,
	PackPairsFloat: packPairsScaledPortable,
	PeakDot:        peakDotInt16AVX512,
	Tiles:          tilesAVX512,
	Lines:          linesAVX512,
}

var int16AVX2 = Int16{
	Unit: "AVX2 VPMADDWD", Rows: 6, Cols: 16,
	Dot:            dotInt16AVX2,
	DotFetch:       dotFetchInt16AVX2,
	DotSegs:        dotSegsAVX2,
	DotSums:        dotSumsAVX2,
	DotRows:        dotRowsInt16AVX2,
	ScaleRows:      scaleRowsPortable,
	Fetches:        true,
	PackPairs:      packPairsInt16AVX2,
	PackPairsFloat: packPairsScaledPortable,
	PeakDot:        peakDotInt16AVX2,
	Tiles:          tilesAVX2,
	Lines:          linesAVX2,
}

func dotInt16AVX512VNNI(c []float32, crs int, a []int16, ars int, b []int16, scale []float32, k, rows, cols int, accumulate bool) {
	dotInt16(AVX512VNNI, c, crs, a, ars, b, oneSeg[:], scale, nil, k, rows, cols, accumulate, nil, 0)
}

func dotFetchInt16AVX512VNNI(c []float32, crs int, a []int16, ars int, b []int16, scale []float32, k, rows, cols int, accumulate bool, next []int16, pace int) {
	dotInt16(AVX512VNNI, c, crs, a, ars, b, oneSeg[:], scale, nil, k, rows, cols, accumulate, next, pace)
}

func dotInt16AVX512(c []float32, crs int, a []int16, ars int, b []int16, scale []float32, k, rows, cols int, accumulate bool) {
	dotInt16(AVX512, c, crs, a, ars, b, oneSeg[:], scale, nil, k, rows, cols, accumulate, nil, 0)
}

func dotFetchInt16AVX512(c []float32, crs int, a []int16, ars int, b []int16, scale []float32, k, rows, cols int, accumulate bool, next []int16, pace int) {
	dotInt16(AVX512, c, crs, a, ars, b, oneSeg[:], scale, nil, k, rows, cols, accumulate, next, pace)
}

func dotInt16AVX2(c []float32, crs int, a []int16, ars int, b []int16, scale []float32, k, rows, cols int, accumulate bool) {
	dotInt16(AVX2, c, crs, a, ars, b, oneSeg[:], scale, nil, k, rows, cols, accumulate, nil, 0)
}

func dotFetchInt16AVX2(c []float32, crs int, a []int16, ars int, b []int16, scale []float32, k, rows, cols int, accumulate bool, next []int16, pace int) {
	dotInt16(AVX2, c, crs, a, ars, b, oneSeg[:], scale, nil, k, rows, cols, accumulate, next, pace)
}

func dotRowsInt16AVX512VNNI(c []float32, crs int, a []int16, ars int, b []int16, scale, rowScale []float32, k, rows, cols int, accumulate bool) {
	if k <= 0 {
		dotRowsInt16(AVX512VNNI, c, crs, a, ars, b, scale, rowScale, k, rows, cols, accumulate)
		return
	}
	dotInt16(AVX512VNNI, c, crs, a, ars, b, oneSeg[:], scale, rowScale, k, rows, cols, accumulate, nil, 0)
}

func dotRowsInt16AVX512(c []float32, crs int, a []int16, ars int, b []int16, scale, rowScale []float32, k, rows, cols int, accumulate bool) {
	dotRowsInt16(AVX512, c, crs, a, ars, b, scale, rowScale, k, rows, cols, accumulate)
}

func dotRowsInt16AVX2(c []float32, crs int, a []int16, ars int, b []int16, scale, rowScale []float32, k, rows, cols int, accumulate bool) {
	dotRowsInt16(AVX2, c, crs, a, ars, b, scale, rowScale, k, rows, cols, accumulate)
}

// dotRowsInt16 computes DotRows with blocks of sums in memory.
func dotRowsInt16(isa ISA, c []float32, crs int, a []int16, ars int, b []int16, scale, rowScale []float32, k, rows, cols int, accumulate bool) {
	const most = 14
	var sums [most * 32]float32
	for r := 0; r < rows; r += most {
		n := min(most, rows-r)
		part := a
		if k > 0 {
			part = a[r*ars:]
		}
		dotInt16(isa, sums[:], cols, part, ars, b, oneSeg[:], scale, nil, k, n, cols, false, nil, 0)
		for i := range n {
			scaleRow(c[(r+i)*crs:][:cols], sums[i*cols:][:cols], rowScale[r+i], accumulate)
		}
	}
}

// scaleRowsAVX512 processes full vectors; a row of another length is left to plain Go.
func scaleRowsAVX512(dst []int16, rowScale []float32, src []uint16, rows, n, ld int, limit float32) {
	const lanes, most = 32, 64
	if n%lanes > 0 || n == 0 {
		scaleRowsPortable(dst, rowScale, src, rows, n, ld, limit)
		return
	}
	var largest [most]uint16
	var inverse [most]float32
	for r := 0; r < rows; r += most {
		part := min(most, rows-r)
		largestWordsAVX512(&largest[0], &src[r*ld], part, n/lanes, ld)
		for i, v := range largest[:part] {
			inverse[i], rowScale[r+i] = rowFactors(v, limit)
		}
		scaleWordsAVX512(&dst[r*n], &src[r*ld], &inverse[0], part, n/lanes, ld)
		for i, v := range inverse[:part] {
			if v == 0 {
				clear(dst[(r+i)*n:][:n]) // NaN
			}
		}
	}
}

// oneSeg is a sum without parts elsewhere.
var oneSeg [1]Seg

func dotSegsAVX512VNNI(c []float32, crs int, a []int16, ars int, b []int16, segs []Seg, scale []float32, k, rows, cols int) {
	dotInt16(AVX512VNNI, c, crs, a, ars, b, segs, scale, nil, k, rows, cols, false, nil, 0)
}

func dotSegsAVX512(c []float32, crs int, a []int16, ars int, b []int16, segs []Seg, scale []float32, k, rows, cols int) {
	dotInt16(AVX512, c, crs, a, ars, b, segs, scale, nil, k, rows, cols, false, nil, 0)
}

func dotSegsAVX2(c []float32, crs int, a []int16, ars int, b []int16, segs []Seg, scale []float32, k, rows, cols int) {
	dotInt16(AVX2, c, crs, a, ars, b, segs, scale, nil, k, rows, cols, false, nil, 0)
}

// dotInt16 computes register blocks of rows, one after the other. Only AVX512VNNI takes
// scales of rows.
func dotInt16(isa ISA, c []float32, crs int, a []int16, ars int, b []int16, segs []Seg, scale, rowScale []float32, k, rows, cols int, accumulate bool, next []int16, pace int) {
	if k <= 0 {
		gemmNothing(c, crs, rows, cols, accumulate)
		return
	}
	if len(next) == 0 {
		next, pace = a, 0
	}
	p := block[int16]{a: &a[0], b: &b[0], segs: &segs[0].A, nsegs: len(segs), k: k / 2, crs: crs, ars: ars}
	if accumulate {
		p.acc = 1
	}
	most := 14
	if isa == AVX2 {
		most = 6
	}
	for r, at := 0, 0; r < rows; {
		first := r
		p.c = &c[r*crs]
		r = p.begin(r, rows, most)
		from := &next[min(at, len(next)-1)]
		switch isa {
		case AVX512VNNI:
			var factors *float32
			if rowScale != nil {
				factors = &rowScale[first]
			}
			dotInt16BlockAVX512VNNI(&p, cols, &scale[0], factors, from, pace)
		case AVX512:
			dotInt16BlockAVX512(&p, cols, &scale[0], from, pace)
		default:
			dotInt16BlockAVX2(&p, cols, &scale[0], from, pace)
		}
		at += p.blocks * (k / 4) * pace
	}
}

func dotInt16BlockAVX512VNNI(p *block[int16], cols int, scale, rowScale *float32, next *int16, pace int) {
	switch mask := lastLanes(cols); {
	case cols <= 16:
		dotInt16OneVectorAVX512VNNI(p, scale, rowScale, next, pace, mask)
	case cols < 32:
		dotInt16TailAVX512VNNI(p, scale, rowScale, next, pace, mask)
	default:
		dotInt16FullAVX512VNNI(p, scale, rowScale, next, pace)
	}
}

func dotInt16BlockAVX512(p *block[int16], cols int, scale *float32, next *int16, pace int) {
	switch mask := lastLanes(cols); {
	case cols <= 16:
		dotInt16OneVectorAVX512(p, scale, next, pace, mask)
	case cols < 32:
		dotInt16TailAVX512(p, scale, next, pace, mask)
	default:
		dotInt16FullAVX512(p, scale, next, pace)
	}
}

func dotInt16BlockAVX2(p *block[int16], cols int, scale *float32, next *int16, pace int) {
	switch mask := lastLanesAVX2(cols); {
	case cols <= 8:
		dotInt16OneVectorAVX2(p, scale, next, pace, mask)
	case cols < 16:
		dotInt16TailAVX2(p, scale, next, pace, mask)
	default:
		dotInt16FullAVX2(p, scale, next, pace)
	}
}

func packPairsInt16AVX512(dst, src []int16, rows, n, ld, cols int) {
	packPairsAVX512(words(dst), words(src), rows, n, ld, cols)
}

func packPairsInt16AVX2(dst, src []int16, rows, n, ld, cols int) {
	packPairsAVX2(words(dst), words(src), rows, n, ld, cols)
}

// words returns the same memory, for kernels that only move words.
func words(x []int16) []uint16 {
	return unsafe.Slice((*uint16)(unsafe.Pointer(unsafe.SliceData(x))), len(x))
}

// The peaks count, for each iteration, two rounds of sums of a vector's lanes, each with
// two products.

func peakDotInt16AVX512VNNI(iterations int) float64 {
	peakInt16AVX512VNNI(max(iterations, 1))
	return float64(max(iterations, 1)) * 2 * 28 * 2 * 16 * 2
}

func peakDotInt16AVX512(iterations int) float64 {
	peakInt16AVX512(max(iterations, 1))
	return float64(max(iterations, 1)) * 2 * 28 * 2 * 16 * 2
}

func peakDotInt16AVX2(iterations int) float64 {
	peakInt16AVX2(max(iterations, 1))
	return float64(max(iterations, 1)) * 2 * 12 * 2 * 8 * 2
}

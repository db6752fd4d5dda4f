//go:build !noasm

package kernel

func dotAVX512BF16(c []float32, crs int, a []uint16, ars int, b []uint16, segs []Seg, k, rows, cols int, accumulate bool) {
	dot(AVX512BF16, c, crs, a, ars, b, segs, k, rows, cols, accumulate, nil, 0)
}

func dotFetchAVX512BF16(c []float32, crs int, a []uint16, ars int, b []uint16, segs []Seg, k, rows, cols int, accumulate bool, next []uint16, pace int) {
	dot(AVX512BF16, c, crs, a, ars, b, segs, k, rows, cols, accumulate, next, pace)
}

func dotAVX512(c []float32, crs int, a []uint16, ars int, b []uint16, segs []Seg, k, rows, cols int, accumulate bool) {
	dot(AVX512, c, crs, a, ars, b, segs, k, rows, cols, accumulate, nil, 0)
}

func dotFetchAVX512(c []float32, crs int, a []uint16, ars int, b []uint16, segs []Seg, k, rows, cols int, accumulate bool, next []uint16, pace int) {
	dot(AVX512, c, crs, a, ars, b, segs, k, rows, cols, accumulate, next, pace)
}

func dotAVX2(c []float32, crs int, a []uint16, ars int, b []uint16, segs []Seg, k, rows, cols int, accumulate bool) {
	dot(AVX2, c, crs, a, ars, b, segs, k, rows, cols, accumulate, nil, 0)
}

func dotFetchAVX2(c []float32, crs int, a []uint16, ars int, b []uint16, segs []Seg, k, rows, cols int, accumulate bool, next []uint16, pace int) {
	dot(AVX2, c, crs, a, ars, b, segs, k, rows, cols, accumulate, next, pace)
}

// dot computes register blocks of rows, one after the other.
func dot(isa ISA, c []float32, crs int, a []uint16, ars int, b []uint16, segs []Seg, k, rows, cols int, accumulate bool, next []uint16, pace int) {
	if k <= 0 || len(segs) == 0 {
		gemmNothing(c, crs, rows, cols, accumulate)
		return
	}
	if len(next) == 0 {
		next, pace = a, 0
	}
	p := block[uint16]{a: &a[0], b: &b[0], segs: &segs[0].A, nsegs: len(segs), k: k / 2, crs: crs, ars: ars}
	if accumulate {
		p.acc = 1
	}
	most := 14
	if isa == AVX2 {
		most = 6
	} else if aliased(2 * ars) {
		most = aliasedRows
	}
	for r, at := 0, 0; r < rows; {
		p.c = &c[r*crs]
		r = p.begin(r, rows, most)
		from := &next[min(at, len(next)-1)]
		switch isa {
		case AVX512BF16:
			dotBlockAVX512BF16(&p, cols, from, pace)
		case AVX512:
			dotBlockAVX512(&p, cols, from, pace)
		default:
			dotBlockAVX2(&p, cols, from, pace)
		}
		at += p.blocks * len(segs) * (k / 4) * pace
	}
}

func dotBlockAVX512BF16(p *block[uint16], cols int, next *uint16, pace int) {
	switch mask := lastLanes(cols); {
	case cols <= 16:
		dotOneVectorAVX512BF16(p, next, pace, mask)
	case cols < 32:
		dotTailAVX512BF16(p, next, pace, mask)
	default:
		dotFullAVX512BF16(p, next, pace)
	}
}

func dotBlockAVX512(p *block[uint16], cols int, next *uint16, pace int) {
	switch mask := lastLanes(cols); {
	case cols <= 16:
		dotOneVectorAVX512(p, next, pace, mask)
	case cols < 32:
		dotTailAVX512(p, next, pace, mask)
	default:
		dotFullAVX512(p, next, pace)
	}
}

func dotBlockAVX2(p *block[uint16], cols int, next *uint16, pace int) {
	switch mask := lastLanesAVX2(cols); {
	case cols <= 8:
		dotOneVectorAVX2(p, next, pace, mask)
	case cols < 16:
		dotTailAVX2(p, next, pace, mask)
	default:
		dotFullAVX2(p, next, pace)
	}
}

// peakDotAVX512BF16 counts, for each iteration, two rounds of 28 sums of 16 lanes, each
// with two products.
func peakDotAVX512BF16(iterations int) float64 {
	peakDotAllAVX512BF16(max(iterations, 1))
	return float64(max(iterations, 1)) * 2 * 28 * 2 * 16 * 2
}

//go:build !noasm

package kernel

func dotSumsAVX512VNNI(c []int32, crs int, a []int16, ars int, b []int16, k, rows, cols int, next []int16, pace int) {
	dotWordSums(AVX512VNNI, c, crs, a, ars, b, k, rows, cols, next, pace)
}

func dotSumsAVX512(c []int32, crs int, a []int16, ars int, b []int16, k, rows, cols int, next []int16, pace int) {
	dotWordSums(AVX512, c, crs, a, ars, b, k, rows, cols, next, pace)
}

func dotSumsAVX2(c []int32, crs int, a []int16, ars int, b []int16, k, rows, cols int, next []int16, pace int) {
	dotWordSums(AVX2, c, crs, a, ars, b, k, rows, cols, next, pace)
}

// dotWordSums computes register blocks of rows, one after the other.
func dotWordSums(isa ISA, c []int32, crs int, a []int16, ars int, b []int16, k, rows, cols int, next []int16, pace int) {
	if k <= 0 {
		dotSumsPortable(c, crs, a, ars, b, 0, rows, cols, nil, 0)
		return
	}
	if len(next) == 0 {
		next, pace = a, 0
	}
	seg := Seg{}
	p := block[int16]{a: &a[0], b: &b[0], segs: &seg.A, nsegs: 1, k: k / 2, crs: crs, ars: ars}
	most := 14
	if isa == AVX2 {
		most = 6
	}
	for r, at := 0, 0; r < rows; {
		to := &c[r*crs]
		r = p.begin(r, rows, most)
		from := &next[min(at, len(next)-1)]
		switch isa {
		case AVX512VNNI:
			dotSumsBlockAVX512VNNI(&p, to, cols, from, pace)
		case AVX512:
			dotSumsBlockAVX512(&p, to, cols, from, pace)
		default:
			dotSumsBlockAVX2(&p, to, cols, from, pace)
		}
		at += p.blocks * (k / 4) * pace
	}
}

func dotSumsBlockAVX512VNNI(p *block[int16], c *int32, cols int, next *int16, pace int) {
	switch mask := lastLanes(cols); {
	case cols <= 16:
		dotSumsOneVectorAVX512VNNI(p, c, next, pace, mask)
	case cols < 32:
		dotSumsTailAVX512VNNI(p, c, next, pace, mask)
	default:
		dotSumsFullAVX512VNNI(p, c, next, pace)
	}
}

func dotSumsBlockAVX512(p *block[int16], c *int32, cols int, next *int16, pace int) {
	switch mask := lastLanes(cols); {
	case cols <= 16:
		dotSumsOneVectorAVX512(p, c, next, pace, mask)
	case cols < 32:
		dotSumsTailAVX512(p, c, next, pace, mask)
	default:
		dotSumsFullAVX512(p, c, next, pace)
	}
}

func dotSumsBlockAVX2(p *block[int16], c *int32, cols int, next *int16, pace int) {
	switch mask := lastLanesAVX2(cols); {
	case cols <= 8:
		dotSumsOneVectorAVX2(p, c, next, pace, mask)
	case cols < 16:
		dotSumsTailAVX2(p, c, next, pace, mask)
	default:
		dotSumsFullAVX2(p, c, next, pace)
	}
}

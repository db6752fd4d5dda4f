//go:build !noasm

package kernel

// sums returns the arguments for a product; begin sets the rows.
func sums(crs int, a []float32, ars, aks int, b []float32, bks int, segs []Seg, k int, accumulate bool) block[float32] {
	p := block[float32]{a: &a[0], b: &b[0], segs: &segs[0].A, nsegs: len(segs), k: k, crs: crs, ars: ars, aks: aks, bks: bks}
	if accumulate {
		p.acc = 1
	}
	return p
}

// begin sets the rows of the call that begins at row r, where rows is the number of
// all rows and most the most rows of a block. Rows are divided evenly into as few
// blocks as possible, the larger ones first. It returns the first row of the next call.
func (p *block[T]) begin(r, rows, most int) int {
	left := rows - r
	n := (left + most - 1) / most
	p.rows = (left + n - 1) / n
	p.blocks = left - n*(p.rows-1)
	p.first = r * p.ars
	return r + p.blocks*p.rows
}

func gemmAVX512(c []float32, crs int, a []float32, ars, aks int, b []float32, bks int, segs []Seg, k, rows, cols int, accumulate bool) {
	if k <= 0 || len(segs) == 0 {
		gemmNothing(c, crs, rows, cols, accumulate)
		return
	}
	p := sums(crs, a, ars, aks, b, bks, segs, k, accumulate)
	mask := lastLanes(cols)
	for r := 0; r < rows; {
		p.c = &c[r*crs]
		r = p.begin(r, rows, 14)
		switch {
		case cols <= 16:
			gemmOneVectorAVX512(&p, mask)
		case cols < 32:
			gemmTailAVX512(&p, mask)
		default:
			gemmFullAVX512(&p)
		}
	}
}

func gemmAVX2(c []float32, crs int, a []float32, ars, aks int, b []float32, bks int, segs []Seg, k, rows, cols int, accumulate bool) {
	if k <= 0 || len(segs) == 0 {
		gemmNothing(c, crs, rows, cols, accumulate)
		return
	}
	p := sums(crs, a, ars, aks, b, bks, segs, k, accumulate)
	mask := lastLanesAVX2(cols)
	for r := 0; r < rows; {
		p.c = &c[r*crs]
		r = p.begin(r, rows, 6)
		switch {
		case cols <= 8:
			gemmOneVectorAVX2(&p, mask)
		case cols < 16:
			gemmTailAVX2(&p, mask)
		default:
			gemmFullAVX2(&p)
		}
	}
}

func gemmFetchAVX512(c []float32, crs int, a []float32, ars, aks int, b []float32, bks int, segs []Seg, k, rows int, accumulate bool, next []float32, pace int) {
	if k <= 0 || len(segs) == 0 {
		gemmNothing(c, crs, rows, 32, accumulate)
		return
	}
	p := sums(crs, a, ars, aks, b, bks, segs, k, accumulate)
	for r, at := 0, 0; r < rows; {
		p.c = &c[r*crs]
		r = p.begin(r, rows, 14)
		gemmAheadAVX512(&p, &next[min(at, len(next)-1)], pace)
		at += p.blocks * len(segs) * k * pace / 4
	}
}

func gemmFetchAVX2(c []float32, crs int, a []float32, ars, aks int, b []float32, bks int, segs []Seg, k, rows int, accumulate bool, next []float32, pace int) {
	if k <= 0 || len(segs) == 0 {
		gemmNothing(c, crs, rows, 16, accumulate)
		return
	}
	p := sums(crs, a, ars, aks, b, bks, segs, k, accumulate)
	for r, at := 0, 0; r < rows; {
		p.c = &c[r*crs]
		r = p.begin(r, rows, 6)
		gemmAheadAVX2(&p, &next[min(at, len(next)-1)], pace)
		at += p.blocks * len(segs) * k * pace / 4
	}
}

// lastLanes returns the mask of the last vector of that many columns.
func lastLanes(cols int) uint16 { return 1<<((cols-1)%16+1) - 1 }

func lastLanesAVX2(cols int) *int32 { return &laneMasks[8-((cols-1)%8+1)] }

// laneMasks has the AVX2 mask of the first n lanes at index 8-n.
var laneMasks = [16]int32{-1, -1, -1, -1, -1, -1, -1, -1}

// gemmNothing computes a product whose sums are empty.
func gemmNothing(c []float32, crs, rows, cols int, accumulate bool) {
	for r := 0; r < rows && !accumulate; r++ {
		clear(c[r*crs : r*crs+cols])
	}
}

func peakFMAAVX512(iterations int) float64 {
	peakAVX512(max(iterations, 1))
	return float64(max(iterations, 1)) * 2 * 28 * 2 * 16
}

func peakFMAAVX2(iterations int) float64 {
	peakAVX2(max(iterations, 1))
	return float64(max(iterations, 1)) * 2 * 12 * 2 * 8
}

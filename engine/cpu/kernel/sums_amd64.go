//go:build !noasm

package kernel

func dotStatsAVX512BF16(y []uint16, ldy int, a []uint16, ars int, b []uint16, segs []Seg, k, rows, cols int, shift, sums []float32, fresh bool, next []uint16, pace int) {
	dotStats(AVX512BF16, y, ldy, a, ars, b, segs, k, rows, cols, shift, sums, fresh, next, pace)
}

func dotStatsAVX512(y []uint16, ldy int, a []uint16, ars int, b []uint16, segs []Seg, k, rows, cols int, shift, sums []float32, fresh bool, next []uint16, pace int) {
	dotStats(AVX512, y, ldy, a, ars, b, segs, k, rows, cols, shift, sums, fresh, next, pace)
}

func dotStatsAVX2(y []uint16, ldy int, a []uint16, ars int, b []uint16, segs []Seg, k, rows, cols int, shift, sums []float32, fresh bool, next []uint16, pace int) {
	dotStats(AVX2, y, ldy, a, ars, b, segs, k, rows, cols, shift, sums, fresh, next, pace)
}

func dotReduceAVX512BF16(y []uint16, ldy int, a []uint16, ars int, b []uint16, segs []Seg, k, rows, cols int, g Reduction, sums []float32, next []uint16, pace int) {
	dotReduce(AVX512BF16, y, ldy, a, ars, b, segs, k, rows, cols, g, sums, next, pace)
}

func dotReduceAVX512(y []uint16, ldy int, a []uint16, ars int, b []uint16, segs []Seg, k, rows, cols int, g Reduction, sums []float32, next []uint16, pace int) {
	dotReduce(AVX512, y, ldy, a, ars, b, segs, k, rows, cols, g, sums, next, pace)
}

func dotReduceAVX2(y []uint16, ldy int, a []uint16, ars int, b []uint16, segs []Seg, k, rows, cols int, g Reduction, sums []float32, next []uint16, pace int) {
	dotReduce(AVX2, y, ldy, a, ars, b, segs, k, rows, cols, g, sums, next, pace)
}

// dotStats computes register blocks of rows, one after the other.
func dotStats(isa ISA, y []uint16, ldy int, a []uint16, ars int, b []uint16, segs []Seg, k, rows, cols int, shift, sums []float32, fresh bool, next []uint16, pace int) {
	p := sumBlock{roundBlock: roundBlock{a: &a[0], b: &b[0], segs: &segs[0].A, nsegs: len(segs), k: k, crs: ldy, ars: ars}, sums: &sums[0], shift: &noShift[0]}
	if shift != nil {
		p.shift = &shift[0]
	}
	if fresh {
		p.fresh = 1
	}
	most := blockRows(isa, ars)
	if len(next) == 0 {
		next, pace = a, 0
	}
	for r, at := 0, 0; r < rows; {
		p.y, p.first = &y[r*ldy], r*ars
		from := &next[min(at, len(next)-1)]
		r = p.begin(r, rows, most)
		switch {
		case isa == AVX2:
			dotStatsFullAVX2(&p, from, pace)
		case isa == AVX512:
			dotStatsFullAVX512(&p, from, pace)
		case cols < 32:
			dotStatsOneVectorAVX512BF16(&p, from, pace, lastLanes(cols))
		default:
			dotStatsFullAVX512BF16(&p, from, pace)
		}
		p.fresh = 0
		at += p.blocks * len(segs) * (k / 4) * pace
	}
}

// dotReduce computes register blocks of rows, one after the other.
func dotReduce(isa ISA, y []uint16, ldy int, a []uint16, ars int, b []uint16, segs []Seg, k, rows, cols int, g Reduction, sums []float32, next []uint16, pace int) {
	p := sumBlock{roundBlock: roundBlock{a: &a[0], b: &b[0], segs: &segs[0].A, nsegs: len(segs), k: k, crs: ldy, ars: ars}, sums: &sums[0], mean: &g.Mean[0]}
	most := blockRows(isa, ars)
	if len(next) == 0 {
		next, pace = a, 0
	}
	for r, at := 0, 0; r < rows; {
		p.y, p.x, p.first = &y[r*ldy], &g.X[r*ldy], r*ars
		if g.Res != nil {
			p.res = &g.Res[r*ldy]
		}
		if g.Gate != nil {
			p.gate = &g.Gate[r*ldy]
		}
		from := &next[min(at, len(next)-1)]
		r = p.begin(r, rows, most)
		switch {
		case isa == AVX2:
			dotReduceFullAVX2(&p, from, pace)
		case isa == AVX512:
			dotReduceFullAVX512(&p, from, pace)
		case cols < 32:
			dotReduceOneVectorAVX512BF16(&p, from, pace, lastLanes(cols))
		default:
			dotReduceFullAVX512BF16(&p, from, pace)
		}
		at += p.blocks * len(segs) * (k / 4) * pace
	}
}

// blockRows is the most rows of a register block of a product whose rows are ars apart.
func blockRows(isa ISA, ars int) int {
	switch {
	case isa == AVX2:
		return 6
	case aliased(2 * ars):
		return aliasedRows
	}
	return 14
}

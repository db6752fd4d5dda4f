//go:build !noasm

package kernel

var int8AVX512VNNI = func() Int8 {
	s := int8AVX512
	s.Unit = "VPDPBUSD"
	s.Dot, s.DotBytes, s.DotBF16, s.DotFloat, s.PeakDot = dotInt8AVX512VNNI, dotBytesAVX512VNNI, dotToBF16AVX512VNNI, dotToFloatAVX512VNNI, peakDotInt8AVX512VNNI
	return s
}()

var int8AVX512 = Int8{
	Unit: "AVX-512 VPMADDWD", Rows: 7, Cols: 64,
	Dot:          dotInt8AVX512,
	DotBytes:     dotBytesAVX512,
	DotBF16:      dotToBF16AVX512,
	DotFloat:     dotToFloatAVX512,
	PackQuads:    packQuadsPortable,
	Bytes:        bytesAVX512,
	BF16:         toBF16AVX512,
	Float:        toFloatAVX512,
	BytesOfFloat: bytesOfFloatAVX512,
	BytesOfBF16:  bytesOfBF16AVX512,
	MaxPool:      maxPoolInt8AVX512,
	SumRows:      sumBytesAVX512,
	Narrow:       narrowBF16ToBytesAVX512,
	NarrowFloat:  narrowFloatToBytesAVX512,
	Widen:        widenBytesToBF16AVX512,
	WidenFloat:   widenBytesToFloatAVX512,
	PeakDot:      peakDotInt8AVX512,
	Tiles:        byteTilesAVX512,
}

var int8AVX2 = Int8{
	Unit: "AVX2 VPMADDWD", Rows: 6, Cols: 16,
	Dot:          dotInt8AVX2,
	DotBytes:     dotBytesAVX2,
	DotBF16:      dotToBF16AVX2,
	DotFloat:     dotToFloatAVX2,
	PackQuads:    packQuadsPortable,
	Bytes:        bytesAVX2,
	BF16:         toBF16AVX2,
	Float:        toFloatAVX2,
	BytesOfFloat: bytesOfFloatAVX2,
	BytesOfBF16:  bytesOfBF16AVX2,
	MaxPool:      maxPoolInt8AVX2,
	SumRows:      sumBytesAVX2,
	Narrow:       narrowBF16ToBytesAVX2,
	NarrowFloat:  narrowFloatToBytesAVX2,
	Widen:        widenBytesToBF16AVX2,
	WidenFloat:   widenBytesToFloatAVX2,
	PeakDot:      peakDotInt8AVX2,
	Tiles:        byteTilesAVX2,
}

// newQuads returns the arguments of a product; the caller sets where results go.
func newQuads(crs int, a []uint8, ars int, b []int8, segs []Seg, k int, next []uint8, pace int) quadBlock {
	p := quadBlock{block: block[uint8]{a: &a[0], segs: &segs[0].A, nsegs: len(segs), k: k / 4, crs: crs, ars: ars}, weights: &b[0], next: &a[0]}
	if len(next) > 0 {
		p.next, p.pace = &next[0], pace
	}
	return p
}

// ahead advances what is prefetched, of which size bytes are there, by what a call of the
// kernel has done.
func (p *quadBlock) ahead(next []uint8, at *int) {
	*at += p.blocks * p.nsegs * p.k * p.pace
	if len(next) > 0 {
		p.next = &next[min(*at, len(next)-1)]
	}
}

// dotSums computes Dot, block by block.
func dotSums(isa ISA, c []int32, crs int, a []uint8, ars int, b []int8, segs []Seg, k, rows, cols int, accumulate bool) {
	if k <= 0 || len(segs) == 0 {
		dotInt8Portable(c, crs, a, ars, b, nil, 0, rows, cols, accumulate)
		return
	}
	p := newQuads(crs, a, ars, b, segs, k, nil, 0)
	if accumulate {
		p.acc = 1
	}
	most := quadRows(isa, cols)
	for r := 0; r < rows; {
		p.sums = &c[r*crs]
		r = p.begin(r, rows, most)
		dotQuads(isa, &p, cols)
	}
}

// dotQuads computes blocks with the same number of rows.
func dotQuads(isa ISA, p *quadBlock, cols int) {
	switch isa {
	case AVX512VNNI:
		dotQuadsAVX512VNNI(p, cols)
	case AVX512:
		dotQuadsAVX512(p, cols)
	default:
		dotQuadsAVX2(p, cols)
	}
}

// quadRows returns the most rows of a block of that many columns.
func quadRows(isa ISA, cols int) int {
	switch {
	case isa == AVX2:
		return 6
	case cols <= 32:
		return 14
	case cols <= 48:
		return 9
	}
	return 7
}

func dotQuadsAVX512VNNI(p *quadBlock, cols int) {
	switch mask := lastLanes(cols); {
	case cols <= 16:
		dotInt8OneAVX512VNNI(p, mask)
	case cols < 32:
		dotInt8TwoTailAVX512VNNI(p, mask)
	case cols == 32:
		dotInt8TwoAVX512VNNI(p)
	case cols <= 48:
		dotInt8ThreeAVX512VNNI(p, mask)
	case cols < 64:
		dotInt8FourTailAVX512VNNI(p, mask)
	default:
		dotInt8FourAVX512VNNI(p)
	}
}

func dotQuadsAVX512(p *quadBlock, cols int) {
	switch mask := lastLanes(cols); {
	case cols <= 16:
		dotInt8OneAVX512(p, mask)
	case cols < 32:
		dotInt8TwoTailAVX512(p, mask)
	case cols == 32:
		dotInt8TwoAVX512(p)
	case cols <= 48:
		dotInt8ThreeAVX512(p, mask)
	case cols < 64:
		dotInt8FourTailAVX512(p, mask)
	default:
		dotInt8FourAVX512(p)
	}
}

func dotQuadsAVX2(p *quadBlock, cols int) {
	switch mask := lastLanesAVX2(cols); {
	case cols <= 8:
		dotInt8OneAVX2(p, mask)
	case cols < 16:
		dotInt8TwoTailAVX2(p, mask)
	default:
		dotInt8TwoAVX2(p)
	}
}

// dotBytesAVX512VNNI computes results of 8 bits in registers, except with a residual in
// bfloat16 and where a result may not fit an int32.
func dotBytesAVX512VNNI(y []uint8, ldy int, a []uint8, ars int, b []int8, segs []Seg, k, rows, cols int, e Epilogue, next []uint8, pace int) {
	if k <= 0 || len(segs) == 0 || e.BF16 != nil || !e.Bounded {
		dotFinished(AVX512VNNI, y, ldy, a, ars, b, segs, k, rows, cols, e, next, pace)
		return
	}
	p := newQuads(ldy, a, ars, b, segs, k, next, pace)
	p.scale, p.shift, p.resScale, p.least = &e.Scale[0], &e.Shift[0], e.BytesScale, uint32(e.Least)
	most := quadRows(AVX512VNNI, cols)
	for r, at := 0, 0; r < rows; {
		p.bytes = &y[r*ldy]
		if e.Bytes != nil {
			p.res = &e.Bytes[r*ldy]
		}
		r = p.begin(r, rows, most)
		switch mask := lastLanes(cols); {
		case cols <= 16:
			dotBytesOneAVX512VNNI(&p, mask)
		case cols < 32:
			dotBytesTwoTailAVX512VNNI(&p, mask)
		case cols == 32:
			dotBytesTwoAVX512VNNI(&p)
		case cols <= 48:
			dotBytesThreeAVX512VNNI(&p, mask)
		case cols < 64:
			dotBytesFourTailAVX512VNNI(&p, mask)
		default:
			dotBytesFourAVX512VNNI(&p)
		}
		p.ahead(next, &at)
	}
}

// dotFinished computes a block of sums, which stays in the first-level cache, then the
// results that e makes of it.
func dotFinished[T uint8 | uint16 | float32](isa ISA, y []T, ldy int, a []uint8, ars int, b []int8, segs []Seg, k, rows, cols int, e Epilogue, next []uint8, pace int) {
	var sums [448]int32 // as many as fit the registers
	if k <= 0 || len(segs) == 0 {
		for r := range rows {
			finishSums(isa, y[r*ldy:], ldy, sums[:], cols, 1, cols, e.from(r*ldy))
		}
		return
	}
	p := newQuads(cols, a, ars, b, segs, k, next, pace)
	most := quadRows(isa, cols)
	for r, at := 0, 0; r < rows; r += p.rows {
		p.begin(r, rows, most)
		p.blocks, p.sums = 1, &sums[0]
		dotQuads(isa, &p, cols)
		finishSums(isa, y[r*ldy:], ldy, sums[:], cols, p.rows, cols, e.from(r*ldy))
		p.ahead(next, &at)
	}
}

// from returns the epilogue of the rows that begin at that offset of the residual.
func (e Epilogue) from(offset int) Epilogue {
	if e.Bytes != nil {
		e.Bytes = e.Bytes[offset:]
	}
	if e.BF16 != nil {
		e.BF16 = e.BF16[offset:]
	}
	return e
}

func dotInt8AVX512VNNI(c []int32, crs int, a []uint8, ars int, b []int8, segs []Seg, k, rows, cols int, accumulate bool) {
	dotSums(AVX512VNNI, c, crs, a, ars, b, segs, k, rows, cols, accumulate)
}

func dotToBF16AVX512VNNI(y []uint16, ldy int, a []uint8, ars int, b []int8, segs []Seg, k, rows, cols int, e Epilogue, next []uint8, pace int) {
	dotFinished(AVX512VNNI, y, ldy, a, ars, b, segs, k, rows, cols, e, next, pace)
}

func dotToFloatAVX512VNNI(y []float32, ldy int, a []uint8, ars int, b []int8, segs []Seg, k, rows, cols int, e Epilogue, next []uint8, pace int) {
	dotFinished(AVX512VNNI, y, ldy, a, ars, b, segs, k, rows, cols, e, next, pace)
}

func dotInt8AVX512(c []int32, crs int, a []uint8, ars int, b []int8, segs []Seg, k, rows, cols int, accumulate bool) {
	dotSums(AVX512, c, crs, a, ars, b, segs, k, rows, cols, accumulate)
}

func dotBytesAVX512(y []uint8, ldy int, a []uint8, ars int, b []int8, segs []Seg, k, rows, cols int, e Epilogue, next []uint8, pace int) {
	dotFinished(AVX512, y, ldy, a, ars, b, segs, k, rows, cols, e, next, pace)
}

func dotToBF16AVX512(y []uint16, ldy int, a []uint8, ars int, b []int8, segs []Seg, k, rows, cols int, e Epilogue, next []uint8, pace int) {
	dotFinished(AVX512, y, ldy, a, ars, b, segs, k, rows, cols, e, next, pace)
}

func dotToFloatAVX512(y []float32, ldy int, a []uint8, ars int, b []int8, segs []Seg, k, rows, cols int, e Epilogue, next []uint8, pace int) {
	dotFinished(AVX512, y, ldy, a, ars, b, segs, k, rows, cols, e, next, pace)
}

func dotInt8AVX2(c []int32, crs int, a []uint8, ars int, b []int8, segs []Seg, k, rows, cols int, accumulate bool) {
	dotSums(AVX2, c, crs, a, ars, b, segs, k, rows, cols, accumulate)
}

func dotBytesAVX2(y []uint8, ldy int, a []uint8, ars int, b []int8, segs []Seg, k, rows, cols int, e Epilogue, next []uint8, pace int) {
	dotFinished(AVX2, y, ldy, a, ars, b, segs, k, rows, cols, e, next, pace)
}

func dotToBF16AVX2(y []uint16, ldy int, a []uint8, ars int, b []int8, segs []Seg, k, rows, cols int, e Epilogue, next []uint8, pace int) {
	dotFinished(AVX2, y, ldy, a, ars, b, segs, k, rows, cols, e, next, pace)
}

func dotToFloatAVX2(y []float32, ldy int, a []uint8, ars int, b []int8, segs []Seg, k, rows, cols int, e Epilogue, next []uint8, pace int) {
	dotFinished(AVX2, y, ldy, a, ars, b, segs, k, rows, cols, e, next, pace)
}

// The peaks count, for each iteration, two rounds of sums of a vector's lanes, each with
// four products.

func peakDotInt8AVX512VNNI(iterations int) float64 {
	peakInt8AVX512VNNI(max(iterations, 1))
	return float64(max(iterations, 1)) * 2 * 28 * 2 * 16 * 4
}

func peakDotInt8AVX512(iterations int) float64 {
	peakInt8AVX512(max(iterations, 1))
	return float64(max(iterations, 1)) * 2 * 28 * 2 * 16 * 4
}

func peakDotInt8AVX2(iterations int) float64 {
	peakInt8AVX2(max(iterations, 1))
	return float64(max(iterations, 1)) * 2 * 12 * 2 * 8 * 4
}

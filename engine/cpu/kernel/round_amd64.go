//go:build !noasm

package kernel

import (
	"math"
	"unsafe"
)

// roundBlock has the arguments of one call of a product kernel that rounds its sums, for
// several register blocks with the same number of rows.
type roundBlock struct {
	y, a, b      *uint16
	table        **uint16
	segs         *int
	nsegs, k     int
	crs, ars     int // of y; of a, or of the table
	first        int // the offset of the first row in a, or what is added to the table's addresses
	rows, blocks int
}

// drain has the operands with which sums are finished, at the first row of a call.
type drain struct {
	scale, shift *float32
	res          *uint16
	floor        float32
}

// ones and noShift stand for a scale and a shift that change nothing.
var ones, noShift = func() (one, zero [32]float32) {
	for i := range one {
		one[i], zero[i] = 1, float32(math.Copysign(0, -1))
	}
	return one, zero
}()

// drain returns the operands from row r on. They must be valid for at least 32 columns, or
// for as many as the kernel reads with a mask.
func (f *Finish) drain(r, ldy int) drain {
	d := drain{scale: &ones[0], shift: &noShift[0], floor: float32(math.Inf(-1))}
	if f.Scale != nil {
		d.scale = &f.Scale[0]
	}
	if f.Shift != nil {
		d.shift = &f.Shift[0]
	}
	if f.Res != nil {
		d.res = &f.Res[r*ldy]
	}
	if f.ReLU {
		d.floor = 0
	}
	return d
}

func dotRoundAVX512BF16(y []uint16, ldy int, a []uint16, ars int, b []uint16, segs []Seg, k, rows, cols int, f Finish, next []uint16, pace int) {
	dotRound(AVX512BF16, 14, y, ldy, a, ars, b, segs, k, rows, cols, f, next, pace)
}

func dotRoundAVX512(y []uint16, ldy int, a []uint16, ars int, b []uint16, segs []Seg, k, rows, cols int, f Finish, next []uint16, pace int) {
	dotRound(AVX512, 14, y, ldy, a, ars, b, segs, k, rows, cols, f, next, pace)
}

func dotRoundAVX2(y []uint16, ldy int, a []uint16, ars int, b []uint16, segs []Seg, k, rows, cols int, f Finish, next []uint16, pace int) {
	dotRound(AVX2, 6, y, ldy, a, ars, b, segs, k, rows, cols, f, next, pace)
}

// dotRound computes register blocks of most rows at most, one after the other.
func dotRound(isa ISA, most int, y []uint16, ldy int, a []uint16, ars int, b []uint16, segs []Seg, k, rows, cols int, f Finish, next []uint16, pace int) {
	if len(next) == 0 {
		next, pace = a, 0
	}
	if aliased(2 * ars) {
		most = min(most, aliasedRows)
	}
	p := roundBlock{a: &a[0], b: &b[0], segs: &segs[0].A, nsegs: len(segs), k: k, crs: ldy, ars: ars}
	for r, at := 0, 0; r < rows; {
		p.y, p.first = &y[r*ldy], r*ars
		d, from := f.drain(r, ldy), &next[min(at, len(next)-1)]
		r = p.begin(r, rows, most)
		switch {
		case isa == AVX2:
			dotRoundFullAVX2(&p, from, pace, &d)
		case isa == AVX512:
			dotRoundFullAVX512(&p, from, pace, &d)
		case cols < 32:
			dotRoundOneVectorAVX512BF16(&p, from, pace, &d, lastLanes(cols))
		default:
			dotRoundFullAVX512BF16(&p, from, pace, &d)
		}
		at += p.blocks * len(segs) * (k / 4) * pace
	}
}

// aliasedRows is the most rows of a block whose distance is a multiple of a page. Their cache
// lines all belong in one set of the first-level cache, which has place for 8 to 12. With more
// rows every line would come from the second-level cache at every step.
const aliasedRows = 7

// aliased reports whether rows so many bytes apart share a set of the first-level cache.
func aliased(distance int) bool { return distance != 0 && distance%4096 == 0 }

// begin sets the rows of the call that begins at row r, as that of block does.
func (p *roundBlock) begin(r, rows, most int) int {
	left := rows - r
	n := (left + most - 1) / most
	p.rows = (left + n - 1) / n
	p.blocks = left - n*(p.rows-1)
	return r + p.blocks*p.rows
}

func dotRowsAVX512BF16(y []uint16, ldy int, table []*uint16, ld, at int, b []uint16, segs, k, rows, cols int, f Finish, next []uint16, pace int) {
	dotRows(AVX512BF16, 14, y, ldy, table, ld, at, b, segs, k, rows, f, next, pace)
}

func dotRowsAVX512(y []uint16, ldy int, table []*uint16, ld, at int, b []uint16, segs, k, rows, cols int, f Finish, next []uint16, pace int) {
	dotRows(AVX512, 14, y, ldy, table, ld, at, b, segs, k, rows, f, next, pace)
}

func dotRowsAVX2(y []uint16, ldy int, table []*uint16, ld, at int, b []uint16, segs, k, rows, cols int, f Finish, next []uint16, pace int) {
	dotRows(AVX2, 6, y, ldy, table, ld, at, b, segs, k, rows, f, next, pace)
}

// dotRows computes register blocks of most rows at most, one after the other.
func dotRows(isa ISA, most int, y []uint16, ldy int, table []*uint16, ld, at int, b []uint16, segs, k, rows int, f Finish, next []uint16, pace int) {
	if len(next) == 0 {
		next, pace = b, 0
	}
	if rows > 1 && aliased(int(uintptr(unsafe.Pointer(table[1]))-uintptr(unsafe.Pointer(table[0])))) {
		most = min(most, aliasedRows)
	}
	p := roundBlock{b: &b[0], nsegs: segs, k: k, crs: ldy, ars: ld, first: at}
	for r, fetched := 0, 0; r < rows; {
		p.y, p.table = &y[r*ldy], &table[r]
		d, from := f.drain(r, ldy), &next[min(fetched, len(next)-1)]
		r = p.begin(r, rows, most)
		switch isa {
		case AVX2:
			dotRowsFullAVX2(&p, from, pace, &d)
		case AVX512:
			dotRowsFullAVX512(&p, from, pace, &d)
		default:
			dotRowsFullAVX512BF16(&p, from, pace, &d)
		}
		fetched += p.blocks * segs * (k / 4) * pace
	}
}

//go:build !noasm

package kernel

// An interleaving interleaves pairs of rows of src into full panels. In AVX-512 it reads
// the columns in the mask, in AVX2 all columns.
type interleaving[T stored] func(dst *uint16, src *T, pairs, ld int, mask uint32)

func packPairsAVX512(dst, src []uint16, rows, n, ld, cols int) {
	packPairs(interleaveWordsAVX512, packPairsPortable[uint16], 32, dst, src, rows, n, ld, cols)
}

func packPairsAVX2(dst, src []uint16, rows, n, ld, cols int) {
	packPairs(interleaveWordsAVX2, packPairsPortable[uint16], 16, dst, src, rows, n, ld, cols)
}

func packPairsFloatAVX512BF16(dst []uint16, src []float32, rows, n, ld, cols int) {
	packPairs(interleaveFloatsAVX512BF16, packPairsFloatPortable, 32, dst, src, rows, n, ld, cols)
}

func packPairsFloatAVX512(dst []uint16, src []float32, rows, n, ld, cols int) {
	packPairs(interleaveFloatsAVX512, packPairsFloatPortable, 32, dst, src, rows, n, ld, cols)
}

func packPairsFloatAVX2(dst []uint16, src []float32, rows, n, ld, cols int) {
	packPairs(interleaveFloatsAVX2, packPairsFloatPortable, 16, dst, src, rows, n, ld, cols)
}

// packPairs interleaves two rows at a time. The portable loop handles a last single row,
// and panels that do not have the kernel's width.
func packPairs[T stored](kernel interleaving[T], portable func(dst []uint16, src []T, rows, n, ld, cols int), width int, dst []uint16, src []T, rows, n, ld, cols int) {
	done := 0
	if masks := width == 32; cols == width && n > 0 && (masks || n == cols) && rows >= 2 {
		done = rows &^ 1
		kernel(&dst[0], &src[0], done/2, ld, uint32(1<<n-1))
	}
	if done < rows {
		portable(dst[done*cols:], src[done*ld:], rows-done, n, ld, cols)
	}
}

func packPairsTransposedAVX512BF16(dst []uint16, src []float32, rows, n, ld, cols int) {
	packPairsTransposed(transposeFloatsAVX512BF16, 16, dst, src, rows, n, ld, cols)
}

func packPairsTransposedAVX512(dst []uint16, src []float32, rows, n, ld, cols int) {
	packPairsTransposed(transposeFloatsAVX512, 16, dst, src, rows, n, ld, cols)
}

func packPairsTransposedAVX2(dst []uint16, src []float32, rows, n, ld, cols int) {
	packPairsTransposed(transposeFloatsAVX2, 8, dst, src, rows, n, ld, cols)
}

// packPairsTransposed transposes squares of lanes x lanes pairs. The last squares of a
// row and of a column overlap the ones before.
func packPairsTransposed(kernel func(dst *uint16, row *float32, ld, stride, blocks int), lanes int, dst []uint16, src []float32, rows, n, ld, cols int) {
	even := n &^ 1
	if rows < lanes || even < 2*lanes {
		packPairsTransposedPortable(dst, src, rows, n, ld, cols)
		return
	}
	blocks, last := even/(2*lanes), even-2*lanes
	for j := 0; j < rows; j += lanes {
		j = min(j, rows-lanes)
		kernel(&dst[2*j], &src[j*ld], ld, 4*cols, blocks)
		if blocks*2*lanes < even {
			kernel(&dst[last*cols+2*j], &src[j*ld+last], ld, 4*cols, 1)
		}
	}
	for p := 0; p < even && rows < cols; p += 2 {
		clear(dst[p*cols+2*rows : (p+2)*cols])
	}
	if even < n {
		packPairsTransposedPortable(dst[even*cols:], src[even:], rows, 1, ld, cols)
	}
}

// zeroWords stands for rows of zeros. Nothing writes to it.
var zeroWords [1024]uint16

func transposeBF16AVX512(dst, src []uint16, offs []int, n, dld int) {
	if !transposeRows(AVX512, dst, src, offs, len(offs), n, dld) {
		transposePortable(dst, src, offs, n, dld)
	}
}

func transposeBF16AVX2(dst, src []uint16, offs []int, n, dld int) {
	if !transposeRows(AVX2, dst, src, offs, len(offs), n, dld) {
		transposePortable(dst, src, offs, n, dld)
	}
}

// rowTable lists the rows of a square.
type rowTable [32]*uint16

// point fills the table with the rows of src at offs[first:], each from the given column
// on. Rows with a negative offset, and rows beyond the last, are zero.
func (t *rowTable) point(src []uint16, offs []int, first, column int) {
	offs = offs[min(first, len(offs)):min(first+len(t), len(offs))]
	for i, o := range offs {
		t[i] = &zeroWords[0]
		if o >= 0 {
			t[i] = &src[o+column]
		}
	}
	for i := len(offs); i < len(t); i++ {
		t[i] = &zeroWords[0]
	}
}

// transposeRows transposes n columns of the rows of src at offs, followed by rows of
// zeros, into n rows of wide words. The last squares of a row and of a column overlap the
// ones before. It returns false and does nothing if a square is larger than the matrix.
func transposeRows(isa ISA, dst, src []uint16, offs []int, wide, n, dld int) bool {
	lanes := 16
	if isa == AVX2 {
		lanes = 8
	}
	if n < lanes || wide < 2*lanes {
		return false
	}
	var table rowTable
	for from := 0; from < n; from += len(zeroWords) {
		width := min(len(zeroWords), n-from)
		for i := 0; i < wide; i += 2 * lanes {
			i = min(i, wide-2*lanes)
			if blocks := width / lanes; blocks > 0 {
				table.point(src, offs, i, from)
				transposeSquares(isa, &dst[from*dld+i], &table, dld, blocks)
			}
			if width%lanes > 0 {
				last := from + width - lanes
				table.point(src, offs, i, last)
				transposeSquares(isa, &dst[last*dld+i], &table, dld, 1)
			}
		}
	}
	return true
}

func transposeSquares(isa ISA, dst *uint16, table *rowTable, dld, blocks int) {
	if isa == AVX2 {
		transposeWordsAVX2(dst, &table[0], 2*dld, blocks)
	} else {
		transposeWordsAVX512(dst, &table[0], 2*dld, blocks)
	}
}

func patchesAVX512(dst, src []uint16, offs []int, rows, c, ld, dld int) {
	patches(AVX512, dst, src, offs, rows, c, ld, dld)
}

func patchesAVX2(dst, src []uint16, offs []int, rows, c, ld, dld int) {
	patches(AVX2, dst, src, offs, rows, c, ld, dld)
}

// patches computes Patches. With one channel it is a transposition of the taps; two to
// four channels are copied as four words; for more, a plain copy is as fast.
func patches(isa ISA, dst, src []uint16, offs []int, rows, c, ld, dld int) {
	switch {
	case c == 1 && ld == 1 && len(offs) > 0 && transposeRows(isa, dst, src, offs, dld, rows, dld):
	case c >= 2 && c <= 4 && ld+c >= 4 && ld <= 64 && len(offs) >= 2 && rows >= 2:
		patchesOfFour(dst, src, offs, rows, c, ld, dld)
	default:
		patchesPortable(dst, src, offs, rows, c, ld, dld)
	}
}

// patchesOfFour copies four words for each tap; the next tap overwrites those beyond c.
// The last tap of every row, and the last row, where four words may reach beyond src,
// are copied exactly.
func patchesOfFour(dst, src []uint16, offs []int, rows, c, ld, dld int) {
	var table [64]*uint16
	last := len(offs) - 1
	most := (len(zeroWords) - 4) / ld
	for from := 0; from < rows-1; from += most {
		part := min(most, rows-1-from)
		for t := 0; t < last; t += len(table) {
			taps := offs[t:min(t+len(table), last)]
			for i, o := range taps {
				table[i] = &zeroWords[0]
				if o >= 0 {
					table[i] = &src[o+from*ld]
				}
			}
			copyTapsAVX2(&dst[from*dld+t*c], &table[0], len(taps), 2*c, part, 2*ld, 2*dld)
		}
	}
	for i := range rows - 1 {
		copyTap(dst[i*dld:][last*c:dld], src, offs[last], i*ld, c)
	}
	patchesPortable(dst[(rows-1)*dld:], src[(rows-1)*ld:], offs, 1, c, ld, dld)
}

// copyTap copies c words of a tap and sets the words behind them to zero. A loop is
// faster than copy for so few words.
func copyTap(dst, src []uint16, off, at, c int) {
	for j := range dst {
		dst[j] = 0
		if off >= 0 && j < c {
			dst[j] = src[off+at+j]
		}
	}
}

// maxPoolBF16AVX2 leaves the columns beyond whole vectors to plain Go.
func maxPoolBF16AVX2(dst, x []uint16, offs []int, n int) {
	whole := n &^ 15
	maxPoolWordsAVX2(dst, x, offs, whole)
	if whole < n {
		maxPoolBF16Portable(dst[whole:], x[whole:], offs, n-whole)
	}
}

func narrowThreeOfAVX512BF16(dst []uint16, src []float32, ld, n int) {
	whole := n &^ 15
	if whole > 0 {
		narrowThreeAVX512BF16(&dst[0], &src[0], ld, whole/16)
	}
	narrowThreePortable(dst[3*whole:], src[whole:], ld, n-whole)
}

func narrowThreeOfAVX512(dst []uint16, src []float32, ld, n int) {
	whole := n &^ 15
	if whole > 0 {
		narrowThreeAVX512(&dst[0], &src[0], ld, whole/16)
	}
	narrowThreePortable(dst[3*whole:], src[whole:], ld, n-whole)
}

func narrowThreeOfAVX2(dst []uint16, src []float32, ld, n int) {
	whole := n &^ 7
	if whole > 0 {
		narrowThreeAVX2(&dst[0], &src[0], ld, whole/8)
	}
	narrowThreePortable(dst[3*whole:], src[whole:], ld, n-whole)
}

//go:build !noasm

package kernel

import "unsafe"

// packAVX512 copies the rows of a whole panel; plain Go copies others.
func packAVX512(dst, src []float32, rows, n, ld, cols int) {
	packLines(AVX512, dst, src, rows, n, ld, cols)
}

func packAVX2(dst, src []float32, rows, n, ld, cols int) {
	packLines(AVX2, dst, src, rows, n, ld, cols)
}

func packLines(isa ISA, dst, src []float32, rows, n, ld, cols int) {
	const size = 4 // of a float32
	if n != cols || n%4 > 0 || rows == 0 {
		packPortable(dst, src, rows, n, ld, cols)
		return
	}
	to, from := dst[:rows*cols], src[:(rows-1)*ld+n]
	first := (*uint8)(unsafe.Pointer(&from[0]))
	gatherLines(isa, &first, (*uint8)(unsafe.Pointer(&to[0])), 0, 0, 1, rows, size*ld, size*n)
}

// packTransposedAVX2 transposes squares of 8 x 8 in registers. Plain Go transposes the
// remaining elements at the right and lower edges of src.
func packTransposedAVX2(dst, src []float32, rows, n, ld, cols int) {
	blocked := n - n%8
	j := 0
	for ; j+8 <= rows && blocked > 0; j += 8 {
		transposeAVX2(&dst[j], &src[j*ld], blocked/8, ld, cols)
	}
	for k := range blocked {
		row := dst[k*cols:][:cols]
		for i := j; i < rows; i++ {
			row[i] = src[i*ld+k]
		}
		clear(row[rows:])
	}
	if blocked < n {
		packTransposedPortable(dst[blocked*cols:], src[blocked:], rows, n-blocked, ld, cols)
	}
}

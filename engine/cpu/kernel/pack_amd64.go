//go:build !noasm

package kernel

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

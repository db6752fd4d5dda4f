//go:build !noasm

package kernel

// packTransposedAVX2 transposes squares of 8 in registers and the rest, at the
// right and lower edge of src, in plain Go.
func packTransposedAVX2(dst, src []float32, rows, n, ld, cols int) {
	whole := n - n%8
	j := 0
	for ; j+8 <= rows && whole > 0; j += 8 {
		transposeAVX2(&dst[j], &src[j*ld], whole/8, ld, cols)
	}
	for k := range whole {
		row := dst[k*cols:][:cols]
		for i := j; i < rows; i++ {
			row[i] = src[i*ld+k]
		}
		clear(row[rows:])
	}
	if whole < n {
		packTransposedPortable(dst[whole*cols:], src[whole:], rows, n-whole, ld, cols)
	}
}

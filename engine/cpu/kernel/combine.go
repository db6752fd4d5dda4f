package kernel

// CombineTerms is the largest number of terms of a sum of Combine: the rows of the
// matrices by which Winograd's algorithm transforms inputs and gradients have no more
// numbers that are not zero. CombineLanes divides the number of columns of its blocks.
const (
	CombineTerms = 4
	CombineLanes = 16
)

func combinePortable(dst []float32, dld int, src []uint16, sld int, offs []int, factors []float32, rows, n int) {
	for r := range rows {
		out := dst[r*dld:][:n]
		for k, o := range offs {
			x := src[o+r*sld:][:n]
			for j, v := range x {
				if p := float32(factors[k] * widen(v)); k == 0 {
					out[j] = p
				} else {
					out[j] += p
				}
			}
		}
	}
}

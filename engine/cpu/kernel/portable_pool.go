package kernel

import "math"

func maxPoolPortable[T stored](dst, x []T, offs []int, n int) {
	dst = dst[:n]
	if len(offs) == 0 {
		for i := range dst {
			store(&dst[i], float32(math.Inf(-1)))
		}
		return
	}
	copy(dst, x[offs[0]:][:n])
	for _, o := range offs[1:] {
		for i, v := range x[o:][:n] {
			if l := load(v); l > load(dst[i]) || l != l { // a NaN stays
				dst[i] = v
			}
		}
	}
}

func maxPoolGradPortable(dx, dy, x, y []float32, offs []int, n int) {
	for i := range n {
		for _, o := range offs {
			if v := x[o+i]; v == y[i] || v != v {
				dx[o+i] += dy[i]
				break
			}
		}
	}
}

// maxPoolBF16Portable compares the keys of numbers.
func maxPoolBF16Portable(dst, x []uint16, offs []int, n int) {
	for i := range n {
		most := int16(math.MinInt16) // the key of -Inf
		for _, o := range offs {
			most = max(most, wordKey(x[o+i]))
		}
		dst[i] = inverted(uint16(most) + wordNaNs)
	}
}

// wordNaNs is how many NaN of a sign there are.
const wordNaNs = 0x7f

// wordKey returns an integer in the order of bfloat16 numbers, in which all NaN are the
// largest.
func wordKey(h uint16) int16 { return int16(inverted(h) - wordNaNs) }

// inverted inverts all bits but the sign of a negative number.
func inverted(h uint16) uint16 { return h ^ uint16(int16(h)>>15)&0x7fff }

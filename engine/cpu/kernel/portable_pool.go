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

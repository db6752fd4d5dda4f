package kernel

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestVectorSetsAgree checks that AVX2 and AVX-512 give the same bits, because both do the
// same operations in the same order.
func TestVectorSetsAgree(t *testing.T) {
	if all := Available(); len(all) < 3 {
		t.Skipf("needs AVX2 and AVX-512, here are %v", all)
	}
	const rows, n, ld = 37, 75, 80
	run := func(set *Set) (out []float32) {
		rng := rand.New(rand.NewPCG(13, 14))
		block := func() []float32 { return fill(rng, make([]float32, rows*ld)) }
		x, dy, res, a, b, d := block(), block(), block(), block(), block(), block()
		y, c, mean, m2 := make([]float32, rows*ld), make([]float32, rows*ld), make([]float32, n), make([]float32, n)
		for j := 0; j < n; j += set.Cols {
			segs := []Seg{{0, j}, {5, ld + j}, {1, 2*ld + j}}
			set.Gemm(c[j:], ld, x, ld, 1, dy, ld, segs, 33, rows, min(set.Cols, n-j), false)
		}
		set.MeanM2(mean, m2, x, rows, n, ld)
		set.ScaleShift(y, c, mean, m2, res, true, rows, n, ld)
		out = append(append(append(append(out, c...), mean...), m2...), y...)
		set.BNReduce(mean, m2, dy, y, x, a, nil, rows, n, ld)
		out = append(append(out, mean...), m2...)
		set.BNGrad(c, nil, mean, dy, y, x, a, b, d, rows, n, ld)
		set.SumRows(m2, c, rows, n, ld)
		out = append(append(append(out, c...), mean...), m2...)
		set.Axpy(c, 0.7, x)
		return append(out, c...)
	}
	narrow, wide := run(For(AVX2)), run(For(AVX512))
	for i := range narrow {
		if math.Float32bits(narrow[i]) != math.Float32bits(wide[i]) {
			t.Fatalf("value %d is %v in AVX2 and %v in AVX-512", i, narrow[i], wide[i])
		}
	}
}

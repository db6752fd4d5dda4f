package kernel

import (
	"math/big"
	"testing"
)

// rationals is the matrix of m in exact numbers.
func rationals(m Mix) (t [][]*big.Rat) {
	for _, row := range m.exact() {
		var r []*big.Rat
		for _, c := range row {
			r = append(r, big.NewRat(c[0], c[1]))
		}
		t = append(t, r)
	}
	return t
}

// apply is the product of a matrix and a vector.
func apply(t [][]*big.Rat, x []*big.Rat) (y []*big.Rat) {
	for _, row := range t {
		sum := new(big.Rat)
		for k, c := range row {
			sum.Add(sum, new(big.Rat).Mul(c, x[k]))
		}
		y = append(y, sum)
	}
	return y
}

// times is the product by elements.
func times(a, b []*big.Rat) (y []*big.Rat) {
	for i := range a {
		y = append(y, new(big.Rat).Mul(a[i], b[i]))
	}
	return y
}

// unit is a vector of n zeros with a one at i.
func unit(n, i int) []*big.Rat {
	x := make([]*big.Rat, n)
	for k := range x {
		x[k] = new(big.Rat)
	}
	x[i].SetInt64(1)
	return x
}

// TestWinogradIsExact checks in exact numbers, for every single pixel d of a tile and weight
// g, and so for all, in one dimension and so in both, that
//
//	Aᵀ[(G g) ⊙ (Bᵀ d)]   is the correlation y[i] = Σ g[k]*d[i+k],
//	with FilterFlip      it is Σ g[2-k]*d[i+k],
//	Gᵀ[(A z) ⊙ (Bᵀ d)]   is the gradient dg[k] = Σ z[i]*d[i+k].
func TestWinogradIsExact(t *testing.T) {
	for size := range 3 {
		base, m := Mix(6*size), size+2
		at := func(role Mix) [][]*big.Rat { return rationals(base + role) }
		is := func(what string, got []*big.Rat, want func(i int) bool) {
			t.Helper()
			for i, v := range got {
				if one := v.Cmp(big.NewRat(1, 1)) == 0; one != want(i) || !one && v.Sign() != 0 {
					t.Errorf("F(%d,3) %s: element %d is %v, want 1 %v", m, what, i, v, want(i))
				}
			}
		}
		for d := range m + 2 {
			v := apply(at(Input2), unit(m+2, d))
			for g := range 3 {
				y := apply(at(Output2), times(apply(at(Filter2), unit(3, g)), v))
				is("output", y, func(i int) bool { return d == i+g })
				y = apply(at(Output2), times(apply(at(FilterFlip2), unit(3, g)), v))
				is("output of the filter turned about", y, func(i int) bool { return d == i+2-g })
			}
			for z := range m {
				dg := apply(at(FilterGrad2), times(apply(at(OutputGrad2), unit(m, z)), v))
				is("gradient of the filter", dg, func(k int) bool { return d == z+k })
			}
		}
	}
}

// TestMixCoefficients checks that Coefficients returns the matrix that the kernels read, and
// that the matrices of the input and the output are exact in float32.
func TestMixCoefficients(t *testing.T) {
	for kind := range Mix(mixes) {
		outs, ins := kind.Size()
		c := kind.Coefficients()
		if len(c) != outs || len(c[0]) != ins {
			t.Fatalf("%v is %d x %d, its size says %d x %d", kind, len(c), len(c[0]), outs, ins)
		}
		for i, row := range c {
			for k, v := range row {
				if mixTable[kind].t[i][k] != float32(v) {
					t.Errorf("%v[%d,%d] is %v, the kernels read %v", kind, i, k, v, mixTable[kind].t[i][k])
				}
				role := kind % 6
				if (role == Input2 || role == Output2 || role == OutputGrad2) && float64(float32(v)) != v {
					t.Errorf("%v[%d,%d] = %v is not exact in float32", kind, i, k, v)
				}
			}
		}
	}
	if s := FilterGrad4.String() + Input2.String() + Mix(99).String(); s != "FilterGrad4Input2mix(99)" {
		t.Errorf("names are %q", s)
	}
}

package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// each runs a test on every instruction set this machine has.
func each(t *testing.T, f func(t *testing.T, k *Set)) {
	for _, isa := range Available() {
		t.Run(isa.String(), func(t *testing.T) { f(t, For(isa)) })
	}
}

// fill returns n values in [-1, 1).
func fill(rng *rand.Rand, x []float32) []float32 {
	for i := range x {
		x[i] = rng.Float32()*2 - 1
	}
	return x
}

// product is one case of Gemm.
type product struct {
	rows, cols, k int
	ars, aks, bks int
	crs           int
	segs          []Seg
	aLen, bLen    int
	accumulate    bool
}

func (p product) String() string {
	return fmt.Sprintf("rows %d cols %d k %d segs %d strides c %d a %d,%d b %d accumulate %v",
		p.rows, p.cols, p.k, len(p.segs), p.crs, p.ars, p.aks, p.bks, p.accumulate)
}

// check runs the case on buffers that end at an unreadable page and are
// guarded in front, and compares with float64.
func (p product) check(t *testing.T, set *Set, rng *rand.Rand) {
	t.Helper()
	a, b := fill(rng, guarded(t, p.aLen)), fill(rng, guarded(t, p.bLen))
	cLen := (p.rows-1)*p.crs + p.cols
	c := fill(rng, guarded(t, cLen))
	before := append([]float32(nil), c...)
	set.Gemm(c, p.crs, a, p.ars, p.aks, b, p.bks, p.segs, p.k, p.rows, p.cols, p.accumulate)
	for i := range c {
		r, j := i/p.crs, i%p.crs
		if j >= p.cols {
			if math.Float32bits(c[i]) != math.Float32bits(before[i]) {
				t.Fatalf("%v: c[%d], outside the columns, was written", p, i)
			}
			continue
		}
		want, sum := 0.0, 0.0
		if p.accumulate {
			want = float64(before[i])
			sum = math.Abs(want)
		}
		for _, s := range p.segs {
			for k := range p.k {
				v := float64(a[s.A+r*p.ars+k*p.aks]) * float64(b[s.B+k*p.bks+j])
				want += v
				sum += math.Abs(v)
			}
		}
		if !(math.Abs(float64(c[i])-want) <= sum*float64(p.k*len(p.segs)+1)*0x1p-23) {
			t.Fatalf("%v: c[%d,%d] = %v, want %v", p, r, j, c[i], want)
		}
	}
}

// forward is a case laid out like a convolution: rows of activations, panels
// of weights.
func forward(rng *rand.Rand, rows, cols, k, segs int) product {
	p := product{rows: rows, cols: cols, k: k, ars: k + rng.IntN(3), aks: 1, bks: cols, crs: cols + rng.IntN(5), accumulate: rng.IntN(2) == 0}
	for s := range segs {
		p.segs = append(p.segs, Seg{A: rng.IntN(8), B: s * k * cols})
		p.aLen = max(p.aLen, p.segs[s].A+(rows-1)*p.ars+(k-1)*p.aks+1)
	}
	p.bLen = segs * k * cols
	return p
}

// weightGradient is a case laid out like the gradient of the weights: both
// operands have their rows along k.
func weightGradient(rng *rand.Rand, rows, cols, k, segs int) product {
	cin, cout := rows+rng.IntN(20), cols+rng.IntN(40)
	p := product{rows: rows, cols: cols, k: k, ars: 1, aks: cin, bks: cout, crs: cout, accumulate: rng.IntN(2) == 0}
	for range segs {
		s := Seg{A: rng.IntN(50), B: rng.IntN(50)}
		p.segs = append(p.segs, s)
		p.aLen = max(p.aLen, s.A+rows-1+(k-1)*cin+1)
		p.bLen = max(p.bLen, s.B+(k-1)*cout+cols)
	}
	return p
}

func TestGemm(t *testing.T) {
	each(t, func(t *testing.T, set *Set) {
		rng := rand.New(rand.NewPCG(1, 2))
		for rows := 1; rows <= 40; rows++ {
			for cols := 1; cols <= set.Cols; cols++ {
				k := []int{1, 2, 3, 5, 31, 64}[rng.IntN(6)]
				forward(rng, rows, cols, k, 1+rng.IntN(4)).check(t, set, rng)
				weightGradient(rng, rows, cols, k, 1+rng.IntN(4)).check(t, set, rng)
			}
		}
	})
}

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
	a, b := random(t, rng, p.aLen), random(t, rng, p.bLen)
	cLen := (p.rows-1)*p.crs + p.cols
	c := random(t, rng, cLen)
	before := clone(c)
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

// reversed is a case with negative strides, so that a row, a term or both lie
// before the place where a segment begins.
func reversed(rng *rand.Rand, rows, cols, k, segs int) product {
	p := product{rows: rows, cols: cols, k: k, ars: -1, aks: rows + rng.IntN(3), bks: -cols - rng.IntN(3), crs: cols}
	if rng.IntN(2) == 0 {
		p.ars, p.aks = k+rng.IntN(3), -1
	}
	for range segs {
		s := Seg{A: rng.IntN(5), B: rng.IntN(5) - (k-1)*p.bks}
		if p.ars < 0 {
			s.A += rows - 1
		} else {
			s.A += k - 1
		}
		p.segs = append(p.segs, s)
		p.aLen = max(p.aLen, s.A+max(0, (rows-1)*p.ars)+max(0, (k-1)*p.aks)+1)
		p.bLen = max(p.bLen, s.B+cols)
	}
	return p
}

var depths = []int{1, 2, 3, 4, 5, 31, 64}

func TestGemm(t *testing.T) {
	each(t, func(t *testing.T, set *Set) {
		rng := rand.New(rand.NewPCG(1, 2))
		for rows := 1; rows <= 40; rows++ {
			for cols := 1; cols <= set.Cols; cols++ {
				for _, layout := range []func(*rand.Rand, int, int, int, int) product{forward, weightGradient, reversed} {
					layout(rng, rows, cols, depths[rng.IntN(len(depths))], 1+rng.IntN(4)).check(t, set, rng)
				}
			}
		}
		forward(rng, 30, set.Cols, 512, 9).check(t, set, rng)
		forward(rng, 64, set.Cols, 1, 49).check(t, set, rng)
	})
}

// TestGemmBlocking checks that the bits of an element depend neither on the rows and columns
// computed with it nor on how its sum is split over calls.
func TestGemmBlocking(t *testing.T) {
	each(t, func(t *testing.T, set *Set) {
		rng := rand.New(rand.NewPCG(4, 5))
		p := forward(rng, 37, set.Cols, 50, 3)
		a, b := random(t, rng, p.aLen), random(t, rng, p.bLen)
		atOnce, parts := random(t, rng, p.rows*p.cols), random(t, rng, p.rows*p.cols)
		set.Gemm(atOnce, p.cols, a, p.ars, p.aks, b, p.bks, p.segs, p.k, p.rows, p.cols, false)
		for r := 0; r < p.rows; {
			rows := min(1+rng.IntN(9), p.rows-r)
			for j := 0; j < p.cols; {
				cols := min(1+rng.IntN(p.cols), p.cols-j)
				for s, seg := range p.segs {
					k := rng.IntN(p.k + 1)
					c, one := parts[r*p.cols+j:], []Seg{{seg.A + r*p.ars, seg.B + j}}
					set.Gemm(c, p.cols, a, p.ars, p.aks, b, p.bks, one, k, rows, cols, s > 0)
					one[0].A, one[0].B = one[0].A+k*p.aks, one[0].B+k*p.bks
					set.Gemm(c, p.cols, a, p.ars, p.aks, b, p.bks, one, p.k-k, rows, cols, true)
				}
				j += cols
			}
			r += rows
		}
		for i := range atOnce {
			if math.Float32bits(atOnce[i]) != math.Float32bits(parts[i]) {
				t.Fatalf("element %d is %v in one call, %v in parts", i, atOnce[i], parts[i])
			}
		}
	})
}

// TestGemmPrefetch checks that prefetching does not change the bits, also if it fetches the
// last element or runs past the end.
func TestGemmPrefetch(t *testing.T) {
	each(t, func(t *testing.T, set *Set) {
		rng := rand.New(rand.NewPCG(7, 7))
		for rows := 1; rows <= 2*set.Rows+1; rows++ {
			for _, k := range []int{0, 1, 2, 5, 64} {
				for _, pace := range []int{0, 3, 64} {
					p := forward(rng, rows, set.Cols, max(k, 1), 3)
					a, b := random(t, rng, p.aLen), random(t, rng, p.bLen)
					want := random(t, rng, (rows-1)*p.crs+p.cols)
					got := clone(want)
					set.Gemm(want, p.crs, a, p.ars, p.aks, b, p.bks, p.segs, k, rows, p.cols, p.accumulate)
					set.GemmFetch(got, p.crs, a, p.ars, p.aks, b, p.bks, p.segs, k, rows, p.accumulate, b[len(b)-1-rng.IntN(min(len(b), 40)):], pace)
					for i := range want {
						if math.Float32bits(got[i]) != math.Float32bits(want[i]) {
							t.Fatalf("%v, pace %d: element %d is %v, without a fetch %v", p, pace, i, got[i], want[i])
						}
					}
				}
			}
		}
	})
}

// TestGemmEmpty checks that the sum is zero without segments and with k = 0.
func TestGemmEmpty(t *testing.T) {
	each(t, func(t *testing.T, set *Set) {
		for _, segs := range [][]Seg{nil, {{0, 0}}} {
			c := []float32{1, 2, 3, 4, 5, 6}
			set.Gemm(c, 3, nil, 1, 1, nil, 1, segs, 0, 2, 2, true)
			if c[0] != 1 || c[4] != 5 {
				t.Fatalf("adding an empty sum changed c to %v", c)
			}
			set.Gemm(c, 3, nil, 1, 1, nil, 1, segs, 0, 2, 2, false)
			for i, want := range []float32{0, 0, 3, 0, 0, 6} {
				if c[i] != want {
					t.Fatalf("an empty sum set c to %v", c)
				}
			}
		}
	})
}

// TestGemmSpecial checks that a NaN or infinity reaches the elements that depend on it and
// no others.
func TestGemmSpecial(t *testing.T) {
	each(t, func(t *testing.T, set *Set) {
		rng := rand.New(rand.NewPCG(6, 7))
		for rows := 1; rows <= 15; rows++ {
			for cols := 1; cols <= set.Cols; cols++ {
				const k = 5
				a, b := random(t, rng, rows*k), random(t, rng, k*cols)
				c := random(t, rng, rows*cols)
				r, j := rng.IntN(rows), rng.IntN(cols)
				a[r*k+rng.IntN(k)] = float32(math.Inf(1))
				b[rng.IntN(k)*cols+j] = float32(math.NaN())
				set.Gemm(c, cols, a, k, 1, b, cols, []Seg{{0, 0}}, k, rows, cols, false)
				for i, v := range c {
					isNaN, isInf := v != v, math.IsInf(float64(v), 0)
					if isNaN != (i%cols == j) || isInf != (i/cols == r && i%cols != j) {
						t.Fatalf("%d x %d: c[%d,%d] = %v with Inf in row %d of a and NaN in column %d of b", rows, cols, i/cols, i%cols, v, r, j)
					}
				}
			}
		}
	})
}

func TestKernelsDoNotAllocate(t *testing.T) {
	each(t, func(t *testing.T, set *Set) {
		x, y := make([]float32, 4096), make([]float32, 4096)
		segs, offs := []Seg{{0, 0}, {64, 0}}, []int{0, 100}
		for name, f := range map[string]func(){
			"Gemm":           func() { set.Gemm(y, set.Cols, x, 8, 1, x, set.Cols, segs, 8, 33, set.Cols-1, true) },
			"GemmFetch":      func() { set.GemmFetch(y, set.Cols, x, 8, 1, x, set.Cols, segs, 8, 33, true, x[9:], 24) },
			"ScaleShift":     func() { set.ScaleShift(y, x, nil, nil, nil, true, 4, 65, 70) },
			"BNGrad":         func() { set.BNGrad(y, nil, nil, x, nil, x, x, x, x, 4, 65, 70) },
			"MaxPool":        func() { set.MaxPool(y, x, offs, 77) },
			"Axpy":           func() { set.Axpy(y, 0.5, x) },
			"PackTransposed": func() { set.PackTransposed(y, x, 9, 17, 17, set.Cols) },
		} {
			if n := testing.AllocsPerRun(10, f); n != 0 {
				t.Errorf("%s allocates %v times a call", name, n)
			}
		}
	})
}

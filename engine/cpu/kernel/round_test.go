package kernel

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// finishCase returns operands for rows of cols columns, ldy apart, some of them nil.
func finishCase(t *testing.T, rng *rand.Rand, rows, cols, ldy int) Finish {
	f := Finish{ReLU: rng.IntN(2) == 0}
	if rng.IntN(3) > 0 {
		f.Scale = random(t, rng, cols)
	}
	if rng.IntN(3) > 0 {
		f.Shift = random(t, rng, cols)
	}
	if rng.IntN(2) == 0 {
		f.Res = randomBF16(t, rng, (rows-1)*ldy+cols)
	}
	return f
}

// roundWidths lists the numbers of columns that DotRound computes.
func roundWidths(bf16 *BF16) []int {
	widths := []int{bf16.Cols}
	for cols := 1; cols <= bf16.RoundNarrow; cols++ {
		widths = append(widths, cols)
	}
	return widths
}

// sumsWithZeros computes Dot over an odd k as the sum over k+1 with zeros.
func sumsWithZeros(bf16 *BF16, c []float32, crs int, a []uint16, p dotCase, b []uint16) {
	if p.k%2 == 0 {
		bf16.Dot(c, crs, a, p.ars, b, p.segs, p.k, p.rows, p.cols, false)
		return
	}
	var segs []Seg
	var rows []uint16
	for _, s := range p.segs {
		segs = append(segs, Seg{A: len(rows), B: s.B})
		for r := range p.rows {
			rows = append(append(rows, a[s.A+r*p.ars:][:p.k]...), 0)
		}
	}
	bf16.Dot(c, crs, rows, p.k+1, b, segs, p.k+1, p.rows, p.cols, false)
}

// TestDotRound compares DotRound with Dot and Finish, bit by bit.
func TestDotRound(t *testing.T) {
	each(t, func(t *testing.T, set *Set) {
		rng, bf16 := rand.New(rand.NewPCG(9, 41)), &set.BF16
		if bf16.DotRound == nil {
			t.Skip("these kernels (AMX) have no DotRound: their sums go through memory")
		}
		for rows := 1; rows <= 2*bf16.Rows+3; rows++ {
			for _, cols := range roundWidths(bf16) {
				p := newDotCase(rng, bf16.Cols, rows, cols, 1+rng.IntN(40), 1+rng.IntN(4))
				for i := range p.segs { // panels of even sizes
					p.segs[i].B = p.segs[i].B / p.k * (p.k + p.k%2)
				}
				a, b := randomBF16(t, rng, p.aLen), randomBF16(t, rng, len(p.segs)*(p.k+p.k%2)*bf16.Cols)
				if p.k%2 == 1 {
					for _, s := range p.segs {
						for j := range bf16.Cols {
							b[s.B+(p.k-1)*bf16.Cols+2*j+1] = 0
						}
					}
				}
				ldy := cols + rng.IntN(5)
				f := finishCase(t, rng, rows, cols, ldy)
				sums := make([]float32, rows*bf16.Cols)
				sumsWithZeros(bf16, sums, bf16.Cols, a, p, b)
				got := randomBF16(t, rng, (rows-1)*ldy+cols)
				want := slices.Clone(got)
				bf16.Finish(want, ldy, sums, bf16.Cols, f.Scale, f.Shift, f.Res, f.ReLU, rows, cols)
				bf16.DotRound(got, ldy, a, p.ars, b, p.segs, p.k, rows, cols, f, b[len(b)-1:], 64)
				if !slices.Equal(got, want) {
					t.Fatalf("%v, finish %+v: other bits than Dot and Finish have", p, f)
				}
			}
		}
	})
}

// TestDotRows compares DotRows, over rows in any order with a row of zeros among them, with
// Dot and Finish, bit by bit.
func TestDotRows(t *testing.T) {
	each(t, func(t *testing.T, set *Set) {
		rng, bf16 := rand.New(rand.NewPCG(17, 3)), &set.BF16
		if bf16.DotRows == nil {
			t.Skip("these kernels (AMX) have no DotRows: their sums go through memory")
		}
		for rows := 1; rows <= 3*bf16.Rows+2; rows++ {
			k, segs, at, ld, cols := 2*(1+rng.IntN(9)), 1+rng.IntN(5), rng.IntN(7), rows+rng.IntN(3), bf16.Cols
			sources := randomBF16(t, rng, (at+k)*(rows+1))
			table := make([]*uint16, segs*ld)
			b := randomBF16(t, rng, segs*k*cols)
			sums := make([]float32, rows*cols)
			for s := range segs {
				for r := range rows {
					from := rng.IntN(rows+1) * (at + k)
					table[s*ld+r] = &sources[from]
					bf16.Dot(sums[r*cols:], cols, sources[from+at:], 0, b[s*k*cols:], []Seg{{}}, k, 1, cols, s > 0)
				}
			}
			ldy := cols + rng.IntN(5)
			f := finishCase(t, rng, rows, cols, ldy)
			got := randomBF16(t, rng, (rows-1)*ldy+cols)
			want := slices.Clone(got)
			bf16.Finish(want, ldy, sums, cols, f.Scale, f.Shift, f.Res, f.ReLU, rows, cols)
			bf16.DotRows(got, ldy, table, ld, at, b, segs, k, rows, cols, f, b[:1], 64)
			if !slices.Equal(got, want) {
				t.Fatalf("%d rows, %d segments of %d terms, finish %+v: other bits than Dot and Finish have", rows, segs, k, f)
			}
		}
	})
}

// TestNarrowThree compares every pixel with the rounded planes.
func TestNarrowThree(t *testing.T) {
	each(t, func(t *testing.T, set *Set) {
		rng := rand.New(rand.NewPCG(3, 30))
		for n := range 70 {
			ld := n + rng.IntN(4)
			_, src := bf16Numbers(t, rng, 2*ld+n)
			for i := range src {
				if rng.IntN(3) > 0 {
					src[i] = rng.Float32() - 0.5
				}
			}
			got := guardedBF16(t, 3*n)
			set.BF16.NarrowThree(got, src, ld, n)
			for i, v := range got {
				if want := narrow(src[i%3*ld+i/3]); v != want {
					t.Fatalf("%d pixels: word %d is %#04x, want %#04x", n, i, v, want)
				}
			}
		}
	})
}

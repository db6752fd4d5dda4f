package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"
)

// guardedBF16 returns n bfloat16 that end at an unreadable page, like guarded.
func guardedBF16(t testing.TB, n int) []uint16 {
	t.Helper()
	all := guarded(t, (n+1)/2)
	if n == 0 {
		return nil
	}
	halves := unsafe.Slice((*uint16)(unsafe.Pointer(&all[0])), 2*len(all))
	return halves[len(halves)-n:]
}

// randomBF16 returns n guarded values in [-1, 1).
func randomBF16(t testing.TB, rng *rand.Rand, n int) []uint16 {
	t.Helper()
	x := guardedBF16(t, n)
	for i := range x {
		x[i] = narrow(rng.Float32()*2 - 1)
	}
	return x
}

// dotCase is one case of Dot.
type dotCase struct {
	rows, cols, k int
	ars, crs      int
	segs          []Seg
	aLen, bLen    int
	accumulate    bool
}

func (p dotCase) String() string {
	return fmt.Sprintf("rows %d cols %d k %d segs %v strides c %d a %d accumulate %v",
		p.rows, p.cols, p.k, p.segs, p.crs, p.ars, p.accumulate)
}

// newDotCase is laid out like a convolution, with some of the segments before
// the place where a begins, as far as its rows reach back into it.
func newDotCase(rng *rand.Rand, width, rows, cols, k, segs int) dotCase {
	p := dotCase{rows: rows, cols: cols, k: k, ars: k + rng.IntN(3), crs: cols + rng.IntN(5), accumulate: rng.IntN(2) == 0}
	if rng.IntN(4) == 0 {
		p.ars = -p.ars
	}
	panels := rng.Perm(segs)
	for s := range segs {
		seg := Seg{A: rng.IntN(8) + max(0, -p.ars*(rows-1)), B: panels[s] * k * width}
		p.segs = append(p.segs, seg)
		p.aLen = max(p.aLen, seg.A+max(0, p.ars*(rows-1))+k)
	}
	p.bLen = segs * k * width
	return p
}

// check runs the case on guarded buffers and compares the result with float64.
func (p dotCase) check(t *testing.T, set *BF16, rng *rand.Rand) {
	t.Helper()
	a, b := randomBF16(t, rng, p.aLen), randomBF16(t, rng, p.bLen)
	c := random(t, rng, (p.rows-1)*p.crs+p.cols)
	before := clone(c)
	set.Dot(c, p.crs, a, p.ars, b, p.segs, p.k, p.rows, p.cols, p.accumulate)
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
				v := float64(widen(a[s.A+r*p.ars+k])) * float64(widen(b[s.B+k/2*2*set.Cols+2*j+k%2]))
				want += v
				sum += math.Abs(v)
			}
		}
		if !(math.Abs(float64(c[i])-want) <= sum*float64(p.k*len(p.segs)+1)*0x1p-24) {
			t.Fatalf("%v: c[%d,%d] = %v, want %v", p, r, j, c[i], want)
		}
	}
}

func TestDot(t *testing.T) {
	each(t, func(t *testing.T, set *Set) {
		rng, bf16 := rand.New(rand.NewPCG(21, 2)), &set.BF16
		for rows := 1; rows <= 40; rows++ {
			for cols := 1; cols <= bf16.Cols; cols++ {
				newDotCase(rng, bf16.Cols, rows, cols, 2*(1+rng.IntN(20)), 1+rng.IntN(4)).check(t, bf16, rng)
			}
		}
		newDotCase(rng, bf16.Cols, 45, bf16.Cols, 512, 9).check(t, bf16, rng)
		newDotCase(rng, bf16.Cols, 64, bf16.Cols-1, 2, 49).check(t, bf16, rng)
	})
}

// TestDotPrefetch checks that prefetching does not change the bits, also if it fetches nothing
// or the last element, or runs past the end.
func TestDotPrefetch(t *testing.T) {
	each(t, func(t *testing.T, set *Set) {
		rng, bf16 := rand.New(rand.NewPCG(28, 7)), &set.BF16
		for rows := 1; rows <= 2*bf16.Rows+1; rows++ {
			for _, k := range []int{0, 2, 4, 6, 64} {
				for _, pace := range []int{0, 3, 64} {
					p := newDotCase(rng, bf16.Cols, rows, 1+rng.IntN(bf16.Cols), max(k, 2), 3)
					a, b := randomBF16(t, rng, p.aLen), randomBF16(t, rng, p.bLen)
					want := random(t, rng, (rows-1)*p.crs+p.cols)
					got := clone(want)
					bf16.Dot(want, p.crs, a, p.ars, b, p.segs, k, rows, p.cols, p.accumulate)
					bf16.DotFetch(got, p.crs, a, p.ars, b, p.segs, k, rows, p.cols, p.accumulate, b[len(b)-rng.IntN(min(len(b), 40)):], pace)
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

// TestDotEmpty checks that the sum is zero without segments and with k = 0.
func TestDotEmpty(t *testing.T) {
	each(t, func(t *testing.T, set *Set) {
		for _, segs := range [][]Seg{nil, {{0, 0}}} {
			c := []float32{1, 2, 3, 4, 5, 6}
			set.BF16.Dot(c, 3, nil, 1, nil, segs, 0, 2, 2, true)
			if !slices.Equal(c, []float32{1, 2, 3, 4, 5, 6}) {
				t.Fatalf("adding an empty sum changed c to %v", c)
			}
			set.BF16.Dot(c, 3, nil, 1, nil, segs, 0, 2, 2, false)
			if !slices.Equal(c, []float32{0, 0, 3, 0, 0, 6}) {
				t.Fatalf("an empty sum set c to %v", c)
			}
		}
	})
}

// repack converts the panels of b to another width.
func repack(b []uint16, from, to int) []uint16 {
	out := make([]uint16, len(b)/from*to)
	for p := range len(b) / (2 * from) {
		copy(out[p*2*to:][:2*to], b[p*2*from:][:2*from])
	}
	return out
}

// TestDotSetsAgree checks that every instruction set but AMX gives the bits of the plain
// loop, however rows, columns and the sum are divided into calls.
func TestDotSetsAgree(t *testing.T) {
	rng := rand.New(rand.NewPCG(22, 3))
	for range 30 {
		p := newDotCase(rng, 16, 1+rng.IntN(40), 1+rng.IntN(16), 2*(2+rng.IntN(40)), 1+rng.IntN(5))
		a, b, c := randomBF16(t, rng, p.aLen), randomBF16(t, rng, p.bLen), random(t, rng, p.rows*p.crs)
		want := clone(c)
		portableBF16.Dot(want, p.crs, a, p.ars, b, p.segs, p.k, p.rows, p.cols, p.accumulate)
		each(t, func(t *testing.T, set *Set) {
			if set.ISA == AMX {
				return // adds up in another order
			}
			bf16 := &set.BF16
			panels := repack(b, 16, bf16.Cols)
			got := clone(c)
			for r := 0; r < p.rows; {
				rows := min(1+rng.IntN(20), p.rows-r)
				for j := 0; j < p.cols; {
					cols := min(1+rng.IntN(16), p.cols-j)
					for s, seg := range p.segs {
						k := 2 * rng.IntN(p.k/2+1)
						one := []Seg{{seg.A + r*p.ars, seg.B/16*bf16.Cols + 2*j}}
						out := got[r*p.crs+j:]
						// A part of the columns begins within a panel, whose end it must not pass.
						tail := append(slices.Clone(panels), make([]uint16, 2*j)...)
						bf16.Dot(out, p.crs, a, p.ars, tail, one, k, rows, cols, p.accumulate || s > 0)
						one[0].A, one[0].B = one[0].A+k, one[0].B+k*bf16.Cols
						bf16.Dot(out, p.crs, a, p.ars, tail, one, p.k-k, rows, cols, true)
					}
					j += cols
				}
				r += rows
			}
			for i := range want {
				if math.Float32bits(want[i]) != math.Float32bits(got[i]) {
					t.Fatalf("%v: element %d is %v, by the plain loop %v", p, i, got[i], want[i])
				}
			}
		})
	}
}

// TestDotSpecial checks that a NaN or infinity reaches the elements that depend on it and
// no others.
func TestDotSpecial(t *testing.T) {
	each(t, func(t *testing.T, set *Set) {
		rng, bf16 := rand.New(rand.NewPCG(26, 7)), &set.BF16
		for rows := 1; rows <= 15; rows++ {
			for cols := 1; cols <= bf16.Cols; cols++ {
				const k = 6
				a, b := randomBF16(t, rng, rows*k), randomBF16(t, rng, k*bf16.Cols)
				c := random(t, rng, rows*cols)
				r, j, i := rng.IntN(rows), rng.IntN(cols), rng.IntN(k)
				a[r*k+rng.IntN(k)] = narrow(float32(math.Inf(1)))
				b[i/2*2*bf16.Cols+2*j+i%2] = narrow(float32(math.NaN()))
				bf16.Dot(c, cols, a, k, b, []Seg{{0, 0}}, k, rows, cols, false)
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

// TestDotSubnormal checks that numbers, products and sums below the smallest normal number
// cause no error beyond that of counting as zero.
func TestDotSubnormal(t *testing.T) {
	each(t, func(t *testing.T, set *Set) {
		rng, bf16 := rand.New(rand.NewPCG(27, 7)), &set.BF16
		const rows, k, tiny = 5, 8, 0x1p-126
		a, b := randomBF16(t, rng, rows*k), randomBF16(t, rng, k*bf16.Cols)
		for _, x := range [][]uint16{a, b} {
			for i := range x {
				x[i] = x[i]&0x807f | uint16(rng.IntN(128))<<7 // up to 2, most of them small
			}
		}
		a[0], b[1] = 1, 0x8001
		c := make([]float32, rows*bf16.Cols)
		bf16.Dot(c, bf16.Cols, a, k, b, []Seg{{0, 0}}, k, rows, bf16.Cols, false)
		for i, v := range c {
			want, sum := 0.0, 0.0
			for j := range k {
				p := float64(widen(a[i/bf16.Cols*k+j])) * float64(widen(b[j/2*2*bf16.Cols+2*(i%bf16.Cols)+j%2]))
				want, sum = want+p, sum+math.Abs(p)
			}
			if !(math.Abs(float64(v)-want) <= sum*k*0x1p-24+2*k*tiny) {
				t.Fatalf("element %d is %v, want %v", i, v, want)
			}
		}
	})
}

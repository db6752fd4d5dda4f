package kernel

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"
)

// guardedOf returns n elements that end at an unreadable page, like guarded.
func guardedOf[T uint8 | int8 | uint16 | int16 | int32](t testing.TB, n int) []T {
	t.Helper()
	var v T
	size := int(unsafe.Sizeof(v))
	all := guarded(t, (n*size+3)/4)
	if n == 0 {
		return nil
	}
	elements := unsafe.Slice((*T)(unsafe.Pointer(&all[0])), len(all)*4/size)
	return elements[len(elements)-n:]
}

// integers returns n guarded integers from -most to most, many of them at the ends.
func integers[T uint8 | int8 | int16 | int32](t testing.TB, rng *rand.Rand, n, most int) []T {
	t.Helper()
	x := guardedOf[T](t, n)
	for i := range x {
		switch v := rng.IntN(2*most+1) - most; rng.IntN(8) {
		case 0:
			x[i] = T(most)
		case 1:
			x[i] = T(-most)
		default:
			x[i] = T(v)
		}
	}
	return x
}

// equalFloats fails if two results differ in a bit.
func equalFloats(t *testing.T, got, want []float32, format string, args ...any) {
	t.Helper()
	for i := range want {
		if math.Float32bits(got[i]) != math.Float32bits(want[i]) {
			t.Fatalf("element %d is %v, want %v: "+format, append([]any{i, got[i], want[i]}, args...)...)
		}
	}
}

// int16Case is a product of 16-bit integers whose sums fit int32.
type int16Case struct {
	rows, cols, k, ars, crs, width int
	a, b                           []int16
	scale, c                       []float32
	accumulate                     bool
}

func newInt16Case(t *testing.T, rng *rand.Rand, width, rows, cols, k int) int16Case {
	p := int16Case{rows: rows, cols: cols, k: k, ars: k + rng.IntN(3), crs: cols + rng.IntN(5), width: width, accumulate: rng.IntN(2) == 0}
	most := int(math.Sqrt(math.MaxInt32 / float64(k)))
	p.a, p.b = integers[int16](t, rng, (rows-1)*p.ars+k, min(most, math.MaxInt16)), integers[int16](t, rng, k*width, min(most, math.MaxInt16))
	p.scale, p.c = random(t, rng, cols), random(t, rng, (rows-1)*p.crs+cols)
	return p
}

// want returns what Dot must make of c, from sums in 64 bits.
func (p *int16Case) want() []float32 {
	c := slices.Clone(p.c)
	for r := range p.rows {
		for j := range p.cols {
			sum := int64(0)
			for i := range p.k {
				sum += int64(p.a[r*p.ars+i]) * int64(p.b[i/2*2*p.width+2*j+i%2])
			}
			v := float32(float32(sum) * p.scale[j])
			if p.accumulate {
				v = float32(v + c[r*p.crs+j])
			}
			c[r*p.crs+j] = v
		}
	}
	return c
}

func TestDotInt16(t *testing.T) {
	each(t, func(t *testing.T, set *Set) {
		rng, s := rand.New(rand.NewPCG(41, 1)), &set.Int16
		check := func(rows, cols, k int) {
			p := newInt16Case(t, rng, s.Cols, rows, cols, k)
			want, got, next := p.want(), clone(p.c), p.b[len(p.b)-1-rng.IntN(min(len(p.b), 40)):]
			if rng.IntN(3) == 0 {
				next = nil
			}
			s.DotFetch(got, p.crs, p.a, p.ars, p.b, p.scale, k, rows, cols, p.accumulate, next, rng.IntN(65))
			equalFloats(t, got, want, "DotFetch, rows %d cols %d k %d accumulate %v", rows, cols, k, p.accumulate)
			s.Dot(p.c, p.crs, p.a, p.ars, p.b, p.scale, k, rows, cols, p.accumulate)
			equalFloats(t, p.c, want, "Dot, rows %d cols %d k %d accumulate %v", rows, cols, k, p.accumulate)
		}
		for rows := 1; rows <= 40; rows++ {
			for cols := 1; cols <= s.Cols; cols++ {
				check(rows, cols, 2*(1+rng.IntN(20)))
			}
		}
		check(100, s.Cols, 512)
		check(64, s.Cols-1, 2)
	})
}

// TestDotInt16Empty checks that an empty sum is zero, and changes nothing if it is added.
func TestDotInt16Empty(t *testing.T) {
	each(t, func(t *testing.T, set *Set) {
		c, scale := []float32{1, 2, 3, 4, 5, 6}, []float32{1, 1}
		set.Int16.Dot(c, 3, nil, 1, nil, scale, 0, 2, 2, true)
		if !slices.Equal(c, []float32{1, 2, 3, 4, 5, 6}) {
			t.Fatalf("adding an empty sum changed c to %v", c)
		}
		set.Int16.Dot(c, 3, nil, 1, nil, scale, 0, 2, 2, false)
		if !slices.Equal(c, []float32{0, 0, 3, 0, 0, 6}) {
			t.Fatalf("an empty sum set c to %v", c)
		}
	})
}

func TestPackPairsInt16(t *testing.T) {
	each(t, func(t *testing.T, set *Set) {
		rng, s := rand.New(rand.NewPCG(42, 1)), &set.Int16
		for _, cols := range []int{s.Cols, 16, 32} {
			for rows := 1; rows <= 9; rows++ {
				for n := 1; n <= cols; n++ {
					ld := n + rng.IntN(9)
					size := (rows-1)*ld + n
					words, floats, scale := integers[int16](t, rng, size, math.MaxInt16), special(rng, random(t, rng, size)), random(t, rng, n)
					for j := range scale {
						scale[j] *= float32(int(1) << rng.IntN(17))
					}
					got, scaled := integers[int16](t, rng, (rows+1)/2*2*cols, 99), integers[int16](t, rng, (rows+1)/2*2*cols, 99)
					s.PackPairs(got, words, rows, n, ld, cols)
					s.PackPairsFloat(scaled, floats, scale, rows, n, ld, cols)
					for i := range got {
						k, j := i/(2*cols)*2+i%2, i%(2*cols)/2
						var want, rounded int16
						if k < rows && j < n {
							want = words[k*ld+j]
							rounded = 32767
							if v := float32(floats[k*ld+j] * scale[j]); v == v {
								rounded = int16(max(-32768, min(32767, math.RoundToEven(float64(v)))))
							}
						}
						if got[i] != want || scaled[i] != rounded {
							t.Fatalf("%d x %d, ld %d, into %d columns: element %d is %d, %d from float32, want %d, %d", rows, n, ld, cols, i, got[i], scaled[i], want, rounded)
						}
					}
				}
			}
		}
	})
}

// TestPeakOfIntegers checks that the loops that kernels are measured by report their work.
func TestPeakOfIntegers(t *testing.T) {
	each(t, func(t *testing.T, set *Set) {
		if set.Int16.PeakDot(10) <= 0 || set.Int8.PeakDot(10) <= 0 {
			t.Error("a peak reports no operations")
		}
	})
}

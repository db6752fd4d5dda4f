package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// int8Case is a product of 8-bit integers, laid out like a convolution.
type int8Case struct {
	rows, cols, k, ars, crs, width int
	segs                           []Seg
	a                              []uint8
	b                              []int8
	accumulate                     bool
}

func (p *int8Case) String() string {
	return fmt.Sprintf("rows %d cols %d k %d segs %v strides c %d a %d accumulate %v", p.rows, p.cols, p.k, p.segs, p.crs, p.ars, p.accumulate)
}

func newInt8Case(t *testing.T, rng *rand.Rand, width, rows, cols, k, segs int) *int8Case {
	p := &int8Case{rows: rows, cols: cols, k: k, ars: k + rng.IntN(3), crs: cols + rng.IntN(5), width: width, accumulate: rng.IntN(2) == 0}
	if rng.IntN(4) == 0 {
		p.ars = -p.ars
	}
	size := 0
	panels := rng.Perm(segs)
	for s := range segs {
		seg := Seg{A: rng.IntN(8) + max(0, -p.ars*(rows-1)), B: panels[s] * k * width}
		p.segs = append(p.segs, seg)
		size = max(size, seg.A+max(0, p.ars*(rows-1))+k)
	}
	p.a, p.b = integers[uint8](t, rng, size, 255), integers[int8](t, rng, segs*k*width, 127)
	if rng.IntN(3) == 0 {
		p.extreme()
	}
	return p
}

// extreme sets the operands to the largest numbers, whose products saturate 16 bits.
func (p *int8Case) extreme() {
	for i := range p.a {
		p.a[i] = 255
	}
	for i := range p.b {
		p.b[i] = []int8{-128, 127}[i%p.width%2]
	}
}

// sum returns the sum of an element in 64 bits.
func (p *int8Case) sum(r, j int) int64 {
	sum := int64(0)
	for _, s := range p.segs {
		for i := range p.k {
			sum += int64(p.a[s.A+r*p.ars+i]) * int64(p.b[s.B+i/4*4*p.width+4*j+i%4])
		}
	}
	return sum
}

// int8Cases runs f on products of every number of rows and columns.
func int8Cases(t *testing.T, seed uint64, f func(t *testing.T, s *Int8, rng *rand.Rand, p *int8Case)) {
	each(t, func(t *testing.T, set *Set) {
		rng, s := rand.New(rand.NewPCG(seed, 8)), &set.Int8
		for rows := 1; rows <= 30; rows++ {
			for cols := 1 + rng.IntN(2); cols <= s.Cols; cols += 1 + s.Cols/32 {
				f(t, s, rng, newInt8Case(t, rng, s.Cols, rows, cols, 4*(1+rng.IntN(9)), 1+rng.IntN(4)))
			}
			f(t, s, rng, newInt8Case(t, rng, s.Cols, rows, s.Cols, 4*(1+rng.IntN(9)), 1+rng.IntN(4)))
		}
		f(t, s, rng, newInt8Case(t, rng, s.Cols, 45, s.Cols, 512, 9))
		f(t, s, rng, newInt8Case(t, rng, s.Cols, 64, s.Cols-1, 4, 49))
	})
}

func TestDotInt8(t *testing.T) {
	int8Cases(t, 51, func(t *testing.T, s *Int8, rng *rand.Rand, p *int8Case) {
		c := integers[int32](t, rng, (p.rows-1)*p.crs+p.cols, 1<<28)
		before := slices.Clone(c)
		s.Dot(c, p.crs, p.a, p.ars, p.b, p.segs, p.k, p.rows, p.cols, p.accumulate)
		for i := range c {
			want := int64(before[i])
			if r, j := i/p.crs, i%p.crs; j < p.cols {
				if !p.accumulate {
					want = 0
				}
				want += p.sum(r, j)
			}
			if int64(c[i]) != want {
				t.Fatalf("%v: element %d is %d, want %d", p, i, c[i], want)
			}
		}
	})
}

// newEpilogue returns an epilogue for results of rows x n at stride ld, of one of the three
// residuals: none, 8 bits, bfloat16. Most results of 8 bits are in their range.
func newEpilogue(t *testing.T, rng *rand.Rand, size, n, residual int, typical float64) Epilogue {
	e := Epilogue{Scale: random(t, rng, n), Shift: random(t, rng, n), Least: uint8(rng.IntN(2) * rng.IntN(256)), ReLU: rng.IntN(2) == 0}
	for j := range n {
		e.Scale[j] *= float32(150 / typical)
		e.Shift[j] *= 100
	}
	switch residual {
	case 1:
		e.Bytes, e.BytesScale = integers[uint8](t, rng, size, 255), rng.Float32()*2
	case 2:
		e.BF16 = randomBF16(t, rng, size)
		for i := range e.BF16 {
			switch rng.IntN(20) {
			case 0:
				e.BF16[i] = uint16(rng.Uint32())
			default:
				e.BF16[i] = narrow(widen(e.BF16[i]) * 100)
			}
		}
	}
	return e
}

// wantValue computes an epilogue's value of the sum x by its definition.
func wantValue(e *Epilogue, x int64, j, i int) float32 {
	v := exactFMA(float32(x), e.Scale[j], e.Shift[j])
	if e.Bytes != nil {
		v = exactFMA(float32(e.Bytes[i]), e.BytesScale, v)
	}
	if e.BF16 != nil {
		v += math.Float32frombits(uint32(e.BF16[i]) << 16)
	}
	return v
}

// bounded reports whether the kernels may be told that every value is a number below 2^31.
func bounded(e *Epilogue, p *int8Case) bool {
	for r := range p.rows {
		for j := range p.cols {
			if !(wantValue(e, p.sum(r, j), j, r*p.crs+j) < 1<<31) {
				return false
			}
		}
	}
	return true
}

// wantByte rounds a value to 8 bits.
func wantByte(v float32, least uint8) uint8 {
	if v != v {
		return 255
	}
	return uint8(max(float64(least), min(255, math.RoundToEven(float64(v)))))
}

// checkEpilogue compares results in the three types with the definition for the sums.
// Elements outside the columns must be what they were.
func checkEpilogue(t *testing.T, e *Epilogue, y []uint8, h []uint16, f []float32, before uint8, ld, n int, sum func(r, j int) int64, about fmt.Stringer) {
	t.Helper()
	for i := range y {
		bytes, half, float := before, uint16(before), float32(before)
		if r, j := i/ld, i%ld; j < n {
			v := wantValue(e, sum(r, j), j, i)
			bytes = wantByte(v, e.Least)
			if float = v; e.ReLU && v < 0 {
				float = 0
			}
			half = narrow(float)
		}
		if y[i] != bytes {
			t.Fatalf("%v: byte %d is %d, want %d with %+v", about, i, y[i], bytes, *e)
		}
		if h[i] != half && !(isNaN(h[i]) && isNaN(half)) {
			t.Fatalf("%v: bfloat16 %d is %#x, want %#x", about, i, h[i], half)
		}
		if math.Float32bits(f[i]) != math.Float32bits(float) && !(f[i] != f[i] && float != float) {
			t.Fatalf("%v: float32 %d is %v, want %v", about, i, f[i], float)
		}
	}
}

func isNaN(h uint16) bool { return h&0x7fff > 0x7f80 }

// results returns guarded results in the three types, all of one value.
func results(t testing.TB, size int, before uint8) (y []uint8, h []uint16, f []float32) {
	y, h, f = guardedOf[uint8](t, size), guardedOf[uint16](t, size), guarded(t, size)
	for i := range y {
		y[i], h[i], f[i] = before, uint16(before), float32(before)
	}
	return y, h, f
}

func TestDotInt8Finished(t *testing.T) {
	int8Cases(t, 52, func(t *testing.T, s *Int8, rng *rand.Rand, p *int8Case) {
		size := (p.rows-1)*p.crs + p.cols
		e := newEpilogue(t, rng, size, p.cols, rng.IntN(3), math.Abs(float64(p.sum(0, 0)))+1)
		e.Bounded = bounded(&e, p)
		y, h, f := results(t, size, 77)
		next := p.a[len(p.a)-rng.IntN(min(len(p.a), 40)):]
		s.DotBytes(y, p.crs, p.a, p.ars, p.b, p.segs, p.k, p.rows, p.cols, e, next, rng.IntN(65))
		s.DotBF16(h, p.crs, p.a, p.ars, p.b, p.segs, p.k, p.rows, p.cols, e, next, rng.IntN(65))
		s.DotFloat(f, p.crs, p.a, p.ars, p.b, p.segs, p.k, p.rows, p.cols, e, nil, 0)
		checkEpilogue(t, &e, y, h, f, 77, p.crs, p.cols, p.sum, p)
		if e.Bytes != nil { // in place
			s.DotBytes(e.Bytes, p.crs, p.a, p.ars, p.b, p.segs, p.k, p.rows, p.cols, e, nil, 0)
			for i, v := range e.Bytes {
				if i%p.crs < p.cols && v != y[i] {
					t.Fatalf("%v: byte %d is %d in place of the residual, elsewhere %d", p, i, v, y[i])
				}
			}
		}
	})
}

// TestDotInt8Empty checks that an empty sum is zero.
func TestDotInt8Empty(t *testing.T) {
	each(t, func(t *testing.T, set *Set) {
		for _, segs := range [][]Seg{nil, {{0, 0}}} {
			c := []int32{1, 2, 3, 4, 5, 6}
			set.Int8.Dot(c, 3, nil, 1, nil, segs, 0, 2, 2, true)
			if !slices.Equal(c, []int32{1, 2, 3, 4, 5, 6}) {
				t.Fatalf("adding an empty sum changed c to %v", c)
			}
			set.Int8.Dot(c, 3, nil, 1, nil, segs, 0, 2, 2, false)
			if !slices.Equal(c, []int32{0, 0, 3, 0, 0, 6}) {
				t.Fatalf("an empty sum set c to %v", c)
			}
			y := make([]uint8, 6)
			e := Epilogue{Scale: []float32{1, 1}, Shift: []float32{3, 300}}
			set.Int8.DotBytes(y, 3, nil, 1, nil, segs, 0, 2, 2, e, nil, 0)
			if !slices.Equal(y, []uint8{3, 255, 0, 3, 255, 0}) {
				t.Fatalf("empty sums became %v", y)
			}
		}
	})
}

type block2d struct{ rows, n, ldx, ldy int }

func (b block2d) String() string {
	return fmt.Sprintf("%d x %d, strides %d and %d", b.rows, b.n, b.ldx, b.ldy)
}

func TestEpilogues(t *testing.T) {
	each(t, func(t *testing.T, set *Set) {
		rng, s := rand.New(rand.NewPCG(53, 8)), &set.Int8
		for n := 1; n <= 150; n++ {
			b := block2d{1 + rng.IntN(4), n, n + rng.IntN(5), n + rng.IntN(5)}
			x := integers[int32](t, rng, (b.rows-1)*b.ldx+n, 1<<rng.IntN(31))
			size := (b.rows-1)*b.ldy + n
			e := newEpilogue(t, rng, size, n, n%3, math.Abs(float64(x[0]))+1)
			if n%5 == 0 {
				special(rng, e.Shift)
			}
			y, h, f := results(t, size, 99)
			s.Bytes(y, b.ldy, x, b.ldx, b.rows, n, e)
			s.BF16(h, b.ldy, x, b.ldx, b.rows, n, e)
			s.Float(f, b.ldy, x, b.ldx, b.rows, n, e)
			checkEpilogue(t, &e, y, h, f, 99, b.ldy, n, func(r, j int) int64 { return int64(x[r*b.ldx+j]) }, b)
			checkBytesOfFloats(t, s, rng, &e, b)
		}
	})
}

// checkBytesOfFloats compares results of 8 bits of float32 and of bfloat16 with the definition.
func checkBytesOfFloats(t *testing.T, s *Int8, rng *rand.Rand, e *Epilogue, b block2d) {
	size := (b.rows-1)*b.ldy + b.n
	x, half := anyFloats(t, rng, (b.rows-1)*b.ldx+b.n), specialBF16(t, rng, (b.rows-1)*b.ldx+b.n)
	for i := range half {
		if rng.IntN(2) == 0 {
			half[i] = narrow(float32(rng.IntN(600)-100) / 2)
		}
	}
	y, rounded := guardedOf[uint8](t, size), guardedOf[uint8](t, size)
	s.BytesOfFloat(y, b.ldy, x, b.ldx, b.rows, b.n, *e)
	s.BytesOfBF16(rounded, b.ldy, half, b.ldx, b.rows, b.n, e.Least)
	for i := range y {
		wantY, wantRounded := uint8(0), uint8(0)
		if r, j := i/b.ldy, i%b.ldy; j < b.n {
			wantY = wantByte(e.value(x[r*b.ldx+j], j, i), e.Least)
			wantRounded = wantByte(widen(half[r*b.ldx+j]), e.Least)
		}
		if y[i] != wantY || rounded[i] != wantRounded {
			t.Fatalf("%v: element %d became %d and %d, want %d and %d", b, i, y[i], rounded[i], wantY, wantRounded)
		}
	}
}

func TestPackQuads(t *testing.T) {
	each(t, func(t *testing.T, set *Set) {
		rng, s := rand.New(rand.NewPCG(54, 8)), &set.Int8
		for _, cols := range []int{s.Cols, 16, 24} {
			for rows := 1; rows <= 13; rows++ {
				for n := 1; n <= cols; n++ {
					ld := n + rng.IntN(9)
					src, dst := integers[int8](t, rng, (rows-1)*ld+n, 127), integers[int8](t, rng, (rows+3)/4*4*cols, 127)
					s.PackQuads(dst, src, rows, n, ld, cols)
					for i, got := range dst {
						k, j, want := i/(4*cols)*4+i%4, i%(4*cols)/4, int8(0)
						if k < rows && j < n {
							want = src[k*ld+j]
						}
						if got != want {
							t.Fatalf("%d x %d, ld %d, into %d columns: element %d is %d, want %d", rows, n, ld, cols, i, got, want)
						}
					}
				}
			}
		}
	})
}

func TestPoolBytes(t *testing.T) {
	each(t, func(t *testing.T, set *Set) {
		rng, s := rand.New(rand.NewPCG(55, 8)), &set.Int8
		for n := 1; n < 200; n++ {
			offs, size := window(rng, n)
			x, dst := integers[uint8](t, rng, size, 255), integers[uint8](t, rng, n, 255)
			s.MaxPool(dst, x, offs, n)
			for i, got := range dst {
				want := uint8(0)
				for _, o := range offs {
					want = max(want, x[o+i])
				}
				if got != want {
					t.Fatalf("n %d, offsets %v: maximum %d is %d, want %d", n, offs, i, got, want)
				}
			}
			s.MaxPool(dst, x, nil, n)
			if slices.Max(dst) != 0 {
				t.Fatalf("the maximum over nothing is %v", dst)
			}
			rows, ld := rng.IntN(70), n+rng.IntN(9)
			x = integers[uint8](t, rng, max(0, (rows-1)*ld+n), 255)
			sum := integers[int32](t, rng, n, 99)
			s.SumRows(sum, x, rows, n, ld)
			for j, got := range sum {
				want := int32(0)
				for r := range rows {
					want += int32(x[r*ld+j])
				}
				if got != want {
					t.Fatalf("the sum of column %d of %d x %d, ld %d, is %d, want %d", j, rows, n, ld, got, want)
				}
			}
		}
	})
}

func TestBytesAndFloats(t *testing.T) {
	each(t, func(t *testing.T, set *Set) {
		rng, s := rand.New(rand.NewPCG(56, 8)), &set.Int8
		for n := range 200 {
			h, x := specialBF16(t, rng, n), anyFloats(t, rng, n)
			scale, zero := rng.Float32()*0.1+0.001, float32(rng.IntN(256))
			inverse := 1 / scale
			for i := range n / 2 {
				x[i] = (float32(rng.IntN(300)) - zero + 0.5*float32(rng.IntN(2))) * scale
				h[i] = narrow(x[i])
			}
			fromBF16, fromFloat := integers[uint8](t, rng, n, 255), integers[uint8](t, rng, n, 255)
			s.Narrow(fromBF16, h, inverse, zero)
			s.NarrowFloat(fromFloat, x, inverse, zero)
			toBF16, toFloat := specialBF16(t, rng, n), anyFloats(t, rng, n)
			s.Widen(toBF16, fromFloat, scale, zero)
			s.WidenFloat(toFloat, fromFloat, scale, zero)
			for i := range n {
				a, b := float32(widen(h[i])*inverse), float32(x[i]*inverse)
				if fromBF16[i] != wantByte(a+zero, 0) || fromFloat[i] != wantByte(b+zero, 0) {
					t.Fatalf("%v and %v at %d of %d became %d and %d", widen(h[i]), x[i], i, n, fromBF16[i], fromFloat[i])
				}
				want := float32((float32(fromFloat[i]) - zero) * scale)
				if toFloat[i] != want || toBF16[i] != narrow(want) {
					t.Fatalf("%d at %d of %d widened to %v and %v, want %v", fromFloat[i], i, n, toFloat[i], widen(toBF16[i]), want)
				}
			}
		}
	})
}

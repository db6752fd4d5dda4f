package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"
)

// The kernels on bfloat16 give the results of the float32 kernels of the same instruction
// set for the same numbers, rounded. These tests compare the two bit for bit. The float32
// kernels have tests of their own.

// bf16Numbers returns n numbers, one in five of them special, as bfloat16 that end at
// an unreadable page and as the same in float32.
func bf16Numbers(t *testing.T, rng *rand.Rand, n int) (bf16 []uint16, float []float32) {
	t.Helper()
	buffer := guarded(t, (n+1)/2)
	bf16 = unsafe.Slice((*uint16)(unsafe.Pointer(unsafe.SliceData(buffer))), 2*len(buffer))[2*len(buffer)-n:]
	odd := []uint16{0x7fc0, 0xffc1, 0x7f80, 0xff80, 0x0000, 0x8000, 0x0001, 0x807f, 0x0080, 0x7f7f, 0xff7f, 0x0100}
	for i := range bf16 {
		bf16[i] = narrow(rng.Float32()*2 - 1)
		if rng.IntN(5) == 0 {
			bf16[i] = odd[rng.IntN(len(odd))]
		}
	}
	return bf16, widened(bf16)
}

func widened(bf16 []uint16) []float32 {
	if bf16 == nil {
		return nil
	}
	float := make([]float32, len(bf16))
	widenPortable(float, bf16)
	return float
}

// sameBits reports whether two floats have the same bits, or are both NaN.
func sameBits(a, b float32) bool {
	return math.Float32bits(a) == math.Float32bits(b) || a != a && b != b
}

// stored fails unless got is want, by round, in the columns and before elsewhere.
func (g grid) stored(t *testing.T, name string, got, before []uint16, want []float32, round func(float32) uint16) {
	t.Helper()
	for i, v := range got {
		expect := before[i]
		if i%g.ld < g.n {
			expect = round(want[i])
		}
		if v != expect && !sameBits(widen(v), widen(expect)) {
			t.Fatalf("%v: %s[%d] = %#04x, want %#04x of %v", g, name, i, v, expect, want[i])
		}
	}
}

// upper is the bfloat16 that a float32 is.
func upper(f float32) uint16 { return uint16(math.Float32bits(f) >> 16) }

// columns fails unless the values, one a column, are the same.
func (g grid) columns(t *testing.T, name string, got, want []float32) {
	t.Helper()
	for c, v := range got {
		if !sameBits(v, want[c]) {
			t.Fatalf("%v: %s[%d] = %v, want %v", g, name, c, v, want[c])
		}
	}
}

func TestBF16MeanM2AndSumRows(t *testing.T) {
	grids(t, func(t *testing.T, set *Set, g grid, rng *rand.Rand) {
		x, wide := bf16Numbers(t, rng, g.size())
		mean, m2, sum := random(t, rng, g.n), random(t, rng, g.n), random(t, rng, g.n)
		wantMean, wantM2, wantSum := clone(mean), clone(m2), clone(sum)
		set.BF16.MeanM2(mean, m2, x, g.rows, g.n, g.ld)
		set.BF16.SumRows(sum, x, g.rows, g.n, g.ld)
		set.MeanM2(wantMean, wantM2, wide, g.rows, g.n, g.ld)
		set.SumRows(wantSum, wide, g.rows, g.n, g.ld)
		g.columns(t, "mean", mean, wantMean)
		g.columns(t, "m2", m2, wantM2)
		g.columns(t, "sum", sum, wantSum)
	})
}

func TestBF16ScaleShift(t *testing.T) {
	grids(t, func(t *testing.T, set *Set, g grid, rng *rand.Rand) {
		for range 8 {
			bits := rng.IntN(32) // of the options
			x, wideX := bf16Numbers(t, rng, g.size())
			var scale, shift, wideRes []float32
			var res []uint16
			if bits&1 != 0 {
				scale = random(t, rng, g.n)
			}
			if bits&2 != 0 {
				shift = random(t, rng, g.n)
			}
			if bits&4 != 0 {
				res, wideRes = bf16Numbers(t, rng, g.size())
			}
			y := x
			if bits&16 == 0 {
				y, _ = bf16Numbers(t, rng, g.size())
			} else if res != nil && rng.IntN(2) == 0 {
				y = res
			}
			relu, before, want := bits&8 != 0, append([]uint16(nil), y...), make([]float32, g.size())
			set.BF16.ScaleShift(y, x, scale, shift, res, relu, g.rows, g.n, g.ld)
			set.ScaleShift(want, wideX, scale, shift, wideRes, relu, g.rows, g.n, g.ld)
			g.stored(t, fmt.Sprintf("y (options %b)", bits), y, before, want, narrow)
		}
	})
}

func TestBF16BNReduce(t *testing.T) {
	grids(t, func(t *testing.T, set *Set, g grid, rng *rand.Rand) {
		dy, wideDy := bf16Numbers(t, rng, g.size())
		x, wideX := bf16Numbers(t, rng, g.size())
		y, wideY := bf16Numbers(t, rng, g.size())
		if rng.IntN(3) == 0 {
			y, wideY = nil, nil
		}
		mean, sumDy, sumDyX := random(t, rng, g.n), random(t, rng, g.n), random(t, rng, g.n)
		want, wantX := clone(sumDy), clone(sumDyX)
		var dres []uint16
		var wideRes []float32
		if rng.IntN(2) == 0 {
			dres, wideRes = dy, wideDy
		}
		set.BF16.BNReduce(sumDy, sumDyX, dy, y, x, mean, dres, g.rows, g.n, g.ld)
		set.BNReduce(want, wantX, wideDy, wideY, wideX, mean, wideRes, g.rows, g.n, g.ld)
		for i := range dres {
			if math.Float32bits(widen(dres[i])) != math.Float32bits(wideRes[i]) {
				t.Fatalf("%v: dres[%d] is %#04x, want %v", g, i, dres[i], wideRes[i])
			}
		}
		g.columns(t, "sumDy", sumDy, want)
		g.columns(t, "sumDyX", sumDyX, wantX)
	})
}

func TestBF16BNGrad(t *testing.T) {
	grids(t, func(t *testing.T, set *Set, g grid, rng *rand.Rand) {
		for range 8 {
			bits := rng.IntN(32) // of the options
			dy, wideDy := bf16Numbers(t, rng, g.size())
			x, wideX := bf16Numbers(t, rng, g.size())
			a, b, d := random(t, rng, g.n), random(t, rng, g.n), random(t, rng, g.n)
			var y, dres, before []uint16
			var wideY, wideRes, sumDx []float32
			if bits&1 != 0 {
				y, wideY = bf16Numbers(t, rng, g.size())
			}
			if bits&4 != 0 {
				sumDx = random(t, rng, g.n)
			}
			dx, wideDx := bf16Numbers(t, rng, g.size())
			switch bits >> 3 {
			case 1:
				dx = dy
			case 2, 3:
				dx = x
			}
			if bits&2 != 0 {
				dres, wideRes = bf16Numbers(t, rng, g.size())
				if bits>>3 == 2 {
					dres = dy
				}
				before = append(before, dres...)
			}
			oldDx, wantSum := append([]uint16(nil), dx...), clone(sumDx)
			set.BF16.BNGrad(dx, dres, sumDx, dy, y, x, a, b, d, g.rows, g.n, g.ld)
			set.BNGrad(wideDx, wideRes, wantSum, wideDy, wideY, wideX, a, b, d, g.rows, g.n, g.ld)
			g.stored(t, fmt.Sprintf("dx (options %b)", bits), dx, oldDx, wideDx, narrow)
			g.stored(t, fmt.Sprintf("dres (options %b)", bits), dres, before, wideRes, upper)
			g.columns(t, "sumDx", sumDx, wantSum)
		}
	})
}

// TestBF16MaxPool checks that a maximum is exactly one of the numbers, not rounded, so that
// the gradient finds its place.
func TestBF16MaxPool(t *testing.T) {
	each(t, func(t *testing.T, set *Set) {
		rng := rand.New(rand.NewPCG(9, 10))
		for n := 1; n < 200; n++ {
			xOffs, size := window(rng, n)
			x, wide := bf16Numbers(t, rng, size)
			for i, v := range wide {
				if v != 0 && v >= -1 && v <= 1 && rng.IntN(2) == 0 {
					wide[i] = float32(math.Round(float64(v) * 3)) // many ties
					x[i] = narrow(wide[i])
				}
			}
			y, wideY := bf16Numbers(t, rng, n)
			set.BF16.MaxPool(y, x, xOffs, n)
			set.MaxPool(wideY, wide, xOffs, n)
			for i, v := range y {
				zeros := widen(v) == 0 && wideY[i] == 0 // of both signs: 0 is larger
				if !sameBits(widen(v), wideY[i]) && !zeros || zeros && (v == 0) != slices.ContainsFunc(xOffs, func(o int) bool { return x[o+i] == 0 }) {
					t.Fatalf("n %d window %v: y[%d] = %v, want %v", n, xOffs, i, widen(v), wideY[i])
				}
			}
			// The places in dx lie elsewhere: a permutation, further apart.
			dy, wideDy := bf16Numbers(t, rng, n)
			dxOffs, apart := make([]int, len(xOffs)), n+rng.IntN(5)
			for i, p := range rng.Perm(len(xOffs)) {
				dxOffs[i] = p * apart
			}
			dx := random(t, rng, (len(xOffs)-1)*apart+n)
			want, moved := clone(dx), make([]float32, len(dx))
			for i, o := range dxOffs {
				copy(moved[o:][:n], wide[xOffs[i]:])
			}
			set.BF16.MaxPoolGrad(dx, dy, x, y, dxOffs, xOffs, n)
			set.MaxPoolGrad(want, wideDy, moved, wideY, dxOffs, n)
			for i, v := range dx {
				if !sameBits(v, want[i]) {
					t.Fatalf("n %d windows %v, %v: dx[%d] = %v, want %v", n, dxOffs, xOffs, i, v, want[i])
				}
			}
		}
	})
}

func TestBF16MaxPoolOfNothing(t *testing.T) {
	each(t, func(t *testing.T, set *Set) {
		y, dx := make([]uint16, 37), make([]float32, 37)
		set.BF16.MaxPool(y, y, nil, len(y))
		set.BF16.MaxPoolGrad(dx, y, y, y, nil, nil, len(y))
		for i, v := range y {
			if v != 0xff80 || dx[i] != 0 {
				t.Fatalf("element %d of an empty window is %#04x with gradient %v, want -Inf and 0", i, v, dx[i])
			}
		}
	})
}

// TestBF16OfNothing checks blocks without rows and without columns.
func TestBF16OfNothing(t *testing.T) {
	each(t, func(t *testing.T, set *Set) {
		sum := []float32{1, 1, 1}
		set.BF16.SumRows(sum, nil, 0, 3, 3)
		if sum[0] != 0 || sum[1] != 0 || sum[2] != 0 {
			t.Fatalf("the sums of no rows are %v", sum)
		}
		set.BF16.ScaleShift(nil, nil, nil, nil, nil, true, 0, 3, 3)
		set.BF16.ScaleShift(nil, nil, nil, nil, nil, true, 3, 0, 3)
		set.BF16.BNGrad(nil, nil, nil, nil, nil, nil, sum, sum, sum, 0, 3, 3)
	})
}

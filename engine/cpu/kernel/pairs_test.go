package kernel

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// specialBF16 returns n guarded bfloat16 of any bits.
func specialBF16(t testing.TB, rng *rand.Rand, n int) []uint16 {
	t.Helper()
	x := guardedBF16(t, n)
	for i := range x {
		x[i] = uint16(rng.Uint32())
	}
	return x
}

// anyFloats returns n guarded floats of any bits, many of which are halfway
// between two bfloat16, special, or next to those.
func anyFloats(t *testing.T, rng *rand.Rand, n int) []float32 {
	t.Helper()
	x := guarded(t, n)
	for i := range x {
		bits := rng.Uint32()
		switch rng.IntN(4) {
		case 0:
			bits = bits&0xffff0000 | 0x8000
		case 1:
			bits = bits&0x807fffff | []uint32{0, 1 << 23, 0xfe << 23, 0xff << 23}[rng.IntN(4)]
		case 2:
			bits = bits&0xffff0000 | uint32(0x7fff+rng.IntN(3))
		}
		x[i] = math.Float32frombits(bits)
	}
	return x
}

// TestNarrow checks rounding to nearest, ties to even, in known cases.
func TestNarrow(t *testing.T) {
	each(t, func(t *testing.T, set *Set) {
		for _, c := range []struct {
			bits uint32
			want uint16
		}{
			{0x3f800000, 0x3f80}, {0x3f807fff, 0x3f80}, {0x3f808000, 0x3f80}, {0x3f808001, 0x3f81},
			{0x3f818000, 0x3f82}, {0xbf818000, 0xbf82}, {0x7f7fffff, 0x7f80}, {0xff7f8000, 0xff80},
			{0x7f800000, 0x7f80}, {0xff800000, 0xff80}, {0x7f800001, 0x7fc0}, {0xffc12345, 0xffc1},
			{0x7fffffff, 0x7fff}, {0x00000000, 0}, {0x80000000, 0x8000}, {0x007fffff, 0}, {0x80400000, 0x8000},
			{0x00800000, 0x0080}, {0x80808000, 0x8080},
		} {
			x, y := make([]float32, 20), make([]uint16, 20)
			for i := range x {
				x[i] = math.Float32frombits(c.bits)
			}
			set.BF16.Narrow(y, x)
			for i := range y {
				if y[i] != c.want {
					t.Fatalf("%#08x at %d became %#04x, want %#04x", c.bits, i, y[i], c.want)
				}
			}
		}
	})
}

func TestNarrowAndWiden(t *testing.T) {
	each(t, func(t *testing.T, set *Set) {
		rng := rand.New(rand.NewPCG(31, 2))
		for n := range 300 {
			x, got, want := anyFloats(t, rng, n), specialBF16(t, rng, n), make([]uint16, n)
			set.BF16.Narrow(got, x)
			narrowPortable(want, x)
			if !slices.Equal(got, want) {
				t.Fatalf("%d values %x narrowed to %x, want %x", n, x, got, want)
			}
			h, wide := specialBF16(t, rng, n), guarded(t, n)
			set.BF16.Widen(wide, h)
			for i, v := range wide {
				if math.Float32bits(v) != uint32(h[i])<<16 {
					t.Fatalf("%#04x at %d of %d widened to %#08x", h[i], i, n, math.Float32bits(v))
				}
			}
		}
	})
}

func TestPackPairs(t *testing.T) {
	each(t, func(t *testing.T, set *Set) {
		rng := rand.New(rand.NewPCG(32, 2))
		for _, cols := range []int{set.BF16.Cols, 16, 32, 24} {
			for rows := 1; rows <= 20; rows++ {
				for n := 1; n <= cols; n++ {
					ld := n + rng.IntN(9)
					size := (rows-1)*ld + n
					words, floats := specialBF16(t, rng, size), anyFloats(t, rng, size)
					got, want := specialBF16(t, rng, (rows+1)/2*2*cols), make([]uint16, (rows+1)/2*2*cols)
					set.BF16.PackPairs(got, words, rows, n, ld, cols)
					packPairsPortable(want, words, rows, n, ld, cols)
					if !slices.Equal(got, want) {
						t.Fatalf("PackPairs of %d x %d, ld %d, into %d columns: %x, want %x", rows, n, ld, cols, got, want)
					}
					set.BF16.PackPairsFloat(got, floats, rows, n, ld, cols)
					packPairsFloatPortable(want, floats, rows, n, ld, cols)
					if !slices.Equal(got, want) {
						t.Fatalf("PackPairsFloat of %d x %d, ld %d, into %d columns: %x, want %x", rows, n, ld, cols, got, want)
					}
				}
			}
		}
	})
}

func TestPackPairsTransposed(t *testing.T) {
	each(t, func(t *testing.T, set *Set) {
		rng := rand.New(rand.NewPCG(33, 2))
		for _, cols := range []int{set.BF16.Cols, 16, 32} {
			for rows := 1; rows <= cols; rows++ {
				for range 12 {
					n := 1 + rng.IntN(100)
					ld := n + rng.IntN(9)
					src := anyFloats(t, rng, (rows-1)*ld+n)
					got, want := specialBF16(t, rng, (n+1)/2*2*cols), make([]uint16, (n+1)/2*2*cols)
					set.BF16.PackPairsTransposed(got, src, rows, n, ld, cols)
					packPairsTransposedPortable(want, src, rows, n, ld, cols)
					if !slices.Equal(got, want) {
						t.Fatalf("%d x %d, ld %d, into %d columns: %x, want %x", rows, n, ld, cols, got, want)
					}
				}
			}
		}
	})
}

func TestTranspose(t *testing.T) {
	each(t, func(t *testing.T, set *Set) {
		rng := rand.New(rand.NewPCG(34, 2))
		check := func(rows, n, ld, dld int) {
			t.Helper()
			offs := rng.Perm(rows)
			src := specialBF16(t, rng, (rows-1)*ld+n)
			for i := range offs {
				if offs[i] *= ld; rng.IntN(6) == 0 {
					offs[i] = -1 - rng.IntN(1000)
				}
			}
			got := specialBF16(t, rng, (n-1)*dld+rows)
			want := slices.Clone(got)
			set.BF16.Transpose(got, src, offs, n, dld)
			for i, o := range offs {
				for j := range n {
					want[j*dld+i] = 0
					if o >= 0 {
						want[j*dld+i] = src[o+j]
					}
				}
			}
			if !slices.Equal(got, want) {
				t.Fatalf("%d x %d, ld %d, dld %d: wrong", rows, n, ld, dld)
			}
		}
		for range 400 {
			rows, n := 1+rng.IntN(100), 1+rng.IntN(100)
			check(rows, n, n+rng.IntN(9), rows+rng.IntN(40))
		}
		check(40, 2500, 2501, 64)
	})
}

func TestPatches(t *testing.T) {
	each(t, func(t *testing.T, set *Set) {
		rng := rand.New(rand.NewPCG(35, 2))
		check := func(taps, rows, c, ld, dld int) {
			t.Helper()
			offs := make([]int, taps)
			const span = 300
			for i := range offs {
				if offs[i] = rng.IntN(span); rng.IntN(4) == 0 {
					offs[i] = -1 - rng.IntN(1000)
				}
			}
			offs[rng.IntN(taps)] = span // up to the end of src
			src := specialBF16(t, rng, span+(rows-1)*ld+c)
			got, want := specialBF16(t, rng, rows*dld), make([]uint16, rows*dld)
			set.BF16.Patches(got, src, offs, rows, c, ld, dld)
			patchesPortable(want, src, offs, rows, c, ld, dld)
			if !slices.Equal(got, want) {
				t.Fatalf("%d taps, %d rows, %d channels of %d, dld %d: wrong", taps, rows, c, ld, dld)
			}
		}
		for range 300 {
			taps, rows, c := 1+rng.IntN(80), 1+rng.IntN(100), 1+rng.IntN(6)
			check(taps, rows, c, c+rng.IntN(2)*rng.IntN(70), taps*c+rng.IntN(40))
		}
		check(49, 64, 1, 1, 64)
		check(49, 2500, 1, 1, 50)
		check(49, 2500, 3, 3, 148)
		check(200, 20, 3, 3, 600)
	})
}

// TestFinish checks that the bits are those of ScaleShift on float32, rounded.
func TestFinish(t *testing.T) {
	each(t, func(t *testing.T, set *Set) {
		rng := rand.New(rand.NewPCG(36, 2))
		for range 1500 {
			rows, n := 1+rng.IntN(6), 1+rng.IntN(100)
			ldx, ldy := n+rng.IntN(9), n+rng.IntN(9)
			x := special(rng, random(t, rng, (rows-1)*ldx+n))
			y, size := specialBF16(t, rng, (rows-1)*ldy+n), (rows-1)*ldy+n
			var scale, shift []float32
			var res []uint16
			if rng.IntN(3) > 0 {
				scale = special(rng, random(t, rng, n))
			}
			if rng.IntN(3) > 0 {
				shift = special(rng, random(t, rng, n))
			}
			switch rng.IntN(3) {
			case 0:
				res = randomBF16(t, rng, size)
			case 1:
				res = y
			}
			relu := rng.IntN(2) == 0
			var wideRes []float32
			if res != nil {
				wideRes = make([]float32, size)
				widenPortable(wideRes, res)
			}
			wide, want := make([]float32, size), slices.Clone(y)
			for r := range rows {
				copy(wide[r*ldy:][:n], x[r*ldx:])
			}
			set.ScaleShift(wide, wide, scale, shift, wideRes, relu, rows, n, ldy)
			for r := range rows {
				narrowPortable(want[r*ldy:], wide[r*ldy:][:n])
			}
			set.BF16.Finish(y, ldy, x, ldx, scale, shift, res, relu, rows, n)
			for i := range want {
				bothNaN := want[i]&0x7fff > 0x7f80 && y[i]&0x7fff > 0x7f80 // of which sign and payload are open
				if y[i] != want[i] && !bothNaN {
					t.Fatalf("%d x %d, ld %d and %d: element %d is %#04x, want %#04x", rows, n, ldx, ldy, i, y[i], want[i])
				}
			}
		}
	})
}

func TestPairsDoNotAllocate(t *testing.T) {
	each(t, func(t *testing.T, set *Set) {
		bf16 := set.BF16
		x, y, floats := make([]uint16, 8192), make([]uint16, 8192), make([]float32, 8192)
		manyOffs := make([]int, 70)
		segs, offs := []Seg{{0, 0}, {64, 0}}, []int{0, 100, -1, 200, 300, 400, 500, 600, 700, 800, 900, 1000}
		for name, f := range map[string]func(){
			"Dot":                 func() { bf16.Dot(floats, bf16.Cols, x, 8, y, segs, 8, 33, bf16.Cols-1, true) },
			"DotFetch":            func() { bf16.DotFetch(floats, bf16.Cols, x, 8, y, segs, 8, 33, bf16.Cols-1, true, x[9:], 24) },
			"PackPairs":           func() { bf16.PackPairs(y, x, 9, bf16.Cols, 40, bf16.Cols) },
			"PackPairsFloat":      func() { bf16.PackPairsFloat(y, floats, 9, bf16.Cols, 40, bf16.Cols) },
			"PackPairsTransposed": func() { bf16.PackPairsTransposed(y, floats, bf16.Cols, 64, 70, bf16.Cols) },
			"Transpose":           func() { bf16.Transpose(y, x, manyOffs, 70, 80) },
			"Patches of one":      func() { bf16.Patches(y, x, offs, 70, 1, 1, 64) },
			"Patches of three":    func() { bf16.Patches(y, x, offs, 70, 3, 3, 64) },
			"Finish":              func() { bf16.Finish(y, 70, floats, 70, nil, floats, x, true, 10, 70) },
		} {
			if n := testing.AllocsPerRun(10, f); n != 0 {
				t.Errorf("%s allocates %v times a call", name, n)
			}
		}
	})
}

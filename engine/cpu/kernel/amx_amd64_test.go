//go:build !noasm

package kernel

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/residual-ml/residual/internal/amxemu"
)

// TestAMX runs, on AMX or under the emulator, the tests of what is special about its
// products and the tests of products for every instruction set.
func TestAMX(t *testing.T) {
	amxemu.Test(t, slices.Contains(Available(), AMX), func(t *testing.T) {
		for _, test := range []struct {
			name string
			run  func(*testing.T)
		}{
			{"Shapes", testAMXShapes},
			{"Order", testAMXOrder},
			{"Dot", TestDot},
			{"DotEmpty", TestDotEmpty},
			{"DotSpecial", TestDotSpecial},
			{"UnderPressure", TestProductsWhilePreempted},
			{"BestIsAvailable", TestBestIsAvailable},
			{"KernelsDoNotAllocate", TestKernelsDoNotAllocate},
		} {
			t.Run(test.name, test.run)
		}
		t.Run("Peak", func(t *testing.T) {
			if got := For(AMX).BF16.PeakDot(3); got != 3*6*16*16*32*2 {
				t.Errorf("PeakDot(3) reports %v operations", got)
			}
		})
		t.Run("Table", func(t *testing.T) {
			if h := For(AMX).BF16; !h.Native || h.Rows != 32 || h.Cols != 32 || h.Depth != 32 || h.Unit == For(AVX512BF16).BF16.Unit {
				t.Errorf("native %v, unit %s, block %d x %d x %d", h.Native, h.Unit, h.Rows, h.Cols, h.Depth)
			}
		})
	})
}

// testAMXShapes compares products with float64: numbers of rows around the sizes of tiles
// and blocks, columns of one tile and of two, and every number of terms beyond a multiple
// of 32.
func testAMXShapes(t *testing.T) {
	rng, bf16 := rand.New(rand.NewPCG(31, 1)), &For(AMX).BF16
	for _, rows := range []int{1, 15, 16, 17, 31, 32, 33, 47, 48, 49, 64, 65, 96, 97} {
		for _, cols := range []int{1, 2, 15, 16, 17, 18, 31, 32} {
			for range 2 {
				k := 32*rng.IntN(4) + 2*rng.IntN(16)
				newDotCase(rng, bf16.Cols, rows, cols, max(k, 2), 1+rng.IntN(4)).check(t, bf16, rng)
			}
		}
	}
	for k := 2; k <= 98; k += 2 {
		newDotCase(rng, bf16.Cols, 1+rng.IntN(70), 1+rng.IntN(32), k, 1+rng.IntN(3)).check(t, bf16, rng)
	}
	newDotCase(rng, bf16.Cols, 448, 32, 64, 9).check(t, bf16, rng)
}

// tileSum computes one element of a product in the order of AMX: for every 32 terms it sums
// the even and the odd ones separately, and adds their sum. The terms of all segments
// beyond a multiple of 32 come last.
func tileSum(sum float32, a func(i int) float32, b func(i int) float32, from, to int) float32 {
	var even, odd float32
	for i := from; i < to; i += 2 {
		even += float32(a(i) * b(i))
		odd += float32(a(i+1) * b(i+1))
	}
	return sum + (even + odd)
}

// plain computes the case with plain loops in the order of AMX.
func (p dotCase) plain(c []float32, a, b []uint16) {
	fullTiles := p.k / tileDepth * tileDepth
	for r := range p.rows {
		for j := range p.cols {
			out := &c[r*p.crs+j]
			if !p.accumulate {
				*out = 0
			}
			term := func(s Seg) (x, y func(int) float32) {
				return func(i int) float32 { return widen(a[s.A+r*p.ars+i]) },
					func(i int) float32 { return widen(b[s.B+i/2*4*tileCols+2*j+i%2]) }
			}
			for _, s := range p.segs {
				x, y := term(s)
				for i := 0; i < fullTiles; i += tileDepth {
					*out = tileSum(*out, x, y, i, i+tileDepth)
				}
			}
			for _, s := range p.segs {
				if x, y := term(s); fullTiles < p.k {
					*out = tileSum(*out, x, y, fullTiles, p.k)
				}
			}
		}
	}
}

// testAMXOrder checks that the bits are those of the plain loops, in one call and in calls
// for parts of the rows and columns.
func testAMXOrder(t *testing.T) {
	rng, bf16 := rand.New(rand.NewPCG(32, 2)), &For(AMX).BF16
	for range 60 {
		p := newDotCase(rng, bf16.Cols, 1+rng.IntN(80), 1+rng.IntN(32), 2*(1+rng.IntN(60)), 1+rng.IntN(4))
		a, b, c := randomBF16(t, rng, p.aLen), randomBF16(t, rng, p.bLen), random(t, rng, p.rows*p.crs)
		want, parts := clone(c), clone(c)
		p.plain(want, a, b)
		bf16.Dot(c, p.crs, a, p.ars, b, p.segs, p.k, p.rows, p.cols, p.accumulate)
		for r := 0; r < p.rows; {
			rows := min(1+rng.IntN(50), p.rows-r)
			for j := 0; j < p.cols; {
				cols := min(1+rng.IntN(32), p.cols-j)
				segs := slices.Clone(p.segs)
				for s := range segs {
					segs[s].A += r * p.ars
					segs[s].B += 2 * j
				}
				bf16.Dot(parts[r*p.crs+j:], p.crs, a, p.ars, b, segs, p.k, rows, cols, p.accumulate)
				j += cols
			}
			r += rows
		}
		for i := range want {
			if bits := math.Float32bits(want[i]); math.Float32bits(c[i]) != bits || math.Float32bits(parts[i]) != bits {
				t.Fatalf("%v: element %d is %v, in parts %v, by plain loops %v", p, i, c[i], parts[i], want[i])
			}
		}
	}
}

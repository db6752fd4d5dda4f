package kernel

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// lineValues returns n guarded bfloat16 of both signs, with one that is special somewhere.
func lineValues(t *testing.T, rng *rand.Rand, n int, special float32) []uint16 {
	x := guardedBF16(t, n)
	for i := range x {
		x[i] = narrow(float32(rng.NormFloat64()))
	}
	if special != 0 {
		x[rng.IntN(n)] = narrow(special)
	}
	return x
}

// TestLineInput checks that every instruction set transforms lines into the integers of plain Go,
// for usual numbers and for those that have no integers.
func TestLineInput(t *testing.T) {
	each(t, func(t *testing.T, set *Set) {
		rng := rand.New(rand.NewPCG(71, 72))
		for i := range 60 {
			size, tiles, lines := 2*(1+rng.IntN(LineDepth/2)), 2*(1+rng.IntN(8)), 1+rng.IntN(MostLines)
			ld := ((tiles*LineTile+2)*size + LineDepth + 31 + 32*rng.IntN(40)) &^ 31
			special := [...]float32{0, 0, 0, 300, 0x1p125, float32(math.Inf(1)), float32(math.NaN()), 0x1p-130}[i%8]
			src := lineValues(t, rng, lines*ld, special)
			point := tiles*LineDepth + rng.IntN(5)
			line := LinePoints*point + rng.IntN(5)
			n := (lines-1)*line + (LinePoints-1)*point + tiles*LineDepth
			got, want, scratch := guardedInt16(t, n), make([]int16, n), guarded(t, TileScratch)
			for i := range got {
				got[i], want[i] = 12345, 12345
			}
			for i := range scratch {
				scratch[i] = float32(math.NaN())
			}
			inverse := set.Int16.Lines.Input(got, line, point, src, ld, lines, size, tiles, scratch)
			inverseWant := lineInputPortable(want, line, point, src, ld, lines, size, tiles, nil)
			if nan := inverseWant != inverseWant; nan != (special > 1000 || special != special) {
				t.Fatalf("with %g the inverse scale is %g", special, inverseWant)
			} else if nan != (inverse != inverse) || !nan && inverse != inverseWant {
				t.Fatalf("the inverse scale is %g, want %g", inverse, inverseWant)
			} else if !nan && !slices.Equal(got, want) {
				t.Fatalf("size %d, %d tiles, %d lines: other integers", size, tiles, lines)
			}
		}
	})
}

// TestLineOutput checks that every instruction set makes the results of plain Go.
func TestLineOutput(t *testing.T) {
	each(t, func(t *testing.T, set *Set) {
		rng, cols := rand.New(rand.NewPCG(73, 74)), set.Int16.Cols
		for i := range 40 {
			tiles := 1 + rng.IntN(9)
			step, pixel := tiles*cols+rng.IntN(5), cols+rng.IntN(9)
			src := random(t, rng, (LinePoints-1)*step+tiles*cols)
			scale, shift, relu := random(t, rng, cols), random(t, rng, cols), i%2 == 0
			if i%5 == 0 {
				src[rng.IntN(len(src))], scale[rng.IntN(cols)] = float32(math.Inf(1)), float32(math.NaN())
			}
			n := (LineTile*tiles-1)*pixel + cols
			got, want := guardedBF16(t, n), make([]uint16, n)
			for i := range got {
				got[i], want[i] = 54321, 54321
			}
			set.Int16.Lines.Output(got, pixel, src, step, scale, shift, relu, tiles)
			lineOutput(cols, want, pixel, src, step, scale, shift, relu, tiles)
			for i := range want {
				nan := widen(want[i]) != widen(want[i])
				if nan != (widen(got[i]) != widen(got[i])) || !nan && got[i] != want[i] {
					t.Fatalf("%d tiles: element %d is %g, want %g", tiles, i, widen(got[i]), widen(want[i]))
				}
			}
		}
	})
}

// TestDotSegs compares sums of several parts with their definition.
func TestDotSegs(t *testing.T) {
	each(t, func(t *testing.T, set *Set) {
		rng, s := rand.New(rand.NewPCG(75, 76)), &set.Int16
		for i := range 80 {
			rows, cols, k, count := 1+rng.IntN(40), 1+rng.IntN(s.Cols), 2*(1+rng.IntN(5)), 1+rng.IntN(8)
			ars, crs := k+rng.IntN(3), cols+rng.IntN(5)
			var segs []Seg
			for range count {
				segs = append(segs, Seg{A: rng.IntN(50), B: 2 * s.Cols * rng.IntN(9)})
			}
			a, b := integers[int16](t, rng, 50+(rows-1)*ars+k, 5000), integers[int16](t, rng, (16+k)*s.Cols, 5000)
			scale, got := random(t, rng, cols), guarded(t, (rows-1)*crs+cols)
			clear(got)
			want := make([]float32, len(got))
			for r := range rows {
				for j := range cols {
					sum := int64(0)
					for _, g := range segs {
						for i := range k {
							sum += int64(a[g.A+r*ars+i]) * int64(b[g.B+i/2*2*s.Cols+2*j+i%2])
						}
					}
					want[r*crs+j] = float32(sum) * scale[j]
				}
			}
			s.DotSegs(got, crs, a, ars, b, segs, scale, k, rows, cols)
			equalFloats(t, got, want, "case %d: %d rows, %d columns, %d segments of %d", i, rows, cols, count, k)
		}
	})
}

// TestFilterLines checks the limits of transformed filters, that a column of zeros stays zero,
// and that weights that are not finite spoil their own column only.
func TestFilterLines(t *testing.T) {
	const lines, width, size, columns, ld, cols = 7, 21, 6, 13, 15, 16
	rng := rand.New(rand.NewPCG(77, 78))
	weight := guarded(t, (lines*width-1)*ld+columns)
	for i := range weight {
		weight[i] = float32(rng.NormFloat64())
	}
	for k := range lines * width {
		weight[k*ld] = 0
	}
	weight[5*ld+1], weight[9*ld+2] = float32(math.NaN()), float32(math.Inf(-1))
	panel, scale := guardedInt16(t, LinePoints*lines*size*cols), guarded(t, LinePoints*cols)
	FilterLines(panel, scale, weight, lines, width, size, columns, ld, cols)
	for p := range LinePoints {
		for j := range cols {
			sum := 0
			for k := range lines * size {
				v := int(panel[(p*lines*size+k)/2*2*cols+2*j+k%2])
				sum += max(v, -v)
			}
			s := scale[p*cols+j]
			switch spoilt := j == 1 || j == 2; {
			case spoilt && p < LinePoints-1: // the last point has the last tap only
				if s-s == 0 {
					t.Errorf("point %d, column %d: the scale is %g", p, j, s)
				}
			case spoilt:
			case (j == 0 || j >= columns) && sum > 0:
				t.Errorf("point %d, column %d: weights of zeros sum to %d", p, j, sum)
			case s != s || sum*(1<<15-2) > math.MaxInt32:
				t.Errorf("point %d, column %d: magnitudes sum to %d, the scale is %g", p, j, sum, s)
			}
		}
	}
}

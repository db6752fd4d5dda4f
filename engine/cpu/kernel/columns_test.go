package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// columnsOf returns rows of numbers whose columns differ in size. Some are tiny, huge, sparse,
// zero or not finite.
func columnsOf(rng *rand.Rand, rows, cols int) []float32 {
	u := make([]float32, rows*cols)
	for j := range cols {
		size := math.Exp(4 * rng.NormFloat64())
		switch j % 8 {
		case 1:
			size = 0x1p-90
		case 2:
			size = 0x1p90
		case 3:
			size = 0
		}
		for r := range rows {
			v := size * rng.NormFloat64()
			if j%8 == 4 && r%9 > 0 {
				v = 0
			}
			u[r*cols+j] = float32(v)
		}
		switch j % 16 {
		case 7:
			u[rng.IntN(rows)*cols+j] = float32(math.NaN())
		case 13:
			u[rng.IntN(rows)*cols+j] = float32(math.Inf(-1))
		}
	}
	return u
}

// TestQuantiseColumns: integers times their scales are the numbers, to half a step, and no sum
// of products can overflow. All instruction sets give the same bits.
func TestQuantiseColumns(t *testing.T) {
	for _, rows := range []int{2, 4, 30, 128, 1026} {
		rng := rand.New(rand.NewPCG(7, uint64(rows)))
		all := columnsOf(rng, rows, 32)
		for _, isa := range Available() {
			k := &For(isa).Int16.Tiles
			for first := 0; first < 32; first += k.Cols {
				name := fmt.Sprintf("%v, %d rows, columns from %d", isa, rows, first)
				u := guarded(t, rows*k.Cols)
				for r := range rows {
					copy(u[r*k.Cols:][:k.Cols], all[r*32+first:])
				}
				dst, scale := guardedInt16(t, rows*k.Cols), guarded(t, k.Cols)
				k.QuantiseColumns(dst, scale, u, rows)
				same, sameScale := make([]int16, rows*portableCols), make([]float32, portableCols)
				for half := 0; half < k.Cols; half += portableCols {
					narrow := make([]float32, rows*portableCols)
					for r := range rows {
						copy(narrow[r*portableCols:][:portableCols], u[r*k.Cols+half:])
					}
					portableTiles.QuantiseColumns(same, sameScale, narrow, rows)
					for j := range portableCols {
						checkColumn(t, fmt.Sprintf("%s, column %d", name, half+j), u[half+j:], dst[2*(half+j):], scale[half+j], k.Cols, rows)
						if a, b := scale[half+j], sameScale[j]; a != b && (a == a || b == b) {
							t.Fatalf("%s, column %d: the scale is %v, in plain Go %v", name, half+j, a, b)
						}
						for r := range rows {
							if a, b := dst[r/2*2*k.Cols+2*(half+j)+r%2], same[r/2*2*portableCols+2*j+r%2]; a != b && scale[half+j]-scale[half+j] == 0 {
								t.Fatalf("%s, column %d, row %d: %d, in plain Go %d", name, half+j, r, a, b)
							}
						}
					}
				}
			}
		}
	}
}

// checkColumn checks a column of integers, pairs of which lie 2*cols apart.
func checkColumn(t *testing.T, name string, u []float32, dst []int16, scale float32, cols, rows int) {
	t.Helper()
	finite := true
	for r := range rows {
		finite = finite && u[r*cols]-u[r*cols] == 0
	}
	if !finite {
		if scale-scale == 0 {
			t.Fatalf("%s: the scale of what is not finite is %v", name, scale)
		}
		return
	}
	squares := 0.0
	for r := range rows {
		q := float64(dst[r/2*2*cols+r%2])
		squares += q * q
		if e := math.Abs(q*float64(scale) - float64(u[r*cols])); !(e <= 0.501*float64(scale)) {
			t.Fatalf("%s, row %d: %v times %v is not %v", name, r, q, scale, u[r*cols])
		}
	}
	if squares >= 1<<31 {
		t.Fatalf("%s: the sum of squares is %v", name, squares)
	}
}

package kernel

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// sumCase is a call of DotStats or DotReduce, with the sums that Dot gives for it.
type sumCase struct {
	dotCase
	a, b []uint16
	ldy  int
	x    []float32 // a panel wide
}

func newSumCase(t *testing.T, rng *rand.Rand, bf16 *BF16, rows, cols int) *sumCase {
	p := newDotCase(rng, bf16.Cols, rows, cols, 2+2*rng.IntN(20), 1+rng.IntN(4))
	c := &sumCase{dotCase: p, ldy: cols + rng.IntN(5), x: make([]float32, rows*bf16.Cols)}
	c.a, c.b = randomBF16(t, rng, p.aLen), randomBF16(t, rng, len(p.segs)*p.k*bf16.Cols)
	bf16.Dot(c.x, bf16.Cols, c.a, p.ars, c.b, p.segs, p.k, rows, cols, false)
	return c
}

// ofResults returns guarded numbers in the places of the results, some of them zero.
func (c *sumCase) ofResults(t *testing.T, rng *rand.Rand) []uint16 {
	m := randomBF16(t, rng, (c.rows-1)*c.ldy+c.cols)
	for i := range m {
		if rng.IntN(4) == 0 {
			m[i] = 0
		}
	}
	return m
}

// eachSumCase calls f with calls of all numbers of rows and columns.
func eachSumCase(t *testing.T, f func(t *testing.T, rng *rand.Rand, bf16 *BF16, c *sumCase)) {
	each(t, func(t *testing.T, set *Set) {
		rng, bf16 := rand.New(rand.NewPCG(29, 11)), &set.BF16
		if bf16.DotStats == nil {
			t.Skip("these kernels (AMX) have no DotStats: their sums go through memory")
		}
		for rows := 1; rows <= 2*bf16.Rows+3; rows++ {
			for _, cols := range roundWidths(bf16) {
				f(t, rng, bf16, newSumCase(t, rng, bf16, rows, cols))
			}
		}
	})
}

// sameColumns compares the columns of rows of sums.
func (c *sumCase) sameColumns(t *testing.T, got, want []float32, width int) {
	t.Helper()
	for i := 0; i < len(got); i += width {
		if !slices.Equal(got[i:][:c.cols], want[i:][:c.cols]) {
			t.Fatalf("%v: row %d of the sums is %v, want %v", c, i/width, got[i:][:c.cols], want[i:][:c.cols])
		}
	}
}

// TestDotStats compares the results with those of Dot and Finish, and the sums with those of
// the rows one after the other, bit by bit.
func TestDotStats(t *testing.T) {
	eachSumCase(t, func(t *testing.T, rng *rand.Rand, bf16 *BF16, c *sumCase) {
		width := bf16.Cols
		sums, want := make([]float32, 3*width), make([]float32, 3*width)
		fresh := rng.IntN(2) == 0
		for i := range sums {
			sums[i] = rng.Float32()
		}
		copy(want, sums)
		if fresh {
			clear(want)
			copy(want, c.x[:c.cols])
		}
		for r := range c.rows {
			for j, v := range c.x[r*width:][:c.cols] {
				d := v - want[j]
				want[width+j] += d
				want[2*width+j] = fma(d, d, want[2*width+j])
			}
		}
		var shift []float32
		if rng.IntN(2) == 0 {
			shift = random(t, rng, c.cols)
		}
		y := c.ofResults(t, rng)
		wantY := slices.Clone(y)
		bf16.Finish(wantY, c.ldy, c.x, width, nil, shift, nil, false, c.rows, c.cols)
		bf16.DotStats(y, c.ldy, c.a, c.ars, c.b, c.segs, c.k, c.rows, c.cols, shift, sums, fresh, c.b[len(c.b)-1:], 64)
		if !slices.Equal(y, wantY) {
			t.Fatalf("%v: other bits than Dot and Finish have", c)
		}
		c.sameColumns(t, sums, want, width)
	})
}

// TestDotReduce compares the results and the sums with those of Dot, row by row, bit by bit.
func TestDotReduce(t *testing.T) {
	eachSumCase(t, func(t *testing.T, rng *rand.Rand, bf16 *BF16, c *sumCase) {
		width := bf16.Cols
		sums := make([]float32, 2*width)
		for i := range sums {
			sums[i] = rng.Float32()
		}
		want := slices.Clone(sums)
		g := Reduction{X: c.ofResults(t, rng), Mean: random(t, rng, c.cols)}
		if rng.IntN(2) == 0 {
			g.Res = c.ofResults(t, rng)
		}
		if rng.IntN(2) == 0 {
			g.Gate = c.ofResults(t, rng)
		}
		y := c.ofResults(t, rng)
		wantY := slices.Clone(y)
		for r := range c.rows {
			for j, v := range c.x[r*width:][:c.cols] {
				at := r*c.ldy + j
				if g.Res != nil {
					v += load(g.Res[at])
				}
				if g.Gate != nil && load(g.Gate[at]) <= 0 {
					v = 0
				}
				wantY[at] = narrow(v)
				want[j] += v
				want[width+j] = fma(load(g.X[at])-g.Mean[j], v, want[width+j])
			}
		}
		bf16.DotReduce(y, c.ldy, c.a, c.ars, c.b, c.segs, c.k, c.rows, c.cols, g, sums, c.b[len(c.b)-1:], 64)
		if !slices.Equal(y, wantY) {
			t.Fatalf("%v: other results than Dot and its end have", c)
		}
		c.sameColumns(t, sums, want, width)
	})
}

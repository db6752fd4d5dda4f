package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// mixCase is one call of Mix2.
type mixCase struct {
	kind                           Mix
	outs, ins                      int
	dstRow, dstCol, srcRow, srcCol int
	n, k0, k1, p0, p1, i1, j1      int
}

func (c mixCase) String() string {
	return fmt.Sprintf("%v n %d rows %d..%d columns %d..%d of the input, %d x %d of the output, strides dst %d,%d src %d,%d",
		c.kind, c.n, c.k0, c.k1, c.p0, c.p1, c.i1, c.j1, c.dstRow, c.dstCol, c.srcRow, c.srcCol)
}

// randomMix lays out a tile of n lanes with gaps between pixels and rows; border
// cuts the input and the output.
func randomMix(rng *rand.Rand, kind Mix, n int, border bool) mixCase {
	c := mixCase{kind: kind, n: n}
	c.outs, c.ins = kind.Size()
	c.k1, c.p1, c.i1, c.j1 = c.ins, c.ins, c.outs, c.outs
	if border {
		c.k0, c.p0 = rng.IntN(c.ins), rng.IntN(c.ins)
		c.k1, c.p1 = c.k0+rng.IntN(c.ins-c.k0+1), c.p0+rng.IntN(c.ins-c.p0+1)
		c.i1, c.j1 = rng.IntN(c.outs+1), rng.IntN(c.outs+1)
	}
	c.dstCol, c.srcCol = n+rng.IntN(4), n+rng.IntN(4)
	c.dstRow, c.srcRow = c.outs*c.dstCol+rng.IntN(4), c.ins*c.srcCol+rng.IntN(4)
	if rng.IntN(4) == 0 { // planes, as products take them, columns outermost
		c.dstRow, c.dstCol = c.dstCol, c.outs*c.dstCol
	}
	return c
}

// span is how many elements rows x cols pixels reach over.
func (c mixCase) span(rows, cols, row, col int) int {
	if rows <= 0 || cols <= 0 {
		return 0
	}
	return (rows-1)*row + (cols-1)*col + c.n
}

// dst and src are the sizes of the slices.
func (c mixCase) dst() int { return c.span(c.i1, c.j1, c.dstRow, c.dstCol) }

func (c mixCase) src() int { return c.span(c.k1-c.k0, c.p1-c.p0, c.srcRow, c.srcCol) }

// want is output (i, j) in lane l in float64, with the sum of the sizes of its terms.
func (c mixCase) want(t [][]float64, src []float32, i, j, l int) (sum, size float64) {
	for k := c.k0; k < c.k1; k++ {
		for p := c.p0; p < c.p1; p++ {
			if f := t[i][k] * t[j][p]; f != 0 {
				v := f * float64(src[(k-c.k0)*c.srcRow+(p-c.p0)*c.srcCol+l])
				sum += v
				size += math.Abs(v)
			}
		}
	}
	return sum, size
}

func (c mixCase) run(set *Set, dst, src, scratch []float32) {
	set.Mix2(c.kind, dst, src, c.dstRow, c.dstCol, c.srcRow, c.srcCol, c.n, c.k0, c.k1, c.p0, c.p1, c.i1, c.j1, scratch)
}

// check runs the case on buffers that end at an unreadable page, with NaN in
// scratch, and compares with float64; nothing else in dst may change.
func (c mixCase) check(t *testing.T, set *Set, rng *rand.Rand) {
	t.Helper()
	src, dst, scratch := random(t, rng, c.src()), random(t, rng, c.dst()), random(t, rng, MixScratch)
	for i := range scratch {
		scratch[i] = float32(math.NaN())
	}
	before := clone(dst)
	c.run(set, dst, src, scratch)
	matrix := c.kind.Coefficients()
	written := make([]bool, len(dst))
	for i := range c.i1 {
		for j := range c.j1 {
			for l := range c.n {
				at := i*c.dstRow + j*c.dstCol + l
				want, size := c.want(matrix, src, i, j, l)
				near(t, c, "dst", at, dst[at], want, size, 2*c.ins+6)
				written[at] = true
			}
		}
	}
	for at, w := range written {
		if !w && math.Float32bits(dst[at]) != math.Float32bits(before[at]) {
			t.Fatalf("%v: dst[%d], no pixel to write, was written", c, at)
		}
	}
}

func TestMix2(t *testing.T) {
	each(t, func(t *testing.T, set *Set) {
		rng := rand.New(rand.NewPCG(21, 22))
		for kind := range Mix(mixes) {
			for n := 1; n <= 50; n++ {
				randomMix(rng, kind, n, n%2 == 0).check(t, set, rng)
			}
			for _, n := range []int{127, 128, 129, 160, 1023, 1024, 1025, 1057} {
				randomMix(rng, kind, n, rng.IntN(2) == 0).check(t, set, rng)
			}
		}
	})
}

// TestMix2Borders goes through every part of the input that may lie inside the
// image and every part of the output.
func TestMix2Borders(t *testing.T) {
	each(t, func(t *testing.T, set *Set) {
		rng := rand.New(rand.NewPCG(23, 24))
		for kind := range Mix(mixes) {
			outs, ins := kind.Size()
			for k0 := range ins + 1 {
				for k1 := k0; k1 <= ins; k1++ {
					c := randomMix(rng, kind, 1+rng.IntN(20), false)
					c.k0, c.k1 = k0, k1
					c.check(t, set, rng)
					c.p0, c.p1, c.k0, c.k1 = k0, k1, rng.IntN(2), ins
					c.check(t, set, rng)
				}
			}
			for i1 := range outs + 1 {
				for j1 := range outs + 1 {
					c := randomMix(rng, kind, 1+rng.IntN(40), false)
					c.i1, c.j1 = i1, j1
					c.check(t, set, rng)
				}
			}
		}
	})
}

// TestMix2NaN puts one NaN or infinity into each pixel in turn: it must show in
// the outputs that depend on the pixel, in its lane, and nowhere else.
func TestMix2NaN(t *testing.T) {
	each(t, func(t *testing.T, set *Set) {
		rng := rand.New(rand.NewPCG(25, 26))
		scratch := make([]float32, MixScratch)
		for kind := range Mix(mixes) {
			matrix := kind.Coefficients()
			for pixel := range len(matrix[0]) * len(matrix[0]) {
				c := randomMix(rng, kind, 37, false)
				k, p, lane := pixel/c.ins, pixel%c.ins, rng.IntN(c.n)
				src, dst := random(t, rng, c.src()), random(t, rng, c.dst())
				src[k*c.srcRow+p*c.srcCol+lane] = []float32{float32(math.NaN()), float32(math.Inf(1))}[rng.IntN(2)]
				c.run(set, dst, src, scratch)
				for i := range c.outs {
					for j := range c.outs {
						for l := range c.n {
							v := float64(dst[i*c.dstRow+j*c.dstCol+l])
							odd := math.IsNaN(v) || math.IsInf(v, 0)
							if odd != (l == lane && matrix[i][k] != 0 && matrix[j][p] != 0) {
								t.Fatalf("%v: dst (%d,%d)[%d] = %v for a NaN or infinity in pixel (%d,%d)[%d]", c, i, j, l, v, k, p, lane)
							}
						}
					}
				}
			}
		}
	})
}

// TestMix compares the transform in one dimension with its definition.
func TestMix(t *testing.T) {
	each(t, func(t *testing.T, set *Set) {
		rng := rand.New(rand.NewPCG(27, 28))
		for kind := range Mix(mixes) {
			matrix := kind.Coefficients()
			for n := 1; n < 70; n++ {
				g := grid{len(matrix), n, n + rng.IntN(4)}
				from := grid{len(matrix[0]), n, n + rng.IntN(4)}
				dst, src := random(t, rng, g.size()), random(t, rng, from.size())
				before := clone(dst)
				set.Mix(kind, dst, src, g.ld, from.ld, n)
				g.gaps(t, "dst", dst, before)
				for i, row := range matrix {
					for l := range n {
						want, size := 0.0, 0.0
						for k, c := range row {
							v := c * float64(src[k*from.ld+l])
							want += v
							size += math.Abs(v)
						}
						near(t, g, kind.String(), i*g.ld+l, dst[i*g.ld+l], want, size, g.rows+6)
					}
				}
			}
		}
	})
}

// TestMixSetsAgree checks that AVX2 and AVX-512 give the same bits, also if n is no multiple
// of a step.
func TestMixSetsAgree(t *testing.T) {
	if all := Available(); len(all) < 3 {
		t.Skipf("needs AVX2 and AVX-512, here are %v", all)
	}
	rng := rand.New(rand.NewPCG(29, 30))
	scratch := make([]float32, MixScratch)
	for kind := range Mix(mixes) {
		for _, n := range []int{5, 16, 75} {
			c := randomMix(rng, kind, n, n == 75)
			src, narrow := random(t, rng, c.src()), random(t, rng, c.dst())
			wide := clone(narrow)
			c.run(For(AVX2), narrow, src, scratch)
			c.run(For(AVX512), wide, src, scratch)
			for i := range narrow {
				if math.Float32bits(narrow[i]) != math.Float32bits(wide[i]) {
					t.Fatalf("%v: value %d is %v in AVX2 and %v in AVX-512", c, i, narrow[i], wide[i])
				}
			}
		}
	}
}

// TestMix2AllocatesNothing checks that Mix2 does not allocate, since a training step calls it
// thousands of times.
func TestMix2AllocatesNothing(t *testing.T) {
	each(t, func(t *testing.T, set *Set) {
		c := randomMix(rand.New(rand.NewPCG(33, 34)), Input4, 40, false)
		src, dst, scratch := make([]float32, c.src()), make([]float32, c.dst()), make([]float32, MixScratch)
		if n := testing.AllocsPerRun(10, func() { c.run(set, dst, src, scratch) }); n != 0 {
			t.Errorf("Mix2 allocates %v times", n)
		}
		if n := testing.AllocsPerRun(10, func() { set.Mix(Input4, dst, src, 40, 40, 40) }); n != 0 {
			t.Errorf("Mix allocates %v times", n)
		}
	})
}

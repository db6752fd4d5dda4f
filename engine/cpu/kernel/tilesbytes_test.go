package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// exactInputs are the matrices Bᵀ of F(3,3) and F(4,3) with points 0, 1, -1, 2 and -2.
var exactInputs = [][][]int{
	{{2, -1, -2, 1, 0}, {0, -2, -1, 1, 0}, {0, 2, -3, 1, 0}, {0, -1, 0, 1, 0}, {0, 2, -1, -2, 1}},
	{{4, 0, -5, 0, 1, 0}, {0, -4, -4, 1, 1, 0}, {0, 4, -4, -1, 1, 0}, {0, -2, -1, 2, 1, 0}, {0, 2, -1, -2, 1, 0}, {0, 4, 0, -5, 0, 1}},
}

// byteTileCase is a tile of some images, a filter for them, and what becomes of the result.
type byteTileCase struct {
	tileInputCase
	cols, i1, j1       int
	dstRow, dstCol, ld int
	bytes              []uint8
	weights            []int8 // [tap][channel][column]
	kind               string
}

func (c byteTileCase) String() string {
	return fmt.Sprintf("%v into %d columns of %d x %d pixels, %s", c.tileInputCase, c.cols, c.i1, c.j1, c.kind)
}

func newByteTile(t *testing.T, rng *rand.Rand, m, images, channels, cols int) byteTileCase {
	c := byteTileCase{tileInputCase: randomTileInput(rng, m, images, channels, rng.IntN(3) > 0), cols: cols, i1: 1 + rng.IntN(m), j1: 1 + rng.IntN(m)}
	c.ld = cols + rng.IntN(4)
	c.dstCol = images*c.ld + rng.IntN(4)
	c.dstRow = m*c.dstCol + rng.IntN(4)
	c.bytes, c.weights = guardedOf[uint8](t, c.src()), make([]int8, 9*channels*cols)
	limit := min(128, ByteTileLimit(m)/(9*channels)) // of each weight, if all have one sign
	c.kind = []string{"zeros", "largest", "checkerboard", "random"}[rng.IntN(4)]
	for i := range c.bytes {
		pixel := i / max(1, images*channels)
		c.bytes[i] = map[string]uint8{"largest": 255, "checkerboard": uint8(255 * (pixel % 2)), "random": uint8(rng.IntN(256))}[c.kind]
	}
	signs := rng.IntN(4)
	for i := range c.weights {
		tap, v := i/(channels*cols), 127
		switch signs {
		case 0:
			v = rng.IntN(2*limit) - limit
		case 1:
			v = min(v, limit)
		case 2:
			v = min(v, limit) * (1 - 2*(tap%2))
		case 3:
			v = -limit
		}
		c.weights[i] = int8(v)
	}
	return c
}

// pixel is a value of the tile.
func (c byteTileCase) pixel(k, p, n, ch int) int {
	if k < c.k0 || k >= c.k1 || p < c.p0 || p >= c.p1 {
		return 0
	}
	return int(c.bytes[(k-c.k0)*c.srcRow+(p-c.p0)*c.srcCol+n*c.channels+ch])
}

// sum is the direct sum of a pixel of the result.
func (c byteTileCase) sum(i, j, n, col int) int64 {
	sum := 0
	for a := range 3 {
		for b := range 3 {
			for ch := range c.channels {
				sum += c.pixel(i+a, j+b, n, ch) * int(c.weights[((3*a+b)*c.channels+ch)*c.cols+col])
			}
		}
	}
	return int64(sum)
}

// input transforms the tile, compares it with exact numbers, and checks that nothing else was
// written.
func (c byteTileCase) input(t *testing.T, k *ByteTiles) []int16 {
	t.Helper()
	dst, scratch := guardedInt16(t, c.dst()), guarded(t, ByteTileScratch)
	for i := range dst {
		dst[i] = 12345
	}
	k.Input(c.m, dst, c.step, c.bytes, c.srcRow, c.srcCol, c.channels, c.images, c.k0, c.k1, c.p0, c.p1, scratch)
	side, matrix := c.m+2, exactInputs[c.m-3]
	want := slices.Repeat([]int16{12345}, len(dst))
	for l := range c.images * c.channels {
		for i := range side {
			for j := range side {
				sum := 0
				for a := range side {
					for b := range side {
						sum += matrix[i][a] * matrix[j][b] * c.pixel(a, b, l/c.channels, l%c.channels)
					}
				}
				if sum != int(int16(sum)) {
					t.Fatalf("%v: %d does not fit 16 bits", c, sum)
				}
				want[(i*side+j)*c.step+l] = int16(sum)
			}
		}
	}
	if !slices.Equal(dst, want) {
		t.Fatalf("%v: other integers than the exact ones", c)
	}
	return dst
}

// run computes the sums of all points for a panel.
func (c byteTileCase) run(t *testing.T, set *Set) (sums []int32, step, next int) {
	side := c.m + 2
	v, cols := c.input(t, &set.Int8.Tiles), set.Int8.Tiles.Cols
	panels := (c.cols + cols - 1) / cols
	step = c.images*cols + 16
	next = (side*side-1)*step + c.images*cols
	sums = guardedOf[int32](t, panels*next)
	for q := range panels {
		n := min(cols, c.cols-q*cols)
		weights, panel := make([]int8, 9*c.channels*n), make([]int16, side*side*c.channels*cols)
		for i := range 9 * c.channels {
			copy(weights[i*n:][:n], c.weights[i*c.cols+q*cols:])
		}
		FilterBytes(c.m, panel, c.channels*cols, weights, c.channels, n, cols)
		for p := range side * side {
			set.Int16.DotSums(sums[q*next+p*step:], cols, v[p*c.step:], c.channels, panel[p*c.channels*cols:], c.channels, c.images, n, nil, 0)
		}
	}
	return sums, step, next
}

// TestByteTiles checks that tiles give exactly the results of direct sums, with every
// instruction set, residual and type of the result, for the inputs and weights that make
// the largest numbers, too.
func TestByteTiles(t *testing.T) {
	each(t, func(t *testing.T, set *Set) {
		rng := rand.New(rand.NewPCG(61, 62))
		k := &set.Int8.Tiles
		for m := 3; m <= 4; m++ {
			for _, s := range [][2]int{{1, 2}, {3, 4}, {2, 16}, {1, 20}, {2, 32}, {5, 36}, {1, 64}, {7, 6}, {17, 64}, {1, 132}, {2, 256}, {1, 2080}} {
				for residual := range 3 {
					cols := []int{k.Cols, k.Cols / 2, 2 * k.Cols, 3 * k.Cols / 2, 1 + rng.IntN(2*k.Cols)}[rng.IntN(5)]
					c := newByteTile(t, rng, m, s[0], s[1], cols)
					sums, step, next := c.run(t, set)
					size := (c.i1-1)*c.dstRow + (c.j1-1)*c.dstCol + (c.images-1)*c.ld + c.cols
					e := newEpilogue(t, rng, size, c.cols, residual, 1e4*float64(s[1]))
					c.check(t, k, e, sums, step, next, size)
				}
			}
		}
	})
}

// check compares results of all types with those of direct sums.
func (c byteTileCase) check(t *testing.T, k *ByteTiles, e Epilogue, sums []int32, step, panel, size int) {
	t.Helper()
	const before = 77
	y, h, f := results(t, size, before)
	scratch := guarded(t, ByteTileScratch)
	k.Bytes(c.m, y, c.dstRow, c.dstCol, c.ld, sums, step, panel, e, c.images, c.i1, c.j1, c.cols, scratch)
	k.BF16(c.m, h, c.dstRow, c.dstCol, c.ld, sums, step, panel, e, c.images, c.i1, c.j1, c.cols, scratch)
	k.Float(c.m, f, c.dstRow, c.dstCol, c.ld, sums, step, panel, e, c.images, c.i1, c.j1, c.cols, scratch)
	yy, hh, ff := results(t, size, before)
	for i := range c.i1 {
		for j := range c.j1 {
			for n := range c.images {
				for col := range c.cols {
					at := i*c.dstRow + j*c.dstCol + n*c.ld + col
					v := wantValue(&e, c.sum(i, j, n, col), col, at)
					yy[at] = wantByte(v, e.Least)
					if e.ReLU && v < 0 {
						v = 0
					}
					hh[at], ff[at] = narrow(v), v
				}
			}
		}
	}
	for at := range yy {
		if y[at] != yy[at] {
			t.Fatalf("%v: element %d is %d, want %d", c, at, y[at], yy[at])
		}
		if h[at] != hh[at] && !(isNaN(h[at]) && isNaN(hh[at])) {
			t.Fatalf("%v: element %d is %v in bfloat16, want %v", c, at, widen(h[at]), widen(hh[at]))
		}
		if !sameBits(f[at], ff[at]) {
			t.Fatalf("%v: element %d is %v, want %v", c, at, f[at], ff[at])
		}
	}
}

// TestByteTileLimit checks that a sum of weights at the limit is exact and one far beyond it is
// not, so that the limit is none too many.
func TestByteTileLimit(t *testing.T) {
	const m, channels = 4, 256
	for _, set := range []*Set{For(Portable), For(Available()[len(Available())-1])} {
		for _, sum := range []int{ByteTileLimit(m), -ByteTileLimit(m), 2 * ByteTileLimit(m)} {
			c := byteTileCase{tileInputCase: tileInputCase{m: m, images: 1, channels: channels, srcRow: 6 * channels, srcCol: channels, step: channels, k1: 6, p1: 6},
				cols: 16, i1: 1, j1: 1, dstRow: 16, dstCol: 16, ld: 16, kind: "largest"}
			c.bytes, c.weights = slices.Repeat([]uint8{255}, c.src()), make([]int8, 9*channels*16)
			for left, i := sum, 0; left != 0; i++ {
				v := max(-127, min(127, left))
				left -= v
				for col := range 16 {
					c.weights[i*16+col] = int8(v)
				}
			}
			sums, step, next := c.run(t, set)
			got := make([]float32, 16)
			e := Epilogue{Scale: slices.Repeat([]float32{1}, 16), Shift: make([]float32, 16)}
			set.Int8.Tiles.Float(m, got, 16, 16, 16, sums, step, next, e, 1, 1, 1, 16, make([]float32, ByteTileScratch))
			exact := float64(got[3]) == float64(float32(c.sum(0, 0, 0, 3)))
			if beyond := math.Abs(float64(sum)) > float64(ByteTileLimit(m)); exact == beyond {
				t.Errorf("%v: weights that sum to %d give %v", set.ISA, sum, got[3])
			}
		}
	}
}

// TestDotSums checks sums that wrap around, and that prefetching changes nothing.
func TestDotSums(t *testing.T) {
	each(t, func(t *testing.T, set *Set) {
		rng := rand.New(rand.NewPCG(63, 64))
		width := set.Int16.Cols
		for rows := 1; rows < 40; rows++ {
			for _, k := range []int{0, 2, 4, 6, 64, 130} {
				cols := []int{width, width / 2, 1 + rng.IntN(width)}[rng.IntN(3)]
				ars, crs := k+rng.IntN(3), cols+rng.IntN(5)
				a, b := integers[int16](t, rng, (rows-1)*ars+k, math.MaxInt16), integers[int16](t, rng, k*width, math.MaxInt16)
				got := integers[int32](t, rng, (rows-1)*crs+cols, math.MaxInt32)
				want := slices.Clone(got)
				for r := range rows {
					for j := range cols {
						sum := int64(0)
						for i := range k {
							sum += int64(a[r*ars+i]) * int64(b[i/2*2*width+2*j+i%2])
						}
						want[r*crs+j] = int32(sum)
					}
				}
				next := make([]int16, rng.IntN(50))
				set.Int16.DotSums(got, crs, a, ars, b, k, rows, cols, next, 64)
				if !slices.Equal(got, want) {
					t.Fatalf("%d rows, %d columns, k = %d: other sums", rows, cols, k)
				}
			}
		}
	})
}

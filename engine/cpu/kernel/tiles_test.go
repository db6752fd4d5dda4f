package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"unsafe"
)

// tileTables lists the transforms of every instruction set.
func tileTables() map[string]*Tiles {
	tables := map[string]*Tiles{}
	for _, isa := range Available() {
		tables[isa.String()] = &For(isa).Int16.Tiles
	}
	return tables
}

// eachTiles runs a test with the transforms of every instruction set.
func eachTiles(t *testing.T, f func(t *testing.T, k *Tiles)) {
	for name, k := range tileTables() {
		t.Run(name, func(t *testing.T) { f(t, k) })
	}
}

// tileInputCase is one call of Input.
type tileInputCase struct {
	signed               bool // SignedInput, not Input
	m, images, channels  int
	srcRow, srcCol, step int
	k0, k1, p0, p1       int
}

func (c tileInputCase) String() string {
	return fmt.Sprintf("F(%d,3) %d images of %d channels, rows %d..%d columns %d..%d", c.m, c.images, c.channels, c.k0, c.k1, c.p0, c.p1)
}

func (c tileInputCase) depth() int { return (c.channels + 1) &^ 1 }

func randomTileInput(rng *rand.Rand, m, images, channels int, border bool) tileInputCase {
	t := m + 2
	c := tileInputCase{m: m, images: images, channels: channels, k1: t, p1: t}
	if border {
		c.k0, c.p0 = rng.IntN(t), rng.IntN(t)
		c.k1, c.p1 = c.k0+rng.IntN(t-c.k0+1), c.p0+rng.IntN(t-c.p0+1)
	}
	c.srcCol = images*channels + rng.IntN(4)
	c.srcRow = t*c.srcCol + rng.IntN(4)
	c.step = images*c.depth() + rng.IntN(40)
	return c
}

func (c tileInputCase) src() int {
	if c.k1 <= c.k0 || c.p1 <= c.p0 {
		return 0
	}
	return (c.k1-c.k0-1)*c.srcRow + (c.p1-c.p0-1)*c.srcCol + c.images*c.channels
}

func (c tileInputCase) dst() int { return ((c.m+2)*(c.m+2)-1)*c.step + c.images*c.depth() }

// guardedInt16 returns n integers that end at an unreadable page.
func guardedInt16(t testing.TB, n int) []int16 {
	x := guardedBF16(t, n)
	return unsafe.Slice((*int16)(unsafe.Pointer(unsafe.SliceData(x))), len(x))
}

// run returns the integers and the inverse scales.
func (c tileInputCase) run(t *testing.T, k *Tiles, src []uint16) ([]int16, []float32) {
	dst, inverse, scratch := guardedInt16(t, c.dst()), guarded(t, c.images), guarded(t, TileScratch)
	for i := range scratch {
		scratch[i] = float32(math.NaN())
	}
	for i := range dst {
		dst[i] = 12345
	}
	input := k.Input
	if c.signed {
		input = k.SignedInput
	}
	input(c.m, dst, c.step, inverse, src, c.srcRow, c.srcCol, c.channels, c.images, c.k0, c.k1, c.p0, c.p1, scratch)
	return dst, inverse
}

// check compares the integers with Bᵀ d B in float64, and that nothing else was written.
func (c tileInputCase) check(t *testing.T, k *Tiles, src []uint16) {
	t.Helper()
	dst, inverse := c.run(t, k, src)
	side, matrix := c.m+2, (Mix(6*(c.m-2)) + Input2).Coefficients()
	written := make([]bool, len(dst))
	for n := range c.images {
		var most float64
		rows := make([]float64, side)
		negative := false
		for p := range (c.k1 - c.k0) * (c.p1 - c.p0) {
			for ch := range c.channels {
				v := float64(widen(src[p/(c.p1-c.p0)*c.srcRow+p%(c.p1-c.p0)*c.srcCol+n*c.channels+ch]))
				most, negative = max(most, math.Abs(v)), negative || math.Signbit(v)
				k := c.k0 + p/(c.p1-c.p0)
				rows[k] = max(rows[k], math.Abs(v))
			}
		}
		limit, limits := 16383.0, tileUnsigned
		switch {
		case c.signed:
			limit, limits = 32766, tileSigned
			most = largestMean(matrix, rows)
		case negative:
			limit = 8191
		}
		scale := limit / max(most, 0x1p-100)
		if got := 1 / scale; math.Abs(got-float64(inverse[n])) > 1e-6*got {
			t.Fatalf("%v: inverse[%d] is %g, want %g", c, n, inverse[n], got)
		}
		for ch := range c.depth() {
			for i := range side {
				for j := range side {
					sum := 0.0
					for a := c.k0; a < c.k1 && ch < c.channels; a++ {
						for b := c.p0; b < c.p1; b++ {
							sum += matrix[i][a] * matrix[j][b] * float64(widen(src[(a-c.k0)*c.srcRow+(b-c.p0)*c.srcCol+n*c.channels+ch]))
						}
					}
					at := (i*side+j)*c.step + n*c.depth() + ch
					written[at] = true
					want := sum * scale * float64(limits.factors[c.m-2][i*side+j])
					if math.Abs(want-float64(dst[at])) > 0.51 || math.Abs(float64(dst[at])) > float64(limits.value)+1 {
						t.Fatalf("%v: point (%d,%d) of image %d channel %d is %d, want %g", c, i, j, n, ch, dst[at], want)
					}
				}
			}
		}
	}
	for at, w := range written {
		if !w && dst[at] != 12345 {
			t.Fatalf("%v: dst[%d] was written", c, at)
		}
	}
}

// largestMean returns the largest of the means of some values that the magnitudes in the rows
// of a matrix weigh.
func largestMean(matrix [][]float64, values []float64) (most float64) {
	for _, row := range matrix {
		sum, weights := 0.0, 0.0
		for k, w := range row {
			sum += math.Abs(w) * values[k]
			weights += math.Abs(w)
		}
		most = max(most, sum/weights)
	}
	return most
}

// TestTileInputLimit gives every point a channel in which all terms of its sum have the same
// sign and are as large as they can be.
func TestTileInputLimit(t *testing.T) {
	eachTiles(t, func(t *testing.T, k *Tiles) {
		for m := 2; m <= 4; m++ {
			side, matrix := m+2, (Mix(6*(m-2)) + Input2).Coefficients()
			const channels = 48
			for _, small := range []float64{1, 0.4} { // of all rows but one
				c := tileInputCase{m: m, images: 1, channels: channels, k1: side, p1: side, srcCol: channels, srcRow: side * channels, step: channels, signed: true}
				src := make([]uint16, c.src())
				for p := range side * side {
					for a := range side {
						for b := range side {
							v := math.Copysign(1, matrix[p/side][a]*matrix[p%side][b])
							if a != side/2 {
								v *= small
							}
							src[a*c.srcRow+b*c.srcCol+p] = narrow(float32(v))
						}
					}
				}
				c.check(t, k, src)
			}
		}
	})
}

func TestTileInput(t *testing.T) {
	eachTiles(t, func(t *testing.T, k *Tiles) {
		rng := rand.New(rand.NewPCG(41, 42))
		for m := 2; m <= 4; m++ {
			for _, s := range [][2]int{{1, 1}, {1, 2}, {3, 16}, {2, 17}, {1, 32}, {5, 33}, {2, 48}, {1, 64}, {7, 6}, {17, 64}, {33, 32}, {3, 1024}, {2, 1056}, {1, 1072}, {9, 120}} {
				for border := range 3 {
					c := randomTileInput(rng, m, s[0], s[1], border > 0)
					src := randomBF16(t, rng, c.src())
					if border == 1 { // as after a ReLU
						for i := range src {
							src[i] &= 0x7fff
						}
					}
					c.check(t, k, src)
					c.signed = true
					c.check(t, k, src)
				}
			}
		}
	})
}

// tileOutputCase is one call of Output.
type tileOutputCase struct {
	m, images, i1, j1, cols         int
	dstRow, dstCol, ld, step, pitch int
	scale, shift, res, relu         bool
}

func (c tileOutputCase) String() string {
	return fmt.Sprintf("F(%d,3) %d images, %d x %d pixels, %d columns, scale %v shift %v residual %v relu %v",
		c.m, c.images, c.i1, c.j1, c.cols, c.scale, c.shift, c.res, c.relu)
}

func randomTileOutput(rng *rand.Rand, k *Tiles, m, images, cols int) tileOutputCase {
	c := tileOutputCase{m: m, images: images, i1: 1 + rng.IntN(m), j1: 1 + rng.IntN(m), cols: cols,
		scale: rng.IntN(2) == 0, shift: rng.IntN(2) == 0, res: rng.IntN(2) == 0, relu: rng.IntN(2) == 0}
	c.ld = cols + rng.IntN(4)
	c.dstCol = images*c.ld + rng.IntN(4)
	c.dstRow = m*c.dstCol + rng.IntN(4)
	if rng.IntN(3) == 0 { // pixels that compete in the cache
		c.dstCol = (images*c.ld + 2047) / 2048 * 2048
		c.dstRow = m * c.dstCol
	}
	c.pitch = max(cols, k.Cols/2*(1+rng.IntN(2)))
	c.step = images*k.Cols + rng.IntN(40)
	return c
}

func (c tileOutputCase) dst() int {
	return (c.i1-1)*c.dstRow + (c.j1-1)*c.dstCol + (c.images-1)*c.ld + c.cols
}

// want returns pixel (i, j) of an image and column in float64 before bias and all, with the
// sum of the sizes of its terms.
func (c tileOutputCase) want(matrix [][]float64, src []float32, i, j, at int) (sum, size float64) {
	t := c.m + 2
	for a := range t {
		for b := range t {
			v := matrix[i][a] * matrix[j][b] * float64(src[(a*t+b)*c.step+at])
			sum += v
			size += math.Abs(v)
		}
	}
	return sum, size
}

func (c tileOutputCase) check(t *testing.T, k *Tiles, rng *rand.Rand) {
	t.Helper()
	side, matrix := c.m+2, (Mix(6*(c.m-2)) + Output2).Coefficients()
	src := random(t, rng, (side*side-1)*c.step+c.images*c.pitch)
	all := make([]float32, side*side*c.images*k.Cols) // whole panels, for OutputFloat
	for p := range side * side {
		for n := range c.images {
			copy(all[(p*c.images+n)*k.Cols:][:c.cols], src[p*c.step+n*c.pitch:])
		}
	}
	inverse, scale, shift, scratch := random(t, rng, c.images), random(t, rng, c.cols), random(t, rng, c.cols), guarded(t, TileScratch)
	dst, res := randomBF16(t, rng, c.dst()), randomBF16(t, rng, c.dst())
	before := append([]uint16(nil), dst...)
	if !c.scale {
		scale = nil
	}
	if !c.shift {
		shift = nil
	}
	if !c.res {
		res = nil
	}
	k.Output(c.m, dst, c.dstRow, c.dstCol, c.ld, src, c.step, c.pitch, inverse, scale, shift, res, c.relu, c.images, c.i1, c.j1, c.cols, scratch)
	whole := guarded(t, c.i1*c.j1*c.images*k.Cols)
	k.OutputFloat(c.m, whole, all, c.images*k.Cols, inverse, c.images, c.i1, c.j1, scratch)
	for i := range c.i1 {
		for j := range c.j1 {
			for n := range c.images {
				for col := range c.cols {
					want, size := c.want(matrix, src, i, j, n*c.pitch+col)
					want, size = want*float64(inverse[n]), size*math.Abs(float64(inverse[n]))
					got := whole[((i*c.j1+j)*c.images+n)*k.Cols+col]
					near(t, c, "float", col, got, want, size, 30)
					y := float64(got)
					if c.scale {
						y *= float64(scale[col])
					}
					if c.shift {
						y = float64(float32(y + float64(shift[col])))
					}
					at := i*c.dstRow + j*c.dstCol + n*c.ld + col
					if c.res {
						y += float64(widen(res[at]))
					}
					if c.relu {
						y = max(y, 0)
					}
					if d := math.Abs(float64(widen(dst[at])) - y); !(d <= 0x1p-8*math.Abs(y)+1e-7) {
						t.Fatalf("%v: pixel (%d,%d) image %d column %d is %v, want %v", c, i, j, n, col, widen(dst[at]), y)
					}
					dst[at] = before[at]
				}
			}
		}
	}
	for at := range dst {
		if dst[at] != before[at] {
			t.Fatalf("%v: dst[%d], no pixel to write, was written", c, at)
		}
	}
}

func TestTileOutput(t *testing.T) {
	eachTiles(t, func(t *testing.T, k *Tiles) {
		rng := rand.New(rand.NewPCG(43, 44))
		for m := 2; m <= 4; m++ {
			for images := 1; images < 20; images++ {
				for _, cols := range []int{k.Cols, k.Cols / 2, 1 + rng.IntN(k.Cols)} {
					randomTileOutput(rng, k, m, images, cols).check(t, k, rng)
				}
			}
		}
	})
}

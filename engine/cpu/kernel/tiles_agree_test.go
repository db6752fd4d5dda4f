package kernel

import (
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestTilesAgree checks that the transforms of all instruction sets give the same bits, for
// values with every kind of number among them.
func TestTilesAgree(t *testing.T) {
	rng := rand.New(rand.NewPCG(45, 46))
	special := []uint16{0, 0x8000, 1, 0x807f, 0x7f80, 0xff80, 0x7fc0, 0x7b7f, 0x7b80, 0x0080, 0x7f7f, 0xff7f}
	for m := 2; m <= 4; m++ {
		for _, s := range [][2]int{{5, 16}, {3, 32}, {2, 64}, {3, 48}, {4, 33}, {7, 2}} {
			for kind := range 3 { // positive, both signs, special numbers
				c := randomTileInput(rng, m, s[0], s[1], false)
				src := randomBF16(t, rng, c.src())
				for i := range src {
					switch {
					case kind == 0:
						src[i] &= 0x7fff
					case kind == 2 && rng.IntN(40*s[1]) == 0:
						src[i] = special[rng.IntN(len(special))]
					}
				}
				want, inverse := c.run(t, &portableTiles, src)
				for name, k := range tileTables() {
					got, back := c.run(t, k, src)
					if !slices.Equal(got, want) || !slices.EqualFunc(back, inverse, sameBits) {
						t.Fatalf("%v: %s has other bits than plain Go", c, name)
					}
				}
			}
		}
	}
}

// panels returns products [points][images][columns] as a table reads them, whose panels are
// as wide as its columns.
func (c tileOutputCase) panels(x []float32, from, cols int) []float32 {
	side := c.m + 2
	out := make([]float32, side*side*c.images*cols)
	for i := range side * side * c.images {
		copy(out[i*cols:], x[i*32+from:][:cols])
	}
	return out
}

func TestTileOutputsAgree(t *testing.T) {
	rng := rand.New(rand.NewPCG(47, 48))
	for m := 2; m <= 4; m++ {
		for range 40 {
			c := randomTileOutput(rng, &portableTiles, m, 1+rng.IntN(6), 32)
			x := random(t, rng, (m+2)*(m+2)*c.images*32)
			x[rng.IntN(len(x))] = float32(math.Inf(1))
			inverse, scale, shift, scratch := random(t, rng, c.images), random(t, rng, 32), random(t, rng, 32), make([]float32, TileScratch)
			if rng.IntN(3) == 0 {
				inverse[0] = float32(math.NaN())
			}
			res := randomBF16(t, rng, c.dst())
			if !c.res {
				res = nil
			}
			var want []uint16
			var whole []float32
			for _, isa := range Available() { // plain Go first
				k := &For(isa).Int16.Tiles
				dst, floats := make([]uint16, c.dst()), make([]float32, c.i1*c.j1*c.images*32)
				for from := 0; from < 32; from += k.Cols {
					products, part := c.panels(x, from, k.Cols), make([]float32, c.i1*c.j1*c.images*k.Cols)
					var r []uint16
					if res != nil {
						r = res[from:]
					}
					k.Output(m, dst[from:], c.dstRow, c.dstCol, c.ld, products, c.images*k.Cols, k.Cols, inverse, scale[from:], shift[from:], r, c.relu,
						c.images, c.i1, c.j1, k.Cols, scratch)
					k.OutputFloat(m, part, products, c.images*k.Cols, inverse, c.images, c.i1, c.j1, scratch)
					for i := range c.i1 * c.j1 * c.images {
						copy(floats[i*32+from:], part[i*k.Cols:][:k.Cols])
					}
				}
				if want == nil {
					want, whole = dst, floats
				}
				same := slices.EqualFunc(dst, want, func(a, b uint16) bool { return a == b || a&0x7fff > 0x7f80 && b&0x7fff > 0x7f80 })
				if !same || !slices.EqualFunc(floats, whole, sameBits) {
					t.Fatalf("%v: %v has other bits than plain Go", c, isa)
				}
			}
		}
	}
}

// TestTileWeights checks the transform of weights and their rounding: the bits of all
// instruction sets, the bound of the sums, and the error.
func TestTileWeights(t *testing.T) {
	rng := rand.New(rand.NewPCG(49, 50))
	for m := 2; m <= 4; m++ {
		for _, channels := range []int{2, 6, -2, -6, -SignedTileChannels, SignedTileChannels, TileChannels} {
			signed := channels < 0
			channels = max(channels, -channels)
			for _, kind := range []Mix{Filter2, FilterFlip2} {
				kind += Mix(6 * (m - 2))
				w, t2 := random(t, rng, 9*channels*32), (m+2)*(m+2)
				clear(w[:4]) // a column of zeros at one tap
				var want []int16
				var factors []float32
				for _, isa := range Available() {
					k := &For(isa).Int16.Tiles
					ints, scales := make([]int16, t2*channels*32), make([]float32, t2*32)
					for from := 0; from < 32; from += k.Cols {
						plain, u, scratch := make([]float32, 9*channels*k.Cols), make([]float32, t2*channels*k.Cols), make([]float32, MixScratch)
						for i := range 9 * channels {
							copy(plain[i*k.Cols:], w[i*32+from:][:k.Cols])
						}
						lanes := channels * k.Cols
						panel, scale := guardedInt16(t, lanes), guarded(t, k.Cols)
						k.Filter(kind, u, plain, (m+2)*lanes, lanes, 3*lanes, lanes, lanes, 0, 3, 0, 3, m+2, m+2, scratch)
						for p := range t2 {
							quantise := k.Quantise
							if signed {
								quantise = k.SignedQuantise
							}
							quantise(m, p, panel, scale, u[p*lanes:][:lanes], channels)
							checkTilePanel(t, signed, m, p, panel, scale, u[p*lanes:][:lanes], channels, k.Cols)
							copy(scales[p*32+from:], scale)
							for pair := range channels / 2 {
								copy(ints[(p*channels/2+pair)*64+2*from:], panel[pair*2*k.Cols:][:2*k.Cols])
							}
						}
					}
					if want == nil {
						want, factors = ints, scales
					}
					if !slices.Equal(ints, want) || !slices.EqualFunc(scales, factors, sameBits) {
						t.Fatalf("%v, %d channels, signed %v: %v has other bits than plain Go", kind, channels, signed, isa)
					}
				}
			}
		}
	}
}

// checkTilePanel checks the integers of one point.
func checkTilePanel(t *testing.T, signed bool, m, p int, panel []int16, scale, u []float32, channels, cols int) {
	t.Helper()
	limits, most := tileUnsigned, 1<<17
	if signed {
		limits, most = tileSigned, 1<<16
	}
	for j := range cols {
		sum := 0
		for c := range channels {
			v := int(panel[c/2*2*cols+2*j+c%2])
			sum += max(v, -v)
			step := float64(scale[j]) * float64(limits.factors[m-2][p])
			if d := math.Abs(float64(v)*step - float64(u[c*cols+j])); d > 0.51*step {
				t.Fatalf("F(%d,3) point %d: channel %d of column %d is %d steps of %g, want %g", m, p, c, j, v, step, u[c*cols+j])
			}
		}
		if sum >= most {
			t.Fatalf("F(%d,3) point %d: the integers of column %d sum to %d", m, p, j, sum)
		}
	}
}

func TestFMA(t *testing.T) {
	rng := rand.New(rand.NewPCG(51, 52))
	value := func() float32 {
		v := math.Float32frombits(rng.Uint32())
		if rng.IntN(2) == 0 { // few bits, for sums that are halfway between two numbers
			v = float32(rng.IntN(1<<13)-1<<12) * float32(math.Ldexp(1, rng.IntN(60)-30))
		}
		return v
	}
	for range 50000 {
		x, y, z := value(), value(), value()
		if rng.IntN(2) == 0 {
			z = float32(float64(x)*float64(y)) * float32(math.Ldexp(1, rng.IntN(60)-30))
		}
		if float64(x) != float64(x) || float64(y) != float64(y) || float64(z) != float64(z) {
			continue
		}
		want := exactFMA(x, y, z)
		if got := fma(x, y, z); !sameBits(got, want) {
			t.Fatalf("fma(%g, %g, %g) is %g, want %g", x, y, z, got, want)
		}
	}
}

// exactFMA computes x*y + z in exact arithmetic and rounds once.
func exactFMA(x, y, z float32) float32 {
	for _, v := range []float32{x, y, z} {
		if math.IsInf(float64(v), 0) || v != v {
			return float32(float64(x)*float64(y) + float64(z))
		}
	}
	exact := func(v float32) *big.Float { return new(big.Float).SetPrec(700).SetFloat64(float64(v)) }
	sum := exact(x)
	sum.Mul(sum, exact(y)).Add(sum, exact(z))
	if sum.Sign() == 0 {
		return float32(float64(x)*float64(y) + float64(z)) // with its sign
	}
	v, _ := sum.Float32()
	return v
}

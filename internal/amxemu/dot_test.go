package amxemu

import (
	"encoding/binary"
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
)

// exact returns x*y + z, rounded once by big.Float. Operands must be normal or zero, and
// the result not tiny.
func exact(x, y, z float32) float32 {
	f := func(v float32) *big.Float { return new(big.Float).SetPrec(1000).SetFloat64(float64(v)) }
	p := f(x)
	p.Mul(p, f(y)).Add(p, f(z))
	got, _ := p.Float32()
	return got
}

// anyNormal returns a float32 with an exponent not too far from 0. Its binary digits are
// often mostly zeros or mostly ones.
func anyNormal(rng *rand.Rand, spread int) float32 {
	bits := rng.Uint32() & rng.Uint32() & 0x7fffff
	if rng.IntN(2) == 0 {
		bits ^= 0x7fffff
	}
	v := math.Float32frombits(uint32(127+rng.IntN(2*spread+1)-spread)<<23 | bits)
	if rng.IntN(2) == 0 {
		return -v
	}
	return v
}

func TestFMA(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 100000 {
		x, y := anyNormal(rng, 15), anyNormal(rng, 15)
		z := anyNormal(rng, 60)
		want := exact(x, y, z)
		if got := fma(x, y, z); math.Float32bits(got) != math.Float32bits(want) {
			t.Fatalf("%x * %x + %x = %x, want %x", x, y, z, got, want)
		}
	}
}

// TestFMASpecial checks that subnormal operands and results are zero, and that signs,
// infinities and NaN follow IEEE 754.
func TestFMASpecial(t *testing.T) {
	inf, negative := float32(math.Inf(1)), float32(math.Copysign(0, -1))
	least, subnormal := float32(normal), float32(normal/2)
	for _, c := range []struct{ x, y, z, want float32 }{
		{2, 3, 4, 10},
		{1, subnormal, 0, 0},
		{1, 0, subnormal, 0},
		{1, subnormal, least, least},
		{-1, subnormal, negative, negative},
		{0.5, least, 0, 0},
		{-0.5, least, 0, negative},
		{0.5, least, least, 1.5 * least},
		{1, 1.5 * least, -least, 0},
		{1, least, -1.5 * least, negative},
		{1 - 0x1p-24, least * (1 + 0x1p-23), 0, least},             // 1 + 2^-24, and less
		{1 - 0x1p-24, least, 0, 0},                                 // rounds to less than the least normal
		{0x1p64, 0x1p63, -0x1p127, 0},                              // nothing overflows on the way
		{0x1p64, 0x1p64, -0x1p127, 0x1p127},                        // nor here
		{0x1p64, 0x1p64, 0, inf},                                   //
		{math.MaxFloat32, 1, 0x1p102, math.MaxFloat32},             // rounds down
		{math.MaxFloat32, 1, 0x1p103, inf},                         // a tie rounds up
		{1 + 0x1p-12, 1 + 0x1p-12, 0x1p-60, 1 + 0x1p-11 + 0x1p-23}, // more than a tie
		{1 + 0x1p-12, 1 + 0x1p-12, -0x1p-60, 1 + 0x1p-11},          // less
		{1 + 0x1p-12, 1 + 0x1p-12, 0, 1 + 0x1p-11},                 // a tie, to even
		{inf, 1, -5, inf}, {1, 1, -inf, -inf},
	} {
		if got := fma(c.x, c.y, c.z); math.Float32bits(got) != math.Float32bits(c.want) {
			t.Errorf("%x * %x + %x = %x, want %x", c.x, c.y, c.z, got, c.want)
		}
	}
	for _, c := range [][3]float32{{inf, 0, 1}, {inf, subnormal, 1}, {inf, 1, -inf}, {float32(math.NaN()), 1, 1}} {
		if got := fma(c[0], c[1], c[2]); got == got {
			t.Errorf("%v * %v + %v = %v, want NaN", c[0], c[1], c[2], got)
		}
	}
}

func setBF16(t *tile, row, i int, v float32) {
	binary.LittleEndian.PutUint16(t[row][2*i:], uint16(math.Float32bits(v)>>16))
}

func float(t *tile, row, i int) float32 {
	return math.Float32frombits(binary.LittleEndian.Uint32(t[row][4*i:]))
}

// TestDotOrder checks that the first and the second halves of pairs are summed
// separately, from zero, and that c comes last. Another order would give other results,
// since it would lose other small numbers.
func TestDotOrder(t *testing.T) {
	const big = 0x1p24 // big + 1 is big
	for _, c := range []struct {
		terms   []float32 // of k
		c, want float32
	}{
		{[]float32{big, 1, -big, 1}, 0, 2},
		{[]float32{big, -big, 1, 0}, 0, 0},
		{[]float32{1, 0, big, 0, -big, 0}, 0, 0},
		{[]float32{1, 1}, big, big + 2},
		{[]float32{big, -big, 3, 4}, 1, 9}, // big + 4, 4 - big
	} {
		var sum, a, b tile
		for i, v := range c.terms {
			setBF16(&a, 0, i, v)
			setBF16(&b, i/2, i%2, 1)
		}
		binary.LittleEndian.PutUint32(sum[0][:], math.Float32bits(c.c))
		dot(&sum, &a, &b, 1, len(c.terms)/2, 1)
		if got := float(&sum, 0, 0); got != c.want {
			t.Errorf("%v of %v = %v, want %v", c.c, c.terms, got, c.want)
		}
	}
}

// TestDotPlain checks that the fast path of dot gives the bits of the exact one, which is
// forced by a number near the limits in an unused place of the tiles.
func TestDotPlain(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		var a, b, fast, careful tile
		rows, k, cols := 1+rng.IntN(16), 1+rng.IntN(15), 1+rng.IntN(16)
		for r := range maxRows {
			for i := range 32 {
				setBF16(&a, r, i, anyNormal(rng, 20))
				setBF16(&b, r, i, anyNormal(rng, 20))
			}
			for i := range 16 {
				binary.LittleEndian.PutUint32(fast[r][4*i:], math.Float32bits(anyNormal(rng, 20)))
			}
		}
		careful = fast
		dot(&fast, &a, &b, rows, k, cols)
		for r := range rows { // one more pair: a tiny number times 0
			setBF16(&a, r, 2*k, normal)
			setBF16(&a, r, 2*k+1, normal)
		}
		for i := range 2 * cols {
			setBF16(&b, k, i, 0)
		}
		dot(&careful, &a, &b, rows, k+1, cols)
		if fast != careful {
			t.Fatalf("%d x %d x %d: the two ways differ", rows, k, cols)
		}
	}
}

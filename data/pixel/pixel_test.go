package pixel

import (
	"bytes"
	"math"
	"math/rand/v2"
	"testing"
)

// The tests compare the assembly with the portable functions, and the inverse transform also with
// its definition in float64.

func randomBytes(r *rand.Rand, n int, extreme bool) []uint8 {
	b := make([]uint8, n)
	for i := range b {
		b[i] = uint8(r.Uint32())
		if extreme {
			b[i] = uint8(int8(b[i]) >> 7)
		}
	}
	return b
}

// guarded holds bytes between two guard bands, which must not change.
type guarded struct{ all, b []uint8 }

func newGuarded(n int) guarded {
	all := bytes.Repeat([]byte{0xa5}, n+128)
	return guarded{all, all[64 : 64+n : 64+n]}
}

func (g guarded) check(t *testing.T, what string) {
	t.Helper()
	if n := len(g.all); bytes.Count(g.all[:64], []byte{0xa5}) != 64 || bytes.Count(g.all[n-64:], []byte{0xa5}) != 64 {
		t.Fatalf("%s writes outside its output", what)
	}
}

func TestIDCT2(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for round := range 3000 {
		var coefs Block2
		var quant [64]int16
		for i := range quant {
			quant[i] = int16(1 + r.IntN(40))
		}
		for i := range coefs {
			switch round % 4 {
			case 0: // as in an image
				if r.IntN(6) == 0 {
					coefs[i] = int16(r.IntN(21) - 10)
				}
			case 1:
				coefs[i] = int16(r.IntN(2001) - 1000)
			case 2: // random numbers, so that everything saturates
				coefs[i] = int16(r.Uint32())
				quant[i%64] = int16(r.Uint32())
			case 3:
				coefs[i] = []int16{math.MinInt16, math.MaxInt16}[r.IntN(2)]
				quant[i%64] = 1
			}
		}
		stride := 8 + r.IntN(30)
		want, got := newGuarded(15*stride+8), newGuarded(15*stride+8)
		idct2Portable(want.b, want.b[8*stride:], stride, &coefs, &quant)
		IDCT2(got.b, 0, 8*stride, stride, &coefs, &quant)
		if !bytes.Equal(want.b, got.b) {
			t.Fatalf("round %d: the samples differ", round)
		}
		got.check(t, "IDCT2")
		if round%4 == 0 { // within a level of the definition, ITU-T T.81 A.3.3
			exact := func(block, y, x int) float64 {
				s := 0.0
				for v := range 8 {
					for u := range 8 {
						c := float64(coefs[16*v+8*block+u]) * float64(quant[8*v+u]) / 4
						for _, f := range []int{u, v} {
							if f == 0 {
								c /= math.Sqrt2
							}
						}
						s += c * math.Cos(float64(2*x+1)*float64(u)*math.Pi/16) * math.Cos(float64(2*y+1)*float64(v)*math.Pi/16)
					}
				}
				return max(0, min(255, s+128))
			}
			for block := range 2 {
				y, x := r.IntN(8), r.IntN(8)
				if v := float64(got.b[(8*block+y)*stride+x]); math.Abs(v-exact(block, y, x)) > 1 {
					t.Fatalf("round %d: sample %d, %d is %v, by definition %v", round, y, x, v, exact(block, y, x))
				}
			}
		}
	}
}

func TestUpsample(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 3))
	for n := 1; n < 100; n++ {
		for _, bias := range [][2]int{{8, 7}, {4, 8}} {
			near, far := randomBytes(r, n+2, n%3 == 0), randomBytes(r, n+2, n%3 == 0)
			want, got := newGuarded(2*n), newGuarded(2*n)
			upsamplePortable(want.b, near, far, n, bias[0], bias[1])
			Upsample(got.b, near, far, n, bias[0], bias[1])
			if got.check(t, "Upsample"); !bytes.Equal(want.b, got.b) {
				t.Fatalf("%d samples: %v, want %v", n, got.b, want.b)
			}
		}
	}
}

func TestYCbCr(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 4))
	for n := range 120 {
		y, cb, cr := randomBytes(r, n, n%4 == 0), randomBytes(r, n, n%3 == 0), randomBytes(r, n, n%2 == 0)
		var want, got [3]guarded
		for c := range 3 {
			want[c], got[c] = newGuarded(n), newGuarded(n)
		}
		yccPortable(want[0].b, want[1].b, want[2].b, y, cb, cr)
		YCbCr(got[0].b, got[1].b, got[2].b, y, cb, cr)
		for c := range 3 {
			if got[c].check(t, "YCbCr"); !bytes.Equal(want[c].b, got[c].b) {
				t.Fatalf("%d pixels: channel %d differs", n, c)
			}
		}
	}
	// Every pair of chroma samples, with luma that clips and luma that does not.
	for _, grey := range []uint8{0, 90, 128, 255} {
		var y, cb, cr [1 << 16]uint8
		for i := range y {
			y[i], cb[i], cr[i] = grey, uint8(i), uint8(i>>8)
		}
		var want, got [3][1 << 16]uint8
		yccPortable(want[0][:], want[1][:], want[2][:], y[:], cb[:], cr[:])
		YCbCr(got[0][:], got[1][:], got[2][:], y[:], cb[:], cr[:])
		if want != got {
			t.Fatalf("grey %d: colours differ", grey)
		}
	}
}

// randomWeights returns random weights that add up to 1, some of which are negative.
func randomWeights(r *rand.Rand, taps int) []uint32 {
	w, remaining := make([]uint32, taps), int32(1<<Bits)
	for i := range w {
		v := int32(r.IntN(1<<Bits)) - 1<<(Bits-2)
		if i == taps-1 {
			v = remaining
		}
		w[i], remaining = uint32(v), remaining-v
	}
	return w
}

func TestDown(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 5))
	for n := 1; n < 130; n++ {
		taps, stride := 1+r.IntN(9), n+r.IntN(5)
		src, w := randomBytes(r, (taps-1)*stride+n, n%3 == 0), randomWeights(r, taps)
		want, got := newGuarded(n), newGuarded(n)
		verticalPortable(want.b, src, stride, w)
		Down(got.b, src, stride, w)
		if got.check(t, "Down"); !bytes.Equal(want.b, got.b) {
			t.Fatalf("%d pixels of %d rows differ", n, taps)
		}
	}
}

func TestAcross(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 6))
	for round := range 600 {
		in, out, h := 1+r.IntN(90), 1+r.IntN(70), r.IntN(11)
		taps := 1 + r.IntN(min(in, 12))
		starts, weights := make([]int32, out), []uint32{}
		for o := range starts {
			starts[o] = int32(o * (in - taps) / max(out-1, 1))
			weights = append(weights, randomWeights(r, taps)...)
		}
		a := NewAcross(in, taps, starts, weights)
		ss, ds := in+r.IntN(3), out+r.IntN(3)
		src := randomBytes(r, max(h-1, 0)*ss+in, round%3 == 0)
		size := max(h-1, 0)*ds + out
		want, got := newGuarded(size), newGuarded(size)
		a.rows(want.b, ds, src, ss, h)
		a.Rows(got.b, ds, src, ss, h)
		if got.check(t, "Across"); !bytes.Equal(want.b, got.b) {
			t.Fatalf("%d pixels to %d by %d taps, %d rows: the rows differ", in, out, taps, h)
		}
	}
}

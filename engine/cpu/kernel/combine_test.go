package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// combineCase names a call of Combine.
type combineCase struct{ terms, rows, n int }

func (c combineCase) String() string { return fmt.Sprintf("%d terms of %d x %d", c.terms, c.rows, c.n) }

func TestCombine(t *testing.T) {
	each(t, func(t *testing.T, set *Set) {
		rng := rand.New(rand.NewPCG(41, 2))
		for terms := 1; terms <= CombineTerms; terms++ {
			for range 60 {
				rows, n := 1+rng.IntN(5), CombineLanes*(1+rng.IntN(5))
				dld, sld := n+rng.IntN(9), n+rng.IntN(9)
				size := (rows-1)*sld + n
				src := randomBF16(t, rng, size+rng.IntN(40))
				var offs []int
				var factors []float32
				for range terms {
					offs = append(offs, rng.IntN(len(src)-size+1))
					factors = append(factors, rng.Float32()*4-2)
				}
				dst := random(t, rng, (rows-1)*dld+n)
				before := clone(dst)
				set.BF16.Combine(dst, dld, src, sld, offs, factors, rows, n)
				name := combineCase{terms, rows, n}
				for i := range dst {
					if i%dld >= n {
						if math.Float32bits(dst[i]) != math.Float32bits(before[i]) {
							t.Fatalf("%s: dst[%d], between rows, was written", name, i)
						}
						continue
					}
					want, magnitude := 0.0, 0.0
					for k, o := range offs {
						v := float64(factors[k]) * float64(widen(src[o+i/dld*sld+i%dld]))
						want += v
						magnitude += math.Abs(v)
					}
					near(t, name, "dst", i, dst[i], want, magnitude, terms+1)
				}
			}
		}
	})
}

// TestCombineNaN puts NaN and infinity into each term: they show in their own element.
func TestCombineNaN(t *testing.T) {
	each(t, func(t *testing.T, set *Set) {
		for terms := 1; terms <= CombineTerms; terms++ {
			for _, bits := range []uint16{0x7fc0, 0x7f80, 0xff80} {
				for lane := range CombineLanes {
					src, dst := make([]uint16, CombineTerms*CombineLanes), make([]float32, CombineLanes)
					src[(terms-1)*CombineLanes+lane] = bits
					set.BF16.Combine(dst, CombineLanes, src, CombineLanes, []int{0, CombineLanes, 2 * CombineLanes, 3 * CombineLanes}[:terms], []float32{1, -2, 0.5, 3}[:terms], 1, CombineLanes)
					for i, v := range dst {
						if odd := math.IsNaN(float64(v)) || math.IsInf(float64(v), 0); odd != (i == lane) {
							t.Fatalf("%d terms, %#04x in lane %d: element %d is %v", terms, bits, lane, i, v)
						}
					}
				}
			}
		}
	})
}

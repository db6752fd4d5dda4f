package kernel

import (
	"math"
	"math/rand/v2"
	"testing"
)

// tiles is a convolution of single tiles by Winograd's algorithm: the input
// [t][t][tiles][in], the filter [3][3][in][out], the output [m][m][tiles][out].
type tiles struct{ m, tiles, in, out int }

func (c tiles) pixels(side, lanes int) []float32 { return make([]float32, side*side*lanes) }

// run computes the output with the kernels of one instruction set.
func (c tiles) run(set *Set, x, w []float32) []float32 {
	kind, t := Mix(6*(c.m-2)), c.m+2
	lanes, weights, outs := c.tiles*c.in, c.in*c.out, c.tiles*c.out
	v, u, p, y := c.pixels(t, lanes), c.pixels(t, weights), c.pixels(t, outs), c.pixels(c.m, outs)
	scratch := make([]float32, MixScratch)
	set.Mix2(kind+Input2, v, x, t*lanes, lanes, t*lanes, lanes, lanes, 0, t, 0, t, t, t, scratch)
	set.Mix2(kind+Filter2, u, w, t*weights, weights, 3*weights, weights, weights, 0, 3, 0, 3, t, t, scratch)
	for i := range t * t {
		for j := 0; j < c.out; j += set.Cols {
			set.Gemm(p[i*outs+j:], c.out, v[i*lanes:], c.in, 1, u[i*weights+j:], c.out, []Seg{{}},
				c.in, c.tiles, min(set.Cols, c.out-j), false)
		}
	}
	set.Mix2(kind+Output2, y, p, c.m*outs, outs, t*outs, outs, outs, 0, t, 0, t, c.m, c.m, scratch)
	return y
}

// want computes the output in float64 by its definition.
func (c tiles) want(x, w []float32) []float64 {
	var y []float64
	sum := make([]float64, c.out)
	for i := range c.m * c.m * c.tiles {
		clear(sum)
		row, col, tile := i/c.tiles/c.m, i/c.tiles%c.m, i%c.tiles
		for tap := range 9 {
			pixel := (row+tap/3)*(c.m+2) + col + tap%3
			for k := range c.in {
				v := float64(x[(pixel*c.tiles+tile)*c.in+k])
				for o, f := range w[(tap*c.in+k)*c.out:][:c.out] {
					sum[o] += v * float64(f)
				}
			}
		}
		y = append(y, sum...)
	}
	return y
}

// TestWinogradError checks that errors are at most those stated at Mix, with a margin since
// those were measured on other data.
func TestWinogradError(t *testing.T) {
	for _, c := range []struct {
		m     int
		error float64
	}{{2, 0.70e-6}, {3, 1.09e-6}, {4, 1.96e-6}} {
		rng := rand.New(rand.NewPCG(31, 32))
		conv := tiles{m: c.m, tiles: 4, in: 512, out: 64}
		x, w := conv.pixels(c.m+2, conv.tiles*conv.in), conv.pixels(3, conv.in*conv.out)
		for _, s := range [][]float32{x, w} {
			for i := range s {
				s[i] = float32(rng.NormFloat64())
			}
		}
		want := conv.want(x, w)
		each(t, func(t *testing.T, set *Set) {
			allowed := 1.15 * c.error
			var errors, size float64
			for i, v := range conv.run(set, x, w) {
				errors += (float64(v) - want[i]) * (float64(v) - want[i])
				size += want[i] * want[i]
			}
			got := math.Sqrt(errors / size)
			t.Logf("F(%d,3): error %.3g of the output", c.m, got)
			if !(got <= allowed) {
				t.Errorf("F(%d,3): error %.3g of the output, allowed %.3g", c.m, got, allowed)
			}
		})
	}
}

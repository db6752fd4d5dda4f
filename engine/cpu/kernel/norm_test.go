package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// grid is a block of rows x n values, ld apart, for the kernels of batch
// normalisation.
type grid struct{ rows, n, ld int }

func (g grid) size() int { return (g.rows-1)*g.ld + g.n }

func (g grid) String() string { return fmt.Sprintf("%d x %d (ld %d)", g.rows, g.n, g.ld) }

// at visits the elements with their index, row and column.
func (g grid) at(visit func(i, c int)) {
	for r := range g.rows {
		for c := range g.n {
			visit(r*g.ld+c, c)
		}
	}
}

// gaps fails if what lies between the columns changed.
func (g grid) gaps(t *testing.T, name string, got, before []float32) {
	t.Helper()
	for i := range got {
		if i%g.ld >= g.n && math.Float32bits(got[i]) != math.Float32bits(before[i]) {
			t.Fatalf("%v: %s[%d], outside the columns, was written", g, name, i)
		}
	}
}

// grids visits blocks of every width up to 70 and some larger.
func grids(t *testing.T, f func(t *testing.T, set *Set, g grid, rng *rand.Rand)) {
	each(t, func(t *testing.T, set *Set) {
		rng := rand.New(rand.NewPCG(3, 4))
		for n := 1; n <= 70; n++ {
			f(t, set, grid{1 + rng.IntN(9), n, n + rng.IntN(4)}, rng)
		}
		for _, n := range []int{127, 128, 129, 191, 200, 512} {
			f(t, set, grid{1 + rng.IntN(40), n, n + 3*rng.IntN(2)}, rng)
		}
	})
}

// near fails unless got is want within a number of roundings of size.
func near(t *testing.T, what fmt.Stringer, name string, i int, got float32, want, size float64, roundings int) {
	t.Helper()
	switch {
	case math.IsNaN(want):
		if got == got {
			t.Fatalf("%v: %s[%d] = %v, want NaN", what, name, i, got)
		}
	case math.IsInf(want, 0):
		if float64(got) != want {
			t.Fatalf("%v: %s[%d] = %v, want %v", what, name, i, got, want)
		}
	case !(math.Abs(float64(got)-want) <= float64(roundings)*0x1p-24*size):
		t.Fatalf("%v: %s[%d] = %v, want %v (off by %g, allowed %g)", what, name, i, got, want,
			math.Abs(float64(got)-want), float64(roundings)*0x1p-24*size)
	}
}

// gate is the gradient of a ReLU with output y.
func gate(dy, y []float32, i int) float64 {
	if y != nil && y[i] <= 0 {
		return 0
	}
	return float64(dy[i])
}

func random(t *testing.T, rng *rand.Rand, n int) []float32 { return fill(rng, guarded(t, n)) }

func clone(x []float32) []float32 { return append([]float32(nil), x...) }

func TestMeanM2AndSumRows(t *testing.T) {
	grids(t, func(t *testing.T, set *Set, g grid, rng *rand.Rand) {
		x := random(t, rng, g.size())
		for i := range x {
			x[i] += 100 // with a mean far from zero, a single pass would not be exact
		}
		mean, m2, sum := random(t, rng, g.n), random(t, rng, g.n), random(t, rng, g.n)
		set.MeanM2(mean, m2, x, g.rows, g.n, g.ld)
		set.SumRows(sum, x, g.rows, g.n, g.ld)
		wantSum, wantM2 := make([]float64, g.n), make([]float64, g.n)
		g.at(func(i, c int) { wantSum[c] += float64(x[i]) })
		g.at(func(i, c int) {
			d := float64(x[i]) - wantSum[c]/float64(g.rows)
			wantM2[c] += d * d
		})
		for c := range g.n {
			near(t, g, "sum", c, sum[c], wantSum[c], wantSum[c], g.rows)
			near(t, g, "mean", c, mean[c], wantSum[c]/float64(g.rows), 101, g.rows+1)
			// The mean is off by rows*101*2^-24 at most, which moves every
			// difference from it, of size 2 at most.
			near(t, g, "m2", c, m2[c], wantM2[c], 4*101*float64(g.rows), g.rows+4)
		}
	})
}

func TestScaleShift(t *testing.T) {
	grids(t, func(t *testing.T, set *Set, g grid, rng *rand.Rand) {
		for bits := range 32 {
			x := random(t, rng, g.size())
			var scale, shift, res []float32
			if bits&1 != 0 {
				scale = random(t, rng, g.n)
			}
			if bits&2 != 0 {
				shift = random(t, rng, g.n)
			}
			if bits&4 != 0 {
				res = random(t, rng, g.size())
			}
			relu := bits&8 != 0
			x[rng.IntN(len(x))] = float32(math.NaN())
			x[rng.IntN(len(x))] = float32(math.Inf(1 - 2*rng.IntN(2)))
			oldX, oldRes, y := clone(x), clone(res), x
			if bits&16 == 0 {
				y = random(t, rng, g.size())
			} else if res != nil && rng.IntN(2) == 0 {
				y = res
			}
			before := clone(y)
			set.ScaleShift(y, x, scale, shift, res, relu, g.rows, g.n, g.ld)
			g.gaps(t, "y", y, before)
			g.at(func(i, c int) {
				v := float64(oldX[i])
				if scale != nil {
					v *= float64(scale[c])
				}
				if shift != nil {
					v += float64(shift[c])
				}
				if res != nil {
					v += float64(oldRes[i])
				}
				if relu && v < 0 {
					v = 0
				}
				near(t, g, fmt.Sprintf("y (options %b)", bits), i, y[i], v, 3, 4)
			})
		}
	})
}

func TestBNReduce(t *testing.T) {
	grids(t, func(t *testing.T, set *Set, g grid, rng *rand.Rand) {
		dy, x, mean := random(t, rng, g.size()), random(t, rng, g.size()), random(t, rng, g.n)
		y := random(t, rng, g.size())
		y[rng.IntN(len(y))] = 0
		y[rng.IntN(len(y))] = float32(math.NaN())
		if rng.IntN(3) == 0 {
			y = nil
		}
		sumDy, sumDyX := random(t, rng, g.n), random(t, rng, g.n)
		want, wantX, gated := make([]float64, g.n), make([]float64, g.n), clone(dy)
		g.at(func(i, c int) {
			gated[i] = float32(gate(dy, y, i))
			want[c] += float64(gated[i])
			wantX[c] += float64(gated[i]) * (float64(x[i]) - float64(mean[c]))
		})
		var dres []float32
		if rng.IntN(2) == 0 {
			dres = dy
		}
		set.BNReduce(sumDy, sumDyX, dy, y, x, mean, dres, g.rows, g.n, g.ld)
		for i := range dres {
			if math.Float32bits(dres[i]) != math.Float32bits(gated[i]) {
				t.Fatalf("%v: dres[%d] is %v, want %v", g, i, dres[i], gated[i])
			}
		}
		for c := range g.n {
			near(t, g, "sumDy", c, sumDy[c], want[c], float64(g.rows), g.rows)
			near(t, g, "sumDyX", c, sumDyX[c], wantX[c], 2*float64(g.rows), g.rows+2)
		}
	})
}

func TestBNGrad(t *testing.T) {
	grids(t, func(t *testing.T, set *Set, g grid, rng *rand.Rand) {
		for bits := range 16 {
			dy, x := random(t, rng, g.size()), random(t, rng, g.size())
			a, b, d := random(t, rng, g.n), random(t, rng, g.n), random(t, rng, g.n)
			var y, dres, sumDx []float32
			if bits&1 != 0 {
				y = random(t, rng, g.size())
				y[rng.IntN(len(y))] = 0
				y[rng.IntN(len(y))] = float32(math.NaN())
			}
			if bits&2 != 0 {
				dres = random(t, rng, g.size())
			}
			if bits&4 != 0 {
				sumDx = random(t, rng, g.n)
			}
			oldDy, oldX, dx := clone(dy), clone(x), dy
			if bits&8 != 0 {
				dx = x
				if dres != nil {
					dres = dy
				}
			}
			before, resBefore := clone(dx), clone(dres)
			set.BNGrad(dx, dres, sumDx, dy, y, x, a, b, d, g.rows, g.n, g.ld)
			g.gaps(t, "dx", dx, before)
			g.gaps(t, "dres", dres, resBefore)
			sum := make([]float64, g.n)
			g.at(func(i, c int) {
				v := float64(a[c])*gate(oldDy, y, i) + float64(b[c])*float64(oldX[i]) + float64(d[c])
				sum[c] += v
				near(t, g, "dx", i, dx[i], v, 3, 4)
				if dres != nil && float64(dres[i]) != gate(oldDy, y, i) {
					t.Fatalf("%v: dres[%d] = %v, want %v", g, i, dres[i], gate(oldDy, y, i))
				}
			})
			for c := range sumDx {
				near(t, g, "sumDx", c, sumDx[c], sum[c], 3*float64(g.rows), g.rows+4)
			}
		}
	})
}

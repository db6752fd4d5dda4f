package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// same reports whether two floats are the same number, or both NaN.
func same(a, b float32) bool { return a == b || a != a && b != b }

// special replaces about one value in five by a special number, such as NaN or infinity.
func special(rng *rand.Rand, x []float32) []float32 {
	inf := float32(math.Inf(1))
	odd := []float32{float32(math.NaN()), inf, -inf, 0, float32(math.Copysign(0, -1)), 1e-40, math.MaxFloat32}
	for i := range x {
		if rng.IntN(5) == 0 {
			x[i] = odd[rng.IntN(len(odd))]
		}
	}
	return x
}

// TestFlat compares the flat kernels with their definitions, with a separate destination and
// in place.
func TestFlat(t *testing.T) {
	const alpha = 0.3
	for _, kernel := range []struct {
		name string
		run  func(set *Set, dst, a, b []float32)
		want func(a, b float32) float32
	}{
		{"Add", func(s *Set, dst, a, b []float32) { s.Add(dst, a, b) }, func(a, b float32) float32 { return a + b }},
		{"Mul", func(s *Set, dst, a, b []float32) { s.Mul(dst, a, b) }, func(a, b float32) float32 { return a * b }},
		{"Scale", func(s *Set, dst, a, b []float32) { s.Scale(dst, alpha, a) }, func(a, b float32) float32 { return a * alpha }},
		{"ReLU", func(s *Set, dst, a, b []float32) { s.ReLU(dst, a) }, func(a, b float32) float32 {
			if a < 0 {
				return 0
			}
			return a
		}},
		{"ReLUGrad", func(s *Set, dst, a, b []float32) { s.ReLUGrad(dst, a, b) }, func(a, b float32) float32 {
			if b <= 0 {
				return 0
			}
			return a
		}},
	} {
		t.Run(kernel.name, func(t *testing.T) {
			each(t, func(t *testing.T, set *Set) {
				rng := rand.New(rand.NewPCG(5, 6))
				for n := range 200 {
					a, b := special(rng, random(t, rng, n)), special(rng, random(t, rng, n))
					oldA, oldB := clone(a), clone(b)
					dst := [][]float32{random(t, rng, n), a, b}[rng.IntN(3)]
					kernel.run(set, dst, a, b)
					for i := range dst {
						if want := kernel.want(oldA[i], oldB[i]); !same(dst[i], want) {
							t.Fatalf("n %d: dst[%d] = %v of %v and %v, want %v", n, i, dst[i], oldA[i], oldB[i], want)
						}
					}
				}
			})
		})
	}
}

func TestAxpy(t *testing.T) {
	each(t, func(t *testing.T, set *Set) {
		rng := rand.New(rand.NewPCG(7, 8))
		for n := range 200 {
			dst, x := random(t, rng, n), random(t, rng, n)
			old, alpha := clone(dst), rng.Float32()
			set.Axpy(dst, alpha, x)
			for i := range dst {
				want := float64(old[i]) + float64(alpha)*float64(x[i])
				near(t, grid{1, n, n}, "dst", i, dst[i], want, 2, 2)
			}
		}
	})
}

// window returns offsets at least n apart, in any order, and the length of x
// that they reach into.
func window(rng *rand.Rand, n int) (offs []int, size int) {
	for range 1 + rng.IntN(9) {
		offs = append(offs, size)
		size += n + rng.IntN(5)
	}
	size = offs[len(offs)-1] + n
	rng.Shuffle(len(offs), func(i, j int) { offs[i], offs[j] = offs[j], offs[i] })
	return offs, size
}

func TestMaxPool(t *testing.T) {
	each(t, func(t *testing.T, set *Set) {
		rng := rand.New(rand.NewPCG(9, 10))
		for n := 1; n < 200; n++ {
			offs, size := window(rng, n)
			x := random(t, rng, size)
			for i := range x {
				x[i] = float32(math.Round(float64(x[i]) * 3)) // many ties
			}
			special(rng, x)
			y := random(t, rng, n)
			set.MaxPool(y, x, offs, n)
			for i := range y {
				want := float32(math.Inf(-1))
				for _, o := range offs {
					want = max(want, x[o+i]) // Go's max yields NaN if there is one
				}
				if !same(y[i], want) {
					t.Fatalf("n %d window %v: y[%d] = %v, want %v", n, offs, i, y[i], want)
				}
			}
			dx, dy := random(t, rng, size), random(t, rng, n)
			want := clone(dx)
			set.MaxPoolGrad(dx, dy, x, y, offs, n)
			for i := range n {
				for _, o := range offs {
					if v := x[o+i]; v == y[i] || v != v {
						want[o+i] += dy[i]
						break
					}
				}
			}
			for i := range dx {
				if dx[i] != want[i] {
					t.Fatalf("n %d window %v: dx[%d] = %v, want %v", n, offs, i, dx[i], want[i])
				}
			}
		}
	})
}

func TestMaxPoolOfNothing(t *testing.T) {
	each(t, func(t *testing.T, set *Set) {
		dst, dx := make([]float32, 37), make([]float32, 37)
		set.MaxPool(dst, dx, nil, len(dst))
		set.MaxPoolGrad(dx, dst, dx, dst, nil, len(dst))
		for i, v := range dst {
			if !math.IsInf(float64(v), -1) || dx[i] != 0 {
				t.Fatalf("element %d of an empty window is %v with gradient %v, want -Inf and 0", i, v, dx[i])
			}
		}
	})
}

func TestPack(t *testing.T) {
	each(t, func(t *testing.T, set *Set) {
		rng := rand.New(rand.NewPCG(11, 12))
		for rows := 1; rows <= set.Cols; rows++ {
			for _, n := range []int{1, 2, 7, 8, 9, 15, 16, 17, 40, 1 + rng.IntN(100)} {
				g := grid{rows, n, n + rng.IntN(4)}
				src := random(t, rng, g.size())
				// The transpose: rows of src become columns of the panel.
				panel := random(t, rng, n*set.Cols)
				set.PackTransposed(panel, src, rows, n, g.ld, set.Cols)
				checkPanel(t, g, panel, n, set.Cols, rows, func(k, j int) float32 { return src[j*g.ld+k] })
				if n > set.Cols {
					continue
				}
				panel = random(t, rng, rows*set.Cols)
				set.Pack(panel, src, rows, n, g.ld, set.Cols)
				checkPanel(t, g, panel, rows, set.Cols, n, func(k, j int) float32 { return src[k*g.ld+j] })
			}
		}
	})
}

// checkPanel compares a panel of depth rows with its definition; columns from
// valid on are zero.
func checkPanel(t *testing.T, what fmt.Stringer, panel []float32, depth, cols, valid int, want func(k, j int) float32) {
	t.Helper()
	for k := range depth {
		for j := range cols {
			v := float32(0)
			if j < valid {
				v = want(k, j)
			}
			if panel[k*cols+j] != v {
				t.Fatalf("%v: panel[%d,%d] = %v, want %v", what, k, j, panel[k*cols+j], v)
			}
		}
	}
}

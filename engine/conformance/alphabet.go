package conformance

import (
	"math/rand/v2"
	"testing"

	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/internal/rng"
	"github.com/residual-ml/residual/tensor"
)

// Of checks the node that build makes from random inputs of these shapes, and its gradients.
func Of(t *testing.T, r *rand.Rand, check Check, build func(in []*graph.Node) *graph.Node, shapes ...tensor.Shape) {
	t.Helper()
	flipping(t, r, check, 0.1, build, shapes...)
}

// flipping is Of with Case.Flips = flips. 1 leaves all elements unchecked in BF16, for sums
// of rounded values that cancel.
func flipping(t *testing.T, r *rand.Rand, check Check, flips float64, build func(in []*graph.Node) *graph.Node, shapes ...tensor.Shape) {
	t.Helper()
	g := graph.New(graph.Train)
	in, feeds := randomInputs(g, r)
	var leaves []*graph.Node
	for _, s := range shapes {
		leaves = append(leaves, in("in", s...))
	}
	y := build(leaves)
	outputs := append([]*graph.Node{y}, graph.Gradients(Weighted(g, y, feeds, r), leaves)...)
	check(t, Case{Graph: g, Feeds: feeds, Outputs: outputs, Tolerance: 2e-6, Flips: flips})
}

var someShapes = []tensor.Shape{{1}, {7, 33}, {3, 5, 9}, {2, 35, 3, 5}, {2, 3, 2, 3, 2}}

func functions(t *testing.T, check Check) {
	r := rng.PCG(31, 32)
	positive := func(x *graph.Node) *graph.Node { return x.Mul(x).Add(x.Graph.Constant(0.5)) }
	for _, s := range someShapes {
		for _, u := range []graph.Unary{
			{Function: graph.Exp}, {Function: graph.Abs}, {Function: graph.Erf}, {Function: graph.Sin},
			{Function: graph.Clamp, A: -0.5, B: 0.25}, {Function: graph.Clamp, A: -0.3, B: 0.1}, {Function: graph.LeakyReLU, A: 0.01},
			{Function: graph.ELU, A: 0.7, B: 1.1}, {Function: graph.Hardsigmoid, A: 0.2, B: 0.5}, {Function: graph.Hardswish},
			{Function: graph.Clamp, A: 0, B: 0.75}, {Function: graph.Softplus}, {Function: graph.SiLU, A: 1}, {Function: graph.Mish}, {Function: graph.GELU}, {Function: graph.GELUTanh},
			{Function: graph.Threshold, A: 0.25}, {Function: graph.Power, A: 3},
		} {
			Op(t, r, check, u, s)
		}
		Of(t, r, check, func(in []*graph.Node) *graph.Node { return positive(in[0]).Log() }, s)
		Of(t, r, check, func(in []*graph.Node) *graph.Node { return positive(in[0]).Sqrt() }, s)
		for _, f := range []graph.Pairing{graph.Sub, graph.Max, graph.Min} {
			Op(t, r, check, graph.Binary{Pairing: f}, s, s)
		}
		for _, f := range []graph.Pairing{graph.Less, graph.LessOrEqual, graph.Greater, graph.GreaterOrEqual, graph.Equal, graph.NotEqual} {
			Of(t, r, check, func(in []*graph.Node) *graph.Node { return f.Of(in[0], in[1]).Mul(in[0]) }, s, s)
		}
		Of(t, r, check, func(in []*graph.Node) *graph.Node { return in[0].Div(positive(in[1])) }, s, s)
		Of(t, r, check, func(in []*graph.Node) *graph.Node { return graph.Pow.Of(positive(in[0]), in[1]) }, s, s)
		Of(t, r, check, func(in []*graph.Node) *graph.Node {
			return graph.Less.Of(in[0], in[1]).Where(in[1], in[0])
		}, s, s)
	}
}

func moves(t *testing.T, check Check) {
	r := rng.PCG(33, 34)
	for _, s := range someShapes {
		for range 3 {
			o := graph.Take{Index: make([][]int, len(s)), Fill: 0.5}
			for d := range s {
				if r.IntN(2) == 0 {
					for range 1 + r.IntN(6) {
						o.Index[d] = append(o.Index[d], r.IntN(s[d]+1)-1)
					}
				}
			}
			Op(t, r, check, o, s)
			Op(t, r, check, graph.Transpose{Axes: r.Perm(len(s))}, s)
		}
		for d := range s {
			Of(t, r, check, func(in []*graph.Node) *graph.Node { return in[0].Pad(d, 1, 2, -1) }, s)
			Of(t, r, check, func(in []*graph.Node) *graph.Node { return in[0].Slice(d, s[d]/2, s[d]) }, s)
			other := s.Clone()
			other[d] = 1
			Of(t, r, check, func(in []*graph.Node) *graph.Node { return graph.Join(d, in...) }, s, other, s)
			// Either operand is broadcast.
			Of(t, r, check, func(in []*graph.Node) *graph.Node { return in[0].Add(in[1]) }, s, other)
			flipping(t, r, check, 1, func(in []*graph.Node) *graph.Node { return in[0].Mul(in[1]) }, other[d:], s)
			another := s.Clone()
			another[(d+1)%len(s)] = 1
			flipping(t, r, check, 1, func(in []*graph.Node) *graph.Node {
				return in[0].Sub(in[1]).Greater(in[1]).Where(in[0].Shift(0.25), in[1]).Maximum(in[1])
			}, other, another)
		}
	}
}

func reductions(t *testing.T, check Check) {
	r := rng.PCG(35, 36)
	for _, s := range someShapes {
		for d := range s {
			for _, kind := range []graph.Reduction{graph.Total, graph.Mean, graph.Largest, graph.Smallest} {
				Of(t, r, check, func(in []*graph.Node) *graph.Node { return kind.Of(in[0], d) }, s)
			}
			Of(t, r, check, func(in []*graph.Node) *graph.Node { return in[0].LogSoftmax(d) }, s)
			// Of what is row-major, and in float32 where activations are bfloat16.
			Of(t, r, check, func(in []*graph.Node) *graph.Node { return in[0].Exp().Max(d).Mul(in[0].Softmax(d)) }, s)
			if len(s) > 1 && s[len(s)-1] < 32 {
				Of(t, r, check, func(in []*graph.Node) *graph.Node {
					y := in[0].MatMul(in[1])
					return y.Softmax(d).Mul(y.Max(d)).Mul(y.Min(d))
				}, s, tensor.Shape{s[len(s)-1], 7})
			}
		}
		Of(t, r, check, func(in []*graph.Node) *graph.Node { return in[0].Mean() }, s)
	}
	s := tensor.Shape{2, 3, 4, 5}
	Of(t, r, check, func(in []*graph.Node) *graph.Node { return graph.Product.Of(in[0], 1, 2) }, s)
	Of(t, r, check, func(in []*graph.Node) *graph.Node { return in[0].Sum(0, 2, 3) }, s)
}

func matrices(t *testing.T, check Check) {
	r := rng.PCG(37, 38)
	for _, s := range [][2]tensor.Shape{
		{{1, 1}, {1, 1}}, {{5, 17}, {17, 9}}, {{2, 3, 4}, {2, 4, 7}}, {{2, 3, 4, 5}, {2, 3, 5, 33}}, {{2, 1, 4, 5}, {3, 5, 2}},
		{{6}, {6, 5}}, {{2, 4, 6}, {6}}, {{9}, {9}}, {{3, 1, 2, 5, 4}, {2, 4, 6}}, {{7, 3}, {2, 2, 3, 4}},
	} {
		Of(t, r, check, func(in []*graph.Node) *graph.Node { return in[0].MatMul(in[1]) }, s[0], s[1])
	}
}

func normalisations(t *testing.T, check Check) {
	r := rng.PCG(39, 40)
	for _, c := range []struct {
		op     graph.Op
		x      tensor.Shape
		weight tensor.Shape
	}{
		{graph.LayerNorm{Dims: 1, Eps: 1e-2}, tensor.Shape{5, 17}, tensor.Shape{17}},
		{graph.LayerNorm{Dims: 1, Eps: 1e-2}, tensor.Shape{3, 7, 20}, tensor.Shape{20}},
		{graph.LayerNorm{Dims: 3, Eps: 1e-2}, tensor.Shape{2, 5, 3, 4}, tensor.Shape{5, 3, 4}},
		{graph.LayerNorm{Dims: 2, Eps: 1e-2}, tensor.Shape{2, 3, 2, 4, 3}, tensor.Shape{4, 3}},
		{graph.LayerNorm{Dims: 1, Eps: 1e-2}, tensor.Shape{6}, tensor.Shape{6}},
		{graph.GroupNorm{Groups: 2, Eps: 1e-2}, tensor.Shape{3, 8}, tensor.Shape{8}},
		{graph.GroupNorm{Groups: 3, Eps: 1e-2}, tensor.Shape{2, 6, 9}, tensor.Shape{6}},
		{graph.GroupNorm{Groups: 4, Eps: 1e-2}, tensor.Shape{3, 16, 5, 3}, tensor.Shape{16}},
		{graph.GroupNorm{Groups: 5, Eps: 1e-2}, tensor.Shape{2, 5, 6, 4}, tensor.Shape{5}},
		{graph.GroupNorm{Groups: 1, Eps: 1e-2}, tensor.Shape{2, 3, 2, 3, 2}, tensor.Shape{3}},
	} {
		g := graph.New(graph.Train)
		in, feeds := randomInputs(g, r)
		leaves := []*graph.Node{in("x", c.x...), in("weight", c.weight...), in("bias", c.weight...)}
		y := g.Apply(c.op, leaves...)
		outputs := append([]*graph.Node{y}, graph.Gradients(Weighted(g, y, feeds, r), leaves)...)
		check(t, Case{Graph: g, Feeds: feeds, Outputs: outputs, Tolerance: 5e-6, Flips: 0.1})
	}
}

func interpolations(t *testing.T, check Check) {
	r := rng.PCG(41, 42)
	for _, x := range []tensor.Shape{{1, 1, 1, 1}, {2, 3, 4, 5}, {3, 8, 7, 6}, {2, 33, 3, 2}} {
		for _, o := range []graph.Upsample{
			{H: 2 * x[2], W: 2 * x[3]}, {H: 5, W: 3}, {H: 2 * x[2], W: 2 * x[3], Bilinear: true}, {H: 9, W: 4, Bilinear: true},
			{H: 2 * x[2], W: 3 * x[3], Bilinear: true, AlignCorners: true}, {H: 1, W: 7, Bilinear: true, AlignCorners: true},
			{H: x[2] * 3 / 2, W: x[3] * 3 / 2, Bilinear: true, ScaleH: 1.5, ScaleW: 1.5}, {H: x[2] * 3 / 2, W: x[3] * 3 / 2, ScaleH: 1.5, ScaleW: 1.5},
		} {
			Op(t, r, check, o, x)
		}
	}
}

func choices(t *testing.T, check Check) {
	r := rng.PCG(43, 44)
	for _, s := range someShapes {
		for d := range s {
			g := graph.New(graph.Train)
			in, feeds := randomInputs(g, r)
			of := s.Clone()
			of[d] = 1 + r.IntN(4)
			x, index := in("x", s...), g.Input("index", tensor.Float32, of...)
			feeds[index] = tensor.New(of...)
			for i := range feeds[index].Data() {
				feeds[index].Data()[i] = float32(r.IntN(s[d]))
			}
			y := x.GatherElements(d, index)
			outputs := append([]*graph.Node{y}, graph.Gradients(Weighted(g, y, feeds, r), []*graph.Node{x})...)
			check(t, Case{Graph: g, Feeds: feeds, Outputs: outputs, Tolerance: 2e-6})
		}
	}
}

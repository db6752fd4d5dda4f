package conformance

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/internal/rng"
	"github.com/residual-ml/residual/tensor"
)

func convolutions(t *testing.T, check Check) {
	r := rng.PCG(1, 2)
	pick := func(v ...int) int { return v[r.IntN(len(v))] }
	for i := range 60 {
		c := graph.Conv2d{
			StrideH: pick(1, 1, 2, 3), StrideW: pick(1, 1, 2), PadH: r.IntN(4), PadW: r.IntN(3),
			DilationH: pick(1, 1, 2), DilationW: pick(1, 1, 2, 3), Groups: pick(1, 1, 1, 2, 3),
		}
		kh, kw := pick(1, 2, 3, 5, 7), pick(1, 3, 3, 7)
		h, w := (kh-1)*c.DilationH+1+r.IntN(9), (kw-1)*c.DilationW+1+r.IntN(9)
		cin, cout := c.Groups*pick(1, 2, 3, 5, 17), c.Groups*pick(1, 3, 6, 16, 33, 40)
		n := pick(1, 1, 2, 5, 17)
		t.Run(fmt.Sprintf("%d/%+v %dx%d %d->%d on %dx%dx%d", i, c, kh, kw, cin, cout, n, h, w), func(t *testing.T) {
			shapes := []tensor.Shape{{n, cin, h, w}, {cout, cin / c.Groups, kh, kw}}
			if r.IntN(2) == 0 {
				shapes = append(shapes, tensor.Shape{cout})
			}
			Op(t, r, check, c, shapes...)
		})
	}
}

// manyGroups checks the grouped convolutions of ResNeXt: 32 groups of few channels.
func manyGroups(t *testing.T, check Check) {
	r := rng.PCG(17, 18)
	for _, channels := range []int{4, 8} {
		for stride := 1; stride <= 2; stride++ {
			c := graph.Conv2d{StrideH: stride, StrideW: stride, PadH: 1, PadW: 1, DilationH: 1, DilationW: 1, Groups: 32}
			Op(t, r, check, c, tensor.Shape{3, 32 * channels, 5, 7}, tensor.Shape{32 * channels, channels, 3, 3})
		}
	}
}

// depthwise checks convolutions of every channel by itself, of batches and of single images, with
// what is fused behind them.
func depthwise(t *testing.T, check Check) {
	r := rng.PCG(45, 46)
	for _, s := range []struct{ n, c, kernel, h, w, stride, pad, dilation int }{
		{1, 5, 3, 7, 6, 1, 1, 1}, {4, 16, 3, 5, 9, 2, 1, 1}, {3, 33, 5, 8, 6, 1, 2, 1}, {1, 24, 3, 9, 9, 2, 1, 1}, {70, 8, 3, 4, 4, 1, 1, 1},
		{2, 7, 3, 9, 8, 1, 2, 2}, {1, 6, 2, 5, 5, 3, 0, 1}, {2, 40, 7, 3, 4, 1, 3, 1}, {3, 4, 3, 2, 2, 1, 4, 1}, {2, 9000, 1, 2, 1, 1, 0, 1},
	} {
		c := graph.Conv2d{StrideH: s.stride, StrideW: s.stride, PadH: s.pad, PadW: s.pad, DilationH: s.dilation, DilationW: s.dilation, Groups: s.c}
		Op(t, r, check, c, tensor.Shape{s.n, s.c, s.h, s.w}, tensor.Shape{s.c, 1, s.kernel, s.kernel}, tensor.Shape{s.c})
		g := graph.New(graph.Train)
		in, feeds := randomInputs(g, r)
		x, weight, gamma, beta := in("x", s.n, s.c, s.h, s.w), in("weight", s.c, 1, s.kernel, s.kernel), in("gamma", s.c), in("beta", s.c)
		sums := g.Apply(c, x, weight)
		y := g.Apply(graph.BatchNorm{Eps: 1e-2, Frozen: true}, sums, g.Apply(graph.Stack{}, beta, gamma.Mul(gamma)), gamma, beta).Add(in("residual", sums.Shape...)).ReLU()
		outputs := []*graph.Node{y}
		if sums.Shape.Numel() > 2*s.c { // several values per channel
			outputs = append(outputs, g.Apply(graph.BatchNormStats{}, g.Apply(c, x, weight)))
		}
		if s.stride == 1 && sums.Shape.Equal(x.Shape) { // a shortcut, whose gradient is added
			outputs = append(outputs, graph.Gradients(Weighted(g, g.Apply(c, x, weight).Add(x), feeds, r), []*graph.Node{x})...)
		}
		check(t, Case{Graph: g, Feeds: feeds, Outputs: outputs, Tolerance: 5e-5, Flips: 0.1})
	}
}

// eights checks multiples of eight channels, or of eight images with one channel, which the
// tensor cores of GPUs need: several windows of the summed dimension, blocks that are not
// full, and taps that lie inside the image for some pixels only.
func eights(t *testing.T, check Check) {
	r := rng.PCG(23, 24)
	for _, s := range []struct{ n, cin, cout, kernel, h, w, stride, pad, dilation, groups int }{
		{8, 64, 136, 3, 4, 5, 1, 1, 1, 1}, {40, 16, 72, 3, 6, 3, 2, 1, 1, 1}, {64, 8, 8, 1, 3, 3, 2, 0, 1, 1}, {3, 24, 40, 5, 12, 9, 3, 2, 2, 1},
		{9, 32, 64, 3, 4, 5, 1, 1, 1, 2}, {64, 128, 16, 3, 3, 3, 1, 1, 1, 1}, {1, 64, 64, 3, 7, 6, 2, 1, 1, 1}, {33, 72, 24, 1, 3, 2, 1, 0, 1, 3},
		{8, 1, 16, 7, 10, 9, 2, 3, 1, 1}, {32, 1, 72, 3, 5, 4, 1, 1, 1, 1}, {24, 1, 8, 5, 6, 6, 1, 0, 1, 1}, {6, 1, 8, 3, 5, 5, 1, 1, 1, 1},
	} {
		c := graph.Conv2d{StrideH: s.stride, StrideW: s.stride, PadH: s.pad, PadW: s.pad, DilationH: s.dilation, DilationW: s.dilation, Groups: s.groups}
		Op(t, r, check, c, tensor.Shape{s.n, s.cin, s.h, s.w}, tensor.Shape{s.cout, s.cin / s.groups, s.kernel, s.kernel}, tensor.Shape{s.cout})
	}
}

// randomInputs returns a function that adds inputs with random values to g, and the map in
// which it records the values.
func randomInputs(g *graph.Graph, r *rand.Rand) (in func(name string, shape ...int) *graph.Node, feeds map[*graph.Node]*tensor.Tensor) {
	feeds = map[*graph.Node]*tensor.Tensor{}
	return func(name string, shape ...int) *graph.Node {
		n := g.Input(name, tensor.Float32, shape...)
		feeds[n] = Random(r, shape...)
		return n
	}, feeds
}

// blocks checks a residual block, in which steps are fused into the convolutions: the
// statistics of a batch in training; the batch norm, the shortcut and ReLU with known
// statistics.
func blocks(t *testing.T, check Check) {
	r := rng.PCG(25, 26)
	for _, s := range []struct{ n, c, h, w int }{{8, 16, 5, 6}, {5, 24, 9, 3}, {3, 7, 4, 5}, {64, 8, 23, 23}} {
		c := graph.Conv2d{StrideH: 1, StrideW: 1, PadH: 1, PadW: 1, DilationH: 1, DilationW: 1, Groups: 1}
		kernel := 3
		if s.n > 8 { // many rows, few products
			kernel, c.PadH, c.PadW = 1, 0, 0
		}
		for i := range 4 {
			frozen, shortcut := i%2 == 1, i < 2
			g := graph.New(graph.Train)
			in, feeds := randomInputs(g, r)
			x, weight := in("x", s.n, s.c, s.h, s.w), in("weight", s.c, s.c, kernel, kernel)
			gamma, beta := in("gamma", s.c), in("beta", s.c)
			leaves := []*graph.Node{x, weight, gamma, beta}
			sums := g.Apply(c, x, weight)
			stats := g.Apply(graph.BatchNormStats{}, sums)
			if frozen {
				stats = g.Apply(graph.Stack{}, beta, g.Apply(graph.Mul{}, gamma, gamma))
			}
			y := g.Apply(graph.BatchNorm{Eps: 1e-2, Frozen: frozen}, sums, stats, gamma, beta)
			if shortcut {
				leaves = append(leaves, in("residual", s.n, s.c, s.h, s.w))
				y = y.Add(leaves[4])
			}
			y = g.Apply(graph.ReLU{}, y)
			check(t, Case{Graph: g, Feeds: feeds, Outputs: []*graph.Node{y, stats}, Tolerance: 5e-5, Flips: 0.1})
			if s.n > 8 {
				continue // the weight's gradient would be a sum over elements that are not limited
			}
			loss := Weighted(g, y, feeds, r)
			outputs := append([]*graph.Node{y}, graph.Gradients(loss, leaves)...)
			check(t, Case{Graph: g, Feeds: feeds, Outputs: outputs, Tolerance: 1e-4, Flips: 0.25})
		}
	}
}

// oneImage checks one image with more weights than the cache of a core holds, also where
// some lines of the result depend on padding alone.
func oneImage(t *testing.T, check Check) {
	r := rng.PCG(19, 20)
	for _, s := range []struct{ cin, cout, kernel, size, stride, pad, dilation, groups int }{
		{128, 256, 3, 6, 1, 1, 1, 1}, {128, 256, 3, 5, 2, 1, 1, 1}, {256, 256, 3, 3, 1, 1, 1, 2}, {48, 256, 5, 3, 1, 2, 1, 1},
		{128, 256, 3, 2, 1, 3, 1, 1}, {128, 256, 3, 4, 1, 2, 2, 1}, {120, 290, 3, 3, 1, 1, 1, 1},
	} {
		c := graph.Conv2d{StrideH: s.stride, StrideW: s.stride, PadH: s.pad, PadW: s.pad, DilationH: s.dilation, DilationW: s.dilation, Groups: s.groups}
		Op(t, r, check, c, tensor.Shape{1, s.cin, s.size, s.size}, tensor.Shape{s.cout, s.cin / s.groups, s.kernel, s.kernel}, tensor.Shape{s.cout})
	}
}

func dense(t *testing.T, check Check) {
	r := rng.PCG(3, 4)
	for _, s := range [][3]int{{1, 1, 1}, {3, 17, 10}, {33, 50, 35}, {2, 512, 10}} {
		Op(t, r, check, graph.Linear{}, tensor.Shape{s[0], s[1]}, tensor.Shape{s[2], s[1]}, tensor.Shape{s[2]})
		Op(t, r, check, graph.Softmax{}, tensor.Shape{s[0], s[1]})
		Op(t, r, check, graph.Reshape{To: tensor.Shape{s[1], s[0]}}, tensor.Shape{s[0], s[1]})
	}
	Op(t, r, check, graph.Reshape{To: tensor.Shape{3, 40}}, tensor.Shape{3, 5, 2, 4})
	Op(t, r, check, graph.Reshape{To: tensor.Shape{3, 5}}, tensor.Shape{3, 5, 1, 1})
	Op(t, r, check, graph.Reshape{To: tensor.Shape{2, 3, 4, 5}}, tensor.Shape{6, 20})
}

func elementwise(t *testing.T, check Check) {
	r := rng.PCG(5, 6)
	for _, s := range []tensor.Shape{{1}, {7, 33}, {3, 5, 9}, {2, 35, 3, 5}, {4, 64, 24, 24}} {
		for _, op := range []graph.Op{graph.ReLU{}, graph.Sigmoid{}, graph.Tanh{}, graph.Scale{Factor: -0.75}} {
			Op(t, r, check, op, s)
		}
		Op(t, r, check, graph.Add{}, s, s)
		Op(t, r, check, graph.Mul{}, s, s)
		Op(t, r, check, graph.Sum{}, s)
	}
}

func pools(t *testing.T, check Check) {
	r := rng.PCG(7, 8)
	for i := range 30 {
		n, c, h, w := 1+r.IntN(4), 1+r.IntN(40), 4+r.IntN(9), 4+r.IntN(9)
		kh, kw, sh, sw := 1+r.IntN(4), 1+r.IntN(4), 1+r.IntN(3), 1+r.IntN(3)
		ph, pw, ceil := r.IntN(kh/2+1), r.IntN(kw/2+1), i%2 == 0
		x := tensor.Shape{n, c, h, w}
		Op(t, r, check, graph.MaxPool2d{KH: kh, KW: kw, StrideH: sh, StrideW: sw, PadH: ph, PadW: pw, DilationH: 1, DilationW: 1, CeilMode: ceil}, x)
		Op(t, r, check, graph.AvgPool2d{KH: kh, KW: kw, StrideH: sh, StrideW: sw, PadH: ph, PadW: pw, CeilMode: ceil, ExcludePad: i%3 == 0, Divisor: i % 4}, x)
		Op(t, r, check, graph.AdaptiveAvgPool2d{H: 1 + r.IntN(5), W: 1 + r.IntN(5)}, x)
	}
	// Numbers of channels that are multiples of the vector length, as in most networks.
	for _, x := range []tensor.Shape{{2, 8, 9, 7}, {1, 24, 6, 8}, {3, 64, 7, 12}} {
		Op(t, r, check, graph.MaxPool2d{KH: 3, KW: 3, StrideH: 2, StrideW: 2, PadH: 1, PadW: 1, DilationH: 1, DilationW: 1}, x)
		Op(t, r, check, graph.MaxPool2d{KH: 4, KW: 3, StrideH: 1, StrideW: 2, PadH: 2, PadW: 1, DilationH: 1, DilationW: 2}, x)
		Op(t, r, check, graph.AvgPool2d{KH: 3, KW: 3, StrideH: 2, StrideW: 2, PadH: 1, PadW: 1}, x)
		Op(t, r, check, graph.AdaptiveAvgPool2d{H: 1, W: 1}, x)
	}
}

func batchNorm(t *testing.T, check Check) {
	r := rng.PCG(9, 10)
	for i, s := range []tensor.Shape{
		{5, 3}, {16, 40}, {4, 7, 9}, {3, 17, 5, 4}, {8, 64, 12, 12}, {2, 33, 1, 1},
		{3, 24, 5, 7}, {2, 264, 3, 5}, {9, 8, 19, 17}, {9, 35, 19, 17},
	} {
		g := graph.New(graph.Train)
		in, feeds := randomInputs(g, r)
		c := s[1]
		x, gamma, beta, res := in("x", s...), in("gamma", c), in("beta", c), in("residual", s...)
		stats := g.Apply(graph.BatchNormStats{}, x)
		running := g.Apply(graph.RunningStats{Momentum: 0.1, Row: 1, Count: s.Numel() / c}, in("running", c), stats)
		y := g.Apply(graph.BatchNorm{Eps: 1e-5}, x, stats, gamma, beta)
		if i%2 == 1 { // the residual is computed by a step of its own
			res = g.Apply(graph.Sigmoid{}, res)
		}
		y = y.Add(res)
		y = g.Apply(graph.ReLU{}, y)
		frozen := g.Apply(graph.BatchNorm{Eps: 1e-5, Frozen: true}, y, g.Apply(graph.Stack{}, beta, g.Apply(graph.Mul{}, gamma, gamma)), gamma, beta)
		loss := Weighted(g, frozen, feeds, r)
		outputs := append([]*graph.Node{y, stats, running, frozen}, graph.Gradients(loss, []*graph.Node{x, gamma, beta, res})...)
		// 1/sqrt(var+eps) of a frozen variance near zero magnifies errors: a wider bound.
		check(t, Case{Graph: g, Feeds: feeds, Outputs: outputs, Tolerance: 5e-5, Flips: 0.1})
	}
}

func lossAndDropout(t *testing.T, check Check) {
	r := rng.PCG(11, 12)
	for _, s := range [][2]int{{1, 2}, {7, 10}, {64, 33}} {
		g := graph.New(graph.Train)
		z, labels := g.Input("logits", tensor.Float32, s[0], s[1]), g.Input("labels", tensor.Int64, s[0])
		ints := make([]int64, s[0])
		for i := range ints {
			ints[i] = int64(r.IntN(s[1]))
		}
		feeds := map[*graph.Node]*tensor.Tensor{z: Random(r, s[0], s[1]), labels: tensor.FromInts(ints, s[0]), g.Key(): tensor.FromInts([]int64{42})}
		dropped := g.Apply(graph.Dropout{P: 0.3, Stream: g.NextStream()}, z, g.Key())
		loss := g.Apply(graph.CrossEntropy{}, dropped, labels)
		hits := g.Apply(graph.CountCorrect{}, z, labels)
		outputs := append([]*graph.Node{dropped, loss, hits}, graph.Gradients(loss, []*graph.Node{z})...)
		soft, weight := g.Input("soft labels", tensor.Float32, s[0], s[1]), g.Input("weight", tensor.Float32, s[1])
		feeds[soft], feeds[weight] = tensor.New(s[0], s[1]), tensor.New(s[1])
		for _, x := range []*graph.Node{soft, weight} {
			for i := range feeds[x].Data() {
				feeds[x].Data()[i] = 0.1 + r.Float32()
			}
		}
		for _, smoothing := range []float64{0, 0.1} {
			o := graph.CrossEntropy{LabelSmoothing: smoothing}
			for _, inputs := range [][]*graph.Node{{z, labels}, {z, labels, weight}, {z, soft}, {z, soft, weight}} {
				loss := g.Apply(o, inputs...)
				outputs = append(append(outputs, loss), graph.Gradients(loss, []*graph.Node{z})...)
			}
		}
		check(t, Case{Graph: g, Feeds: feeds, Outputs: outputs, Tolerance: 2e-6})
	}
	g := graph.New(graph.Train)
	x := g.Input("images", tensor.Float32, 3, 5, 4, 6)
	feeds := map[*graph.Node]*tensor.Tensor{x: Random(r, 3, 5, 4, 6), g.Key(): tensor.FromInts([]int64{7})}
	y := g.Apply(graph.Dropout{P: 0.5, Stream: 3}, x, g.Key())
	check(t, Case{Graph: g, Feeds: feeds, Outputs: []*graph.Node{y}, Tolerance: 1e-6})
}

func channelsAndStochasticDepth(t *testing.T, check Check) {
	r := rng.PCG(13, 14)
	for _, s := range []tensor.Shape{{3, 5}, {2, 7, 9}, {1, 16, 3, 5}, {5, 33, 4, 4}, {70, 2, 1, 1}} {
		for _, more := range []int{0, 1, 16} {
			Op(t, r, check, graph.PadChannels{To: s[1] + more}, s)
		}
		for _, first := range []int{1, (s[1] + 1) / 2, s[1]} {
			Op(t, r, check, graph.TakeChannels{First: first}, s)
		}
	}
	for i, s := range []tensor.Shape{{9}, {7, 5}, {5, 3, 4}, {6, 33, 4, 6}, {3, 2, 2, 3, 2}} {
		for _, p := range []float64{0.5, 1} {
			g := graph.New(graph.Train)
			x := g.Input("images", tensor.Float32, s...)
			feeds := map[*graph.Node]*tensor.Tensor{x: Random(r, s...), g.Key(): tensor.FromInts([]int64{int64(i)})}
			y := g.Apply(graph.StochasticDepth{P: p, Stream: g.NextStream()}, x, g.Key())
			loss := Weighted(g, y, feeds, r)
			check(t, Case{Graph: g, Feeds: feeds, Outputs: append([]*graph.Node{y}, graph.Gradients(loss, []*graph.Node{x})...), Tolerance: 1e-6})
		}
	}
}

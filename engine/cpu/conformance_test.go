package cpu

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu/kernel"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/tensor"
)

// check runs a graph on the device, fused and unfused, in both precisions, on every
// instruction set and for one to three threads, and compares every output with the
// float64 reference. The tolerance is that of fp32. The inputs are exact in
// bfloat16, whose tolerance is that of some roundings to eight bits, one after the
// other; that its sums are as exact as fp32's is for the tests of the kernels.
// flips is the share of elements that may lie anywhere in bfloat16, because a ReLU
// before them is so near its kink that a rounding decides.
func check(t *testing.T, g *graph.Graph, feeds map[*graph.Node]*tensor.Tensor, outputs []*graph.Node, tolerance float64, flips ...float64) {
	t.Helper()
	values := map[*graph.Node][]float64{}
	for n, v := range feeds {
		values[n] = wide(v)
	}
	want := graph.Reference(outputs, values)
	for _, isa := range kernel.Available() {
		for _, precision := range []engine.Precision{engine.FP32, engine.BF16} {
			if precision == engine.FP32 && isa > kernel.AVX512 {
				continue // its kernels are those of AVX512
			}
			tolerance, free := tolerance, 0.0
			if precision == engine.BF16 {
				tolerance = 0.02
				for _, f := range flips {
					free = f
				}
			}
			var first [][]float32
			for threads := 1; threads <= 3; threads++ {
				for _, unfused := range []bool{false, true} {
					spec := engine.Spec{Outputs: outputs, Unfused: unfused, Precision: precision}
					got := evaluate(t, g, feeds, Options{Threads: threads, ISA: &isa}, spec)
					for i, n := range outputs {
						name := fmt.Sprintf("%v, %v, %v, %d threads, unfused %v", n, isa, precision, threads, unfused)
						compare(t, name, got[i], want[i], tolerance, free)
						if !unfused && first != nil && !sameBits(first[i], got[i]) {
							t.Errorf("%s: other bits than with one thread", name)
						}
					}
					if !unfused && first == nil {
						first = got
					}
				}
			}
		}
	}
}

func evaluate(t *testing.T, g *graph.Graph, feeds map[*graph.Node]*tensor.Tensor, o Options, spec engine.Spec) [][]float32 {
	t.Helper()
	d, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	p, err := engine.Compile(g, engine.NewStore(d), spec)
	if err != nil {
		t.Fatal(err)
	}
	key := int64(0)
	for n, v := range feeds {
		if n.Op.(*graph.Input).Label == "key" {
			key = v.Ints()[0]
			continue
		}
		if err := p.Feed(n, v); err != nil {
			t.Fatal(err)
		}
	}
	p.Run(key)
	p.Run(key) // nothing may be left over from the first run
	out := make([][]float32, len(spec.Outputs))
	for i, n := range spec.Outputs {
		v := tensor.New(n.Shape...)
		p.Read(n, v)
		out[i] = v.Data()
	}
	return out
}

func wide(v *tensor.Tensor) []float64 {
	out := make([]float64, v.Numel())
	for i := range out {
		if v.DType() == tensor.Int64 {
			out[i] = float64(v.Ints()[i])
		} else {
			out[i] = float64(v.Data()[i])
		}
	}
	return out
}

func sameBits(a, b []float32) bool {
	for i := range a {
		if math.Float32bits(a[i]) != math.Float32bits(b[i]) {
			return false
		}
	}
	return true
}

// compare allows an error relative to the largest element of the tensor, and any
// in a share of the elements.
func compare(t *testing.T, name string, got []float32, want []float64, tolerance, free float64) {
	t.Helper()
	most := 1e-30
	for _, w := range want {
		most = math.Max(most, math.Abs(w))
	}
	off := 0
	for i, w := range want {
		if d := math.Abs(float64(got[i]) - w); !(d <= tolerance*most) {
			if off++; float64(off) > free*float64(len(want)) {
				t.Fatalf("%s: element %d is %v, want %v (largest %v), the %dth such", name, i, got[i], w, most, off)
			}
		}
	}
}

// random fills a tensor with multiples of 1/64 between -1 and 1: exact in fp32,
// and never in (0, 1/64), so that ReLU is not at its kink by rounding alone.
func random(r *rand.Rand, shape ...int) *tensor.Tensor {
	v := tensor.New(shape...)
	for i := range v.Data() {
		v.Data()[i] = float32(r.IntN(129)-64) / 64
	}
	return v
}

// weighted makes a scalar of y that gives every element a gradient of its own.
func weighted(g *graph.Graph, y *graph.Node, feeds map[*graph.Node]*tensor.Tensor, r *rand.Rand) *graph.Node {
	w := g.Input("weights", tensor.Float32, y.Shape...)
	feeds[w] = random(r, y.Shape...)
	return g.Apply(graph.Sum{}, g.Apply(graph.Mul{}, y, w))
}

// checkOp compares op and its gradients for random inputs of these shapes.
func checkOp(t *testing.T, r *rand.Rand, op graph.Op, shapes ...tensor.Shape) {
	t.Helper()
	g := graph.New(graph.Train)
	feeds := map[*graph.Node]*tensor.Tensor{}
	var in []*graph.Node
	for i, s := range shapes {
		n := g.Input(fmt.Sprint("in", i), tensor.Float32, s...)
		feeds[n] = random(r, s...)
		in = append(in, n)
	}
	y := g.Apply(op, in...)
	outputs := append([]*graph.Node{y}, graph.Gradients(weighted(g, y, feeds, r), in)...)
	check(t, g, feeds, outputs, 2e-6)
}

func TestConvolutions(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
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
			checkOp(t, r, c, shapes...)
		})
	}
}

// The grouped convolutions of ResNeXt: 32 groups of few channels.
func TestManyGroups(t *testing.T) {
	r := rand.New(rand.NewPCG(17, 18))
	for _, channels := range []int{4, 8} {
		for stride := 1; stride <= 2; stride++ {
			c := graph.Conv2d{StrideH: stride, StrideW: stride, PadH: 1, PadW: 1, DilationH: 1, DilationW: 1, Groups: 32}
			checkOp(t, r, c, tensor.Shape{3, 32 * channels, 5, 7}, tensor.Shape{32 * channels, channels, 3, 3})
		}
	}
}

func TestDense(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, s := range [][3]int{{1, 1, 1}, {3, 17, 10}, {33, 50, 35}, {2, 512, 10}} {
		checkOp(t, r, graph.Linear{}, tensor.Shape{s[0], s[1]}, tensor.Shape{s[2], s[1]}, tensor.Shape{s[2]})
		checkOp(t, r, graph.Softmax{}, tensor.Shape{s[0], s[1]})
		checkOp(t, r, &graph.Reshape{To: tensor.Shape{s[1], s[0]}}, tensor.Shape{s[0], s[1]})
	}
	checkOp(t, r, &graph.Reshape{To: tensor.Shape{3, 40}}, tensor.Shape{3, 5, 2, 4})
	checkOp(t, r, &graph.Reshape{To: tensor.Shape{3, 5}}, tensor.Shape{3, 5, 1, 1})
	checkOp(t, r, &graph.Reshape{To: tensor.Shape{2, 3, 4, 5}}, tensor.Shape{6, 20})
}

func TestElementwise(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for _, s := range []tensor.Shape{{1}, {7, 33}, {3, 5, 9}, {2, 35, 3, 5}, {4, 64, 24, 24}} {
		for _, op := range []graph.Op{graph.ReLU{}, graph.Sigmoid{}, graph.Tanh{}, graph.Scale{Factor: -0.75}} {
			checkOp(t, r, op, s)
		}
		checkOp(t, r, graph.Add{}, s, s)
		checkOp(t, r, graph.Mul{}, s, s)
	}
}

func TestPools(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for i := range 30 {
		n, c, h, w := 1+r.IntN(4), 1+r.IntN(40), 4+r.IntN(9), 4+r.IntN(9)
		kh, kw, sh, sw := 1+r.IntN(4), 1+r.IntN(4), 1+r.IntN(3), 1+r.IntN(3)
		ph, pw, ceil := r.IntN(kh/2+1), r.IntN(kw/2+1), i%2 == 0
		x := tensor.Shape{n, c, h, w}
		checkOp(t, r, graph.MaxPool2d{KH: kh, KW: kw, StrideH: sh, StrideW: sw, PadH: ph, PadW: pw, DilationH: 1, DilationW: 1, CeilMode: ceil}, x)
		checkOp(t, r, graph.AvgPool2d{KH: kh, KW: kw, StrideH: sh, StrideW: sw, PadH: ph, PadW: pw, CeilMode: ceil, ExcludePad: i%3 == 0, Divisor: i % 4}, x)
		checkOp(t, r, graph.AdaptiveAvgPool2d{H: 1 + r.IntN(5), W: 1 + r.IntN(5)}, x)
	}
}

func TestBatchNorm(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 10))
	for i, s := range []tensor.Shape{{5, 3}, {16, 40}, {4, 7, 9}, {3, 17, 5, 4}, {8, 64, 12, 12}, {2, 33, 1, 1}} {
		g := graph.New(graph.Train)
		feeds := map[*graph.Node]*tensor.Tensor{}
		in := func(name string, shape ...int) *graph.Node {
			n := g.Input(name, tensor.Float32, shape...)
			feeds[n] = random(r, shape...)
			return n
		}
		c := s[1]
		x, gamma, beta, res := in("x", s...), in("gamma", c), in("beta", c), in("residual", s...)
		stats := g.Apply(graph.BatchNormStats{}, x)
		running := g.Apply(graph.RunningStats{Momentum: 0.1, Row: 1, Count: s.Numel() / c}, in("running", c), stats)
		y := g.Apply(graph.BatchNorm{Eps: 1e-5}, x, stats, gamma, beta)
		if i%2 == 1 { // the residual also goes round the addition
			res = g.Apply(graph.Sigmoid{}, res)
		}
		y = y.Plus(res)
		y = g.Apply(graph.ReLU{}, y)
		frozen := g.Apply(graph.BatchNorm{Eps: 1e-5, Frozen: true}, y, g.Apply(graph.Stack{}, beta, g.Apply(graph.Mul{}, gamma, gamma)), gamma, beta)
		loss := weighted(g, frozen, feeds, r)
		outputs := append([]*graph.Node{y, stats, running, frozen}, graph.Gradients(loss, []*graph.Node{x, gamma, beta, res})...)
		// 1/sqrt(var+eps) of a frozen variance near zero magnifies: a wider bound.
		check(t, g, feeds, outputs, 5e-5, 0.1)
	}
}

func TestLossAndDropout(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	for _, s := range [][2]int{{1, 2}, {7, 10}, {64, 33}} {
		g := graph.New(graph.Train)
		z, labels := g.Input("logits", tensor.Float32, s[0], s[1]), g.Input("labels", tensor.Int64, s[0])
		ints := make([]int64, s[0])
		for i := range ints {
			ints[i] = int64(r.IntN(s[1]))
		}
		feeds := map[*graph.Node]*tensor.Tensor{z: random(r, s[0], s[1]), labels: tensor.FromInts(ints, s[0]), g.Key(): tensor.FromInts([]int64{42})}
		dropped := g.Apply(graph.Dropout{P: 0.3, Stream: g.NextStream()}, z, g.Key())
		loss := g.Apply(graph.CrossEntropy{}, dropped, labels)
		hits := g.Apply(graph.CountCorrect{}, z, labels)
		outputs := append([]*graph.Node{dropped, loss, hits}, graph.Gradients(loss, []*graph.Node{z})...)
		shares, weight := g.Input("shares", tensor.Float32, s[0], s[1]), g.Input("weight", tensor.Float32, s[1])
		feeds[shares], feeds[weight] = tensor.New(s[0], s[1]), tensor.New(s[1])
		for _, x := range []*graph.Node{shares, weight} {
			for i := range feeds[x].Data() {
				feeds[x].Data()[i] = 0.1 + r.Float32()
			}
		}
		for _, smoothing := range []float64{0, 0.1} {
			o := graph.CrossEntropy{LabelSmoothing: smoothing}
			for _, inputs := range [][]*graph.Node{{z, labels}, {z, labels, weight}, {z, shares}, {z, shares, weight}} {
				loss := g.Apply(o, inputs...)
				outputs = append(append(outputs, loss), graph.Gradients(loss, []*graph.Node{z})...)
			}
		}
		check(t, g, feeds, outputs, 2e-6)
	}
	g := graph.New(graph.Train)
	x := g.Input("images", tensor.Float32, 3, 5, 4, 6)
	feeds := map[*graph.Node]*tensor.Tensor{x: random(r, 3, 5, 4, 6), g.Key(): tensor.FromInts([]int64{7})}
	y := g.Apply(graph.Dropout{P: 0.5, Stream: 3}, x, g.Key())
	check(t, g, feeds, []*graph.Node{y}, 1e-6)
}

func TestChannelsAndStochasticDepth(t *testing.T) {
	r := rand.New(rand.NewPCG(13, 14))
	for _, s := range []tensor.Shape{{3, 5}, {2, 7, 9}, {1, 16, 3, 5}, {5, 33, 4, 4}, {70, 2, 1, 1}} {
		for _, more := range []int{0, 1, 16} {
			checkOp(t, r, graph.PadChannels{To: s[1] + more}, s)
		}
		for _, first := range []int{1, (s[1] + 1) / 2, s[1]} {
			checkOp(t, r, graph.TakeChannels{First: first}, s)
		}
	}
	for i, s := range []tensor.Shape{{9}, {7, 5}, {5, 3, 4}, {6, 33, 4, 6}, {3, 2, 2, 3, 2}} {
		for _, p := range []float64{0.5, 1} {
			g := graph.New(graph.Train)
			x := g.Input("images", tensor.Float32, s...)
			feeds := map[*graph.Node]*tensor.Tensor{x: random(r, s...), g.Key(): tensor.FromInts([]int64{int64(i)})}
			y := g.Apply(graph.StochasticDepth{P: p, Stream: g.NextStream()}, x, g.Key())
			loss := weighted(g, y, feeds, r)
			check(t, g, feeds, append([]*graph.Node{y}, graph.Gradients(loss, []*graph.Node{x})...), 1e-6)
		}
	}
}

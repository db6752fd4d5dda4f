package graph

import (
	"math"
	"reflect"
	"slices"
	"testing"

	"github.com/residual-ml/residual/tensor"
)

var nan = math.NaN()

// run computes the reference of op, and its gradient for the first input when dy
// is one for every output.
func run(op Op, inputs []tensor.Shape, values ...[]float64) (y, dx []float64) {
	g, feeds := New(Train), map[*Node][]float64{}
	nodes := make([]*Node, len(inputs))
	for i, s := range inputs {
		nodes[i] = g.Input("in", tensor.Float32, s...)
		feeds[nodes[i]] = values[i]
	}
	n := g.Apply(op, nodes...)
	grads := Gradients(g.Apply(Sum{}, n), nodes[:1])
	got := Reference([]*Node{n, grads[0]}, feeds)
	return got[0], got[1]
}

// same compares exactly, with NaN equal to NaN.
func same(a, b []float64) bool {
	return slices.EqualFunc(a, b, func(x, y float64) bool { return x == y || x != x && y != y })
}

func want(t *testing.T, what string, got, want []float64) {
	t.Helper()
	if !same(got, want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func TestReLUAtZeroAndNaN(t *testing.T) {
	y, dx := run(ReLU{}, shapes{{5}}, []float64{-1, 0, math.Copysign(0, -1), 2, nan})
	want(t, "ReLU", y, []float64{0, 0, 0, 2, nan})
	want(t, "gradient of ReLU", dx, []float64{0, 0, 0, 1, 1})
}

func TestSigmoidFarFromZero(t *testing.T) {
	y, dx := run(Sigmoid{}, shapes{{2}}, []float64{-1e4, 1e4})
	want(t, "sigmoid", y, []float64{0, 1})
	want(t, "gradient of sigmoid", dx, []float64{0, 0})
}

func TestMaxPoolTies(t *testing.T) {
	y, dx := run(pool2x2, shapes{{1, 1, 2, 6}}, []float64{
		1, 3, 5, 5, 0, 0,
		3, 2, 5, 5, 0, 0,
	})
	want(t, "max", y, []float64{3, 5, 0})
	want(t, "gradient goes to the first maximum", dx, []float64{
		0, 1, 1, 0, 1, 0,
		0, 0, 0, 0, 0, 0,
	})
}

func TestMaxPoolOverlapAddsGradients(t *testing.T) {
	o := MaxPool2d{KH: 1, KW: 3, StrideH: 1, StrideW: 1, PadW: 1, DilationH: 1, DilationW: 1}
	y, dx := run(o, shapes{{1, 1, 1, 4}}, []float64{-4, -1, -3, -2})
	want(t, "padding never wins", y, []float64{-1, -1, -1, -2})
	want(t, "gradient", dx, []float64{0, 3, 0, 1})
}

func TestMaxPoolNaNAndInfinity(t *testing.T) {
	inf := math.Inf(1)
	y, dx := run(pool2x2, shapes{{1, 1, 2, 8}}, []float64{
		1, nan, nan, inf, -inf, -inf, nan, nan,
		2, 3, nan, 1, -inf, -inf, nan, nan,
	})
	want(t, "max", y, []float64{nan, nan, -inf, nan})
	want(t, "gradient goes to the first NaN", dx, []float64{
		0, 1, 1, 0, 1, 0, 1, 0,
		0, 0, 0, 0, 0, 0, 0, 0,
	})
}

func TestAvgPoolDivisors(t *testing.T) {
	// windows of 2 from -1, 1 and 3 over a row of 4 in padding 1; only the middle one lies inside
	o := AvgPool2d{KH: 1, KW: 2, StrideH: 1, StrideW: 2, PadW: 1}
	x := []float64{1, 2, 4, 8}
	y, _ := run(o, shapes{{1, 1, 1, 4}}, x)
	want(t, "padding counted", y, []float64{0.5, 3, 4})
	o.ExcludePad = true
	y, dx := run(o, shapes{{1, 1, 1, 4}}, x)
	want(t, "padding not counted", y, []float64{1, 3, 8})
	want(t, "gradient", dx, []float64{1, 0.5, 0.5, 1})
	o.Divisor = 4
	y, _ = run(o, shapes{{1, 1, 1, 4}}, x)
	want(t, "divisor 4", y, []float64{0.25, 1.5, 2})
	// in ceil mode a window extends beyond the end; only its part in the padded image counts
	ceil := AvgPool2d{KH: 1, KW: 2, StrideH: 1, StrideW: 2, CeilMode: true}
	y, _ = run(ceil, shapes{{1, 1, 1, 3}}, x[:3])
	want(t, "ceil mode", y, []float64{1.5, 4})
}

func TestCrossEntropyLabels(t *testing.T) {
	logits := []float64{1000, 1000, -1000, 0, 0, 0}
	y, dz := run(CrossEntropy{}, shapes{{2, 3}, {2}}, logits, []float64{0, 2})
	if w := (math.Log(2) + math.Log(3)) / 2; math.Abs(y[0]-w) > 1e-12 {
		t.Errorf("loss %v, want %v", y[0], w)
	}
	for i, w := range []float64{-0.25, 0.25, 0, 1. / 6, 1. / 6, -1. / 3} {
		if math.Abs(dz[i]-w) > 1e-12 {
			t.Errorf("gradient %d is %v, want %v", i, dz[i], w)
		}
	}
	for _, bad := range []float64{-1, 3, 1.5, nan} {
		wantPanic(t, func() { run(CrossEntropy{}, shapes{{2, 3}, {2}}, logits, []float64{0, bad}) },
			"CrossEntropy", "row 1", "3 classes")
	}
	loss, dz := run(CrossEntropy{}, shapes{{1, 1}, {1}}, []float64{7}, []float64{0})
	want(t, "loss of one class", append(loss, dz...), []float64{0, 0})
}

func TestCountCorrect(t *testing.T) {
	logits := []float64{
		1, 2, 2, // the first of the two
		1, 2, 2,
		nan, 5, 1, // NaN is the largest
		1, nan, nan,
		3, 2, 1,
		3, 2, 1, // no such class
	}
	y, dz := run(CountCorrect{}, shapes{{6, 3}, {6}}, logits, []float64{1, 2, 0, 1, 1, 3})
	want(t, "rows correct", y, []float64{3})
	want(t, "gradient", dz, make([]float64, 18))
}

func TestDropout(t *testing.T) {
	const size = 20000
	x := slices.Repeat([]float64{3}, size)
	in := shapes{{size}, {}}
	for _, p := range []float64{0, 0.1, 0.5, 0.9, 1} {
		y, dx := run(Dropout{P: p, Stream: 1}, in, x, []float64{5})
		zeros := 0
		for i, v := range y {
			if v == 0 {
				zeros++
			} else if math.Abs(v-3/(1-p)) > 1e-12 {
				t.Fatalf("P %v: kept value is %v", p, v)
			}
			if math.Abs(dx[i]*3-v) > 1e-12 {
				t.Fatalf("P %v: the gradient has another mask at %d", p, i)
			}
		}
		// five standard deviations; none at 0 and 1
		if off := math.Abs(float64(zeros) - p*size); off > 5*math.Sqrt(p*(1-p)*size) {
			t.Errorf("P %v: %d of %d are zero", p, zeros, size)
		}
	}
}

// Of every example either all elements are retained or none, with probability 1-P, and the
// gradient has the same mask.
func TestStochasticDepth(t *testing.T) {
	const rows, size = 8000, 3
	x := slices.Repeat([]float64{3, -1, 2}, rows)
	for _, p := range []float64{0, 0.1, 0.5, 0.9, 1} {
		y, dx := run(StochasticDepth{P: p, Stream: 1}, shapes{{rows, size, 1}, {}}, x, []float64{5})
		dropped, sum := 0, 0.0
		for i := range rows {
			keep := DropoutKeep(5, 1, uint64(i), p)
			if !keep {
				dropped++
			}
			for j := i * size; j < (i+1)*size; j++ {
				factor := 0.0
				if keep {
					factor = 1 / (1 - p)
				}
				if math.Abs(y[j]-x[j]*factor) > 1e-12 || math.Abs(dx[j]-factor) > 1e-12 {
					t.Fatalf("P %v: element %d of example %d is %v of %v with gradient %v, want a factor of %v", p, j-i*size, i, y[j], x[j], dx[j], factor)
				}
			}
			sum += y[i*size]
		}
		// five standard deviations; none at 0 and 1
		std := math.Sqrt(p * (1 - p) * rows)
		if off := math.Abs(float64(dropped) - p*rows); off > 5*std {
			t.Errorf("P %v: %d of %d examples are dropped", p, dropped, rows)
		}
		if mean := sum / rows; p < 1 && math.Abs(mean-3) > 5*std*3/(1-p)/rows+1e-9 {
			t.Errorf("P %v: the mean of 3 became %v", p, mean)
		}
	}
}

func TestDropoutMasksDiffer(t *testing.T) {
	const size, p = 4096, 0.5
	type seed struct {
		key    int64
		stream int
	}
	seeds := []seed{{0, 1}, {0, 2}, {1, 1}, {1, 0}, {2, 0}, {-1, 1}, {1 << 40, 1}}
	for i, a := range seeds {
		for _, b := range seeds[:i] {
			agree := 0
			for j := range uint64(size) {
				if DropoutKeep(a.key, a.stream, j, p) == DropoutKeep(b.key, b.stream, j, p) {
					agree++
				}
			}
			if agree < size/2-5*32 || agree > size/2+5*32 { // the std is √4096/2 = 32
				t.Errorf("masks of %v and %v agree on %d of %d", a, b, agree, size)
			}
		}
	}
}

// The masks must not change, so that a seed gives the same run in every later version.
func TestDropoutMaskIsFixed(t *testing.T) {
	var bits uint32
	for i := range uint64(32) {
		if DropoutKeep(3, 1, i, 0.5) {
			bits |= 1 << i
		}
	}
	if bits != 0xc3837db2 {
		t.Errorf("mask is %#08x", bits)
	}
}

func TestRunningStats(t *testing.T) {
	stats := []float64{1, 2, 4, 8}
	y, dx := run(RunningStats{Momentum: 0.25, Row: 0, Count: 1}, shapes{{2}, {2, 2}}, []float64{5, 10}, stats)
	want(t, "mean", y, []float64{4, 8})
	want(t, "gradient", dx, []float64{0, 0})
	y, _ = run(RunningStats{Momentum: 0.25, Row: 1, Count: 5}, shapes{{2}, {2, 2}}, []float64{4, 8}, stats)
	want(t, "unbiased variance", y, []float64{4.25, 8.5})
}

func TestReferenceOfVariablesAndLabels(t *testing.T) {
	g := New(Eval)
	v := g.Variable(&Variable{Value: tensor.FromSlice([]float32{1.5, -2}, 2)})
	labels := g.Variable(&Variable{Value: tensor.FromInts([]int64{7, -1}, 2)})
	got := Reference([]*Node{v, labels, g.Apply(Scale{2}, v)}, map[*Node][]float64{})
	want(t, "variable", got[0], []float64{1.5, -2})
	want(t, "Int64 variable", got[1], []float64{7, -1})
	want(t, "scaled", got[2], []float64{3, -4})
	got = Reference([]*Node{g.Apply(Scale{2}, v)}, map[*Node][]float64{v: {10, 20}})
	want(t, "overridden variable", got[0], []float64{20, 40})
	wantPanic(t, func() { Reference([]*Node{v}, map[*Node][]float64{v: {1}}) }, "graph.Reference", "[2]")
	wantPanic(t, func() { Reference([]*Node{g.Input("images", tensor.Float32, 2)}, nil) }, "not fed: images")
}

// pointed is an operation whose methods have pointer receivers, so that only a pointer to it is an operation.
type pointed struct{ Scale }

func (*pointed) Name() string { return "Pointed" }

// T{} and &T{} are the same operation; a node holds the value.
func TestOperationsAndPointersToThem(t *testing.T) {
	g := New(Eval)
	x := g.Input("x", tensor.Float32, 2, 3)
	for _, op := range []Op{Scale{2}, &Scale{2}, &Reshape{tensor.Shape{6}}, &Reduce{Total, []int{1}}, &Transpose{[]int{1, 0}}, &Unary{Function: Exp}} {
		n := g.Apply(op, x)
		if kind := reflect.TypeOf(n.Op).Kind(); kind != reflect.Struct {
			t.Errorf("%T became %T", op, n.Op)
		}
		n.Op.Reference(n, make([]float64, n.Shape.Numel()), [][]float64{make([]float64, 6)})
	}
	own := &pointed{Scale{3}}
	if n := g.Apply(own, x); n.Op != Op(own) {
		t.Errorf("%T became %T", own, n.Op)
	}
}

func TestMultiplyAddsOfMatrices(t *testing.T) {
	g := New(Eval)
	n := g.Input("a", tensor.Float32, 2, 1, 3, 4).MatMul(g.Input("b", tensor.Float32, 5, 4, 6))
	if got := MACs(n); got != 2*5*3*4*6 {
		t.Errorf("%v has %d multiply-adds", n, got)
	}
}

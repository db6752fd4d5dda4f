package graph

import (
	"fmt"
	"strings"
	"testing"

	"github.com/residual-ml/residual/tensor"
)

// scalarAt makes an input of shape [1] and its feed.
func scalarAt(g *Graph, feeds map[*Node][]float64, v float64) *Node {
	n := g.Input("x", tensor.Float32, 1)
	feeds[n] = []float64{v}
	return n
}

func TestGradientOfSharedSubexpression(t *testing.T) {
	g, feeds := New(Train), map[*Node][]float64{}
	x := scalarAt(g, feeds, 3)
	square := g.Apply(Mul{}, x, x)
	fourth := g.Apply(Mul{}, square, square)
	loss := fourth.Add(square).Add(x) // x⁴ + x² + x
	got := Reference(Gradients(loss, []*Node{x, square, fourth, loss}), feeds)
	for i, want := range []float64{4*27 + 2*3 + 1, 2*9 + 1, 1, 1} {
		if got[i][0] != want {
			t.Errorf("gradient %d is %v, want %v", i, got[i][0], want)
		}
	}
}

func TestGradientOfForkAndJoin(t *testing.T) {
	tr := newTrial(5)
	g, x := tr.g, tr.distinct(2, 3, 4, 4)
	conv := Conv2d{StrideH: 1, StrideW: 1, PadH: 1, PadW: 1, DilationH: 1, DilationW: 1, Groups: 1}
	branch := g.Apply(ReLU{}, g.Apply(conv, x, tr.normal(3, 3, 3, 3)))
	branch = g.Apply(conv, branch, tr.normal(3, 3, 3, 3), tr.normal(3))
	shortcut := g.Apply(Conv2d{StrideH: 1, StrideW: 1, DilationH: 1, DilationW: 1, Groups: 1}, x, tr.normal(3, 3, 1, 1))
	y := g.Apply(ReLU{}, branch.Add(shortcut).Add(x))
	if err, where := tr.worst(y); !(err < 1e-6) {
		t.Errorf("relative error %.2g at %s", err, where)
	}
}

func TestGradientThroughConvolutionAndBatchNorm(t *testing.T) {
	tr := newTrial(6)
	g, x := tr.g, tr.normal(2, 2, 5, 5)
	conv := Conv2d{StrideH: 2, StrideW: 2, PadH: 1, PadW: 1, DilationH: 1, DilationW: 1, Groups: 1}
	h := g.Apply(conv, x, tr.normal(3, 2, 3, 3))
	h = g.Apply(BatchNorm{Eps: 1e-5}, h, g.Apply(BatchNormStats{}, h), tr.normal(3), tr.normal(3))
	h = g.Apply(AdaptiveAvgPool2d{1, 1}, g.Apply(Sigmoid{}, h))
	h = g.Apply(Linear{}, g.Apply(Reshape{tensor.Shape{2, 3}}, h), tr.normal(4, 3), tr.normal(4))
	if err, where := tr.worst(g.Apply(CrossEntropy{}, h, tr.labels(2, 4))); !(err < 1e-6) {
		t.Errorf("relative error %.2g at %s", err, where)
	}
}

func TestGradientOfUnusedVariableIsZero(t *testing.T) {
	g := New(Train)
	used := g.Variable(&Variable{Value: tensor.New(2).Fill(3), Trainable: true})
	unused := g.Variable(&Variable{Value: tensor.New(2, 3).Fill(5), Trainable: true})
	loss := g.Apply(Sum{}, used)
	after := g.Apply(Scale{2}, loss) // depends on loss, not loss on it
	grads := Gradients(loss, []*Node{unused, used, after})
	got := Reference(grads, nil)
	if !grads[0].Shape.Equal(unused.Shape) || got[0][0] != 0 || got[0][5] != 0 {
		t.Errorf("gradient of an unused variable is %v %v", grads[0].Shape, got[0])
	}
	if got[1][0] != 1 || got[1][1] != 1 || got[2][0] != 0 {
		t.Errorf("gradients %v and %v, want ones and zero", got[1], got[2])
	}
}

func TestGradientsMakeNoUnusedNodes(t *testing.T) {
	tr := newTrial(8)
	g := tr.g
	x, w, other := tr.normal(2, 3, 5, 5), tr.normal(4, 3, 3, 3), tr.normal(2, 4, 3, 3)
	conv := Conv2d{StrideH: 1, StrideW: 1, DilationH: 1, DilationW: 1, Groups: 1}
	h := g.Apply(conv, x, w)
	h = g.Apply(BatchNorm{}, h, g.Apply(BatchNormStats{}, h), tr.normal(4), tr.normal(4))
	loss := g.Apply(Sum{}, g.Apply(Mul{}, h, g.Apply(Tanh{}, other)))
	forward := len(g.Nodes)
	grads := Gradients(loss, []*Node{w})

	used := map[*Node]bool{grads[0]: true}
	for id := len(g.Nodes) - 1; id >= 0; id-- {
		n := g.Nodes[id]
		if n.ID != id {
			t.Fatalf("node %v is at position %d", n, id)
		}
		if id >= forward && !used[n] {
			t.Errorf("%v serves no gradient", n)
		}
		for _, in := range n.Inputs {
			if in.ID >= id {
				t.Errorf("%v comes before its input %v", n, in)
			}
			used[in] = used[in] || used[n]
		}
	}
	if names := opNames(g.Nodes[forward:]); strings.Contains(names, "GradInput") || strings.Contains(names, "Row") {
		t.Errorf("gradients of the images or of gamma were built: %s", names)
	}
}

func opNames(nodes []*Node) string {
	var names []string
	for _, n := range nodes {
		names = append(names, n.Op.Name())
	}
	return strings.Join(names, " ")
}

// Differentiating by the input of a gradient stops there: the nodes before it are not asked for
// their gradients, which would panic for a ReLUGrad.
func TestGradientStopsAtTheNodesAskedFor(t *testing.T) {
	tr := newTrial(9)
	x := tr.distinct(4)
	y := tr.g.Apply(ReLU{}, x)
	first := tr.g.Apply(ReLUGrad{}, x, y)
	got := Reference(Gradients(tr.g.Apply(Sum{}, tr.g.Apply(Scale{3}, first)), []*Node{first}), tr.feeds)
	if got[0][0] != 3 {
		t.Errorf("gradient %v, want 3", got[0])
	}
}

func TestGradientsRequireAScalar(t *testing.T) {
	tr := newTrial(10)
	wantPanic(t, func() { Gradients(tr.normal(2, 3), nil) }, "graph.Gradients", "[2, 3]", "scalar")
}

// narrow is an operation whose gradient has the wrong shape.
type narrow struct{ Scale }

func (narrow) Name() string                 { return "narrow" }
func (narrow) Gradient(n, dy *Node) []*Node { return []*Node{n.Graph.Constant(1, 1)} }

func TestGradientOfWrongShapePanics(t *testing.T) {
	tr := newTrial(11)
	x := tr.normal(2, 3)
	loss := tr.g.Apply(Sum{}, tr.g.Apply(narrow{}, x))
	wantPanic(t, func() { Gradients(loss, []*Node{x}) }, "narrow", "[2, 3]", "[1]")
}

func TestNoSecondDerivatives(t *testing.T) {
	for name, build := range trials {
		tr := newTrial(3)
		y := build(tr)
		loss := tr.g.Apply(Sum{}, tr.g.Apply(Mul{}, y, y))
		Gradients(loss, tr.free)
		for _, n := range tr.g.Nodes[loss.ID:] {
			op := n.Op.Name()
			if strings.Contains(op, "Grad") || op == "BatchNormReduce" || op == "SumChannels" {
				wantPanic(t, func() { n.Op.Gradient(n, n) }, op, "second derivatives are not supported")
			} else if n.Op.Gradient(n, n) == nil && len(n.Inputs) > 0 {
				t.Errorf("%s: %s silently has no gradient", name, op)
			}
		}
	}
	g := New(Train)
	stats := g.Apply(BatchNormStats{}, g.Constant(1, 2, 3))
	wantPanic(t, func() { stats.Op.Gradient(stats, stats) }, "BatchNormStats", "only as part of BatchNorm")
}

// wantPanic runs f and checks that it panics with a message holding all words.
func wantPanic(t *testing.T, f func(), words ...string) {
	t.Helper()
	defer func() {
		t.Helper()
		message := fmt.Sprint(tensor.Recovered(recover()))
		for _, w := range words {
			if !strings.Contains(message, w) {
				t.Errorf("panic %q does not say %q", message, w)
			}
		}
	}()
	f()
}

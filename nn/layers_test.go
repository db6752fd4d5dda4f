package nn_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/tensor"
)

// output returns the node of m's output for an input of the given shape.
func output(mode graph.Mode, m nn.Module, shape ...int) *graph.Node {
	return m.Forward(graph.New(mode).Input("x", tensor.Float32, shape...))
}

// mustPanic runs f and checks that it panics with a text that contains all of wants.
func mustPanic(t *testing.T, what string, f func(), wants ...string) {
	t.Helper()
	defer func() {
		t.Helper()
		got := tensor.Recovered(recover())
		if got == nil {
			t.Errorf("%s: no panic", what)
			return
		}
		for _, w := range wants {
			if !strings.Contains(fmt.Sprint(got), w) {
				t.Errorf("%s: the panic %q does not say %q", what, got, w)
			}
		}
	}()
	f()
}

// The two blocks of "Dive into Deep Learning", section 8.6.
func TestResidualShapes(t *testing.T) {
	for _, c := range []struct {
		block *nn.Residual
		want  tensor.Shape
	}{
		{nn.NewResidual(3, 3), tensor.Shape{4, 3, 6, 6}},
		{nn.NewResidual(3, 6, nn.Block{Use1x1Conv: true, Stride: 2}), tensor.Shape{4, 6, 3, 3}},
	} {
		y := output(graph.Train, c.block, 4, 3, 6, 6)
		if !y.Shape.Equal(c.want) {
			t.Errorf("%v gives %v, want %v", c.block, y.Shape, c.want)
		}
		out := graph.Reference([]*graph.Node{y}, map[*graph.Node][]float64{y.Graph.Nodes[0]: ramp(4 * 3 * 6 * 6)})[0]
		positive := 0
		for _, v := range out {
			if v < 0 || math.IsNaN(v) {
				t.Fatalf("%v: %v after a ReLU", c.block, v)
			}
			if v > 0 {
				positive++
			}
		}
		if positive < len(out)/10 {
			t.Errorf("%v: only %d of %d outputs are positive", c.block, positive, len(out))
		}
	}
	mustPanic(t, "channels change without a 1x1 convolution",
		func() { output(graph.Eval, nn.NewResidual(3, 6), 4, 3, 6, 6) }, "Residual(3, 6", "[4, 6, 6, 6]", "[4, 3, 6, 6]", "Use1x1Conv")
}

func ramp(n int) []float64 {
	x := make([]float64, n)
	for i := range x {
		x[i] = math.Sin(float64(i * i))
	}
	return x
}

func TestStages(t *testing.T) {
	first := nn.Sequential(nn.ResnetBlock(64, 64, 2, true))
	if y := output(graph.Eval, first, 1, 64, 56, 56); !y.Shape.Equal(tensor.Shape{1, 64, 56, 56}) || first[0].(*nn.Residual).Conv3 != nil {
		t.Errorf("the first stage gives %v", y.Shape)
	}
	later := nn.Sequential(nn.ResnetBlock(64, 128, 3, false))
	if y := output(graph.Eval, later, 1, 64, 56, 56); !y.Shape.Equal(tensor.Shape{1, 128, 28, 28}) || len(later) != 3 {
		t.Errorf("%d blocks give %v", len(later), y.Shape)
	}
	mustPanic(t, "a first stage that changes channels", func() { nn.ResnetBlock(3, 64, 2, true) }, "(3, 64, 2, true)")
}

// Output shapes as PyTorch documents them.
func TestLayerShapes(t *testing.T) {
	image := tensor.Shape{2, 4, 11, 14}
	for _, c := range []struct {
		layer nn.Module
		in    tensor.Shape
		want  tensor.Shape
		text  string
	}{
		{nn.NewConv2d(4, 6, 3), image, tensor.Shape{2, 6, 9, 12}, "Conv2d(4, 6, kernel_size=(3, 3), stride=(1, 1))"},
		{nn.NewConv2d(4, 6, 3, nn.Conv{Stride: 2, Padding: 1, Dilation: 2, Groups: 2, NoBias: true}), image, tensor.Shape{2, 6, 5, 6},
			"Conv2d(4, 6, kernel_size=(3, 3), stride=(2, 2), padding=(1, 1), dilation=(2, 2), groups=2, bias=False)"},
		{nn.NewConv2d(4, 6, 1, nn.Conv{Width: &nn.Axis{Kernel: 7, Padding: 3, Stride: 2}}), image, tensor.Shape{2, 6, 11, 7},
			"Conv2d(4, 6, kernel_size=(1, 7), stride=(1, 2), padding=(0, 3))"},
		{nn.MaxPool2d{Kernel: 2}, image, tensor.Shape{2, 4, 5, 7}, "MaxPool2d(kernel_size=(2, 2), stride=(2, 2), padding=(0, 0))"},
		{nn.MaxPool2d{Kernel: 2, CeilMode: true}, image, tensor.Shape{2, 4, 6, 7}, "MaxPool2d(kernel_size=(2, 2), stride=(2, 2), padding=(0, 0), ceil_mode=True)"},
		{nn.MaxPool2d{Kernel: 3, Stride: 1, Padding: 1, Dilation: 2}, image, tensor.Shape{2, 4, 9, 12}, "MaxPool2d(kernel_size=(3, 3), stride=(1, 1), padding=(1, 1), dilation=(2, 2))"},
		{nn.MaxPool2d{Kernel: 3, Width: &nn.Axis{Kernel: 1}}, image, tensor.Shape{2, 4, 3, 14}, "MaxPool2d(kernel_size=(3, 1), stride=(3, 1), padding=(0, 0))"},
		{nn.AvgPool2d{Kernel: 3, Stride: 2, Padding: 1, ExcludePad: true}, image, tensor.Shape{2, 4, 6, 7}, "AvgPool2d(kernel_size=(3, 3), stride=(2, 2), padding=(1, 1))"},
		{nn.AdaptiveAvgPool2d{}, image, tensor.Shape{2, 4, 1, 1}, "AdaptiveAvgPool2d(output_size=(1, 1))"},
		{nn.AdaptiveAvgPool2d{H: 3, W: 5}, image, tensor.Shape{2, 4, 3, 5}, "AdaptiveAvgPool2d(output_size=(3, 5))"},
		{nn.Flatten{}, image, tensor.Shape{2, 4 * 11 * 14}, "Flatten()"},
		{nn.Identity{}, image, image, "Identity()"},
		{nn.ReLU{}, image, image, "ReLU()"},
		{nn.Sigmoid{}, image, image, "Sigmoid()"},
		{nn.Tanh{}, image, image, "Tanh()"},
		{nn.Dropout{}, image, image, "Dropout(p=0.5)"},
		{nn.PadChannels{To: 7}, tensor.Shape{2, 4, 3, 3}, tensor.Shape{2, 7, 3, 3}, "PadChannels(7)"},
		{nn.StochasticDepth{P: 0.2}, image, image, "StochasticDepth(p=0.2, mode=row)"},
		{nn.NewBatchNorm2d(4), image, image, "BatchNorm2d(4, eps=1e-05, momentum=0.1)"},
		{nn.NewBatchNorm1d(4, nn.Norm{Eps: 1e-3, Momentum: 0.2, NoAffine: true}), tensor.Shape{5, 4}, tensor.Shape{5, 4}, "BatchNorm1d(4, eps=0.001, momentum=0.2, affine=False)"},
		{nn.NewBatchNorm1d(4), tensor.Shape{5, 4, 3}, tensor.Shape{5, 4, 3}, "BatchNorm1d(4, eps=1e-05, momentum=0.1)"},
		{nn.NewLinear(4, 3), tensor.Shape{5, 4}, tensor.Shape{5, 3}, "Linear(in_features=4, out_features=3)"},
		{nn.NewLinear(4, 3, nn.Dense{NoBias: true}), tensor.Shape{5, 4}, tensor.Shape{5, 3}, "Linear(in_features=4, out_features=3, bias=False)"},
		{nn.Softmax{}, tensor.Shape{5, 4}, tensor.Shape{5, 4}, "Softmax(dim=-1)"},
	} {
		for _, mode := range []graph.Mode{graph.Eval, graph.Train} {
			y := output(mode, c.layer, c.in...)
			if !y.Shape.Equal(c.want) {
				t.Errorf("%v in %v: %v -> %v, want %v", c.layer, mode, c.in, y.Shape, c.want)
			}
			if calls := y.Graph.Calls; len(calls) != 1 || calls[0].Output != y {
				t.Errorf("%v in %v: recorded %v", c.layer, mode, calls)
			}
		}
		if got := fmt.Sprint(c.layer); got != c.text {
			t.Errorf("String() = %q, want %q", got, c.text)
		}
	}
}

func TestShapeErrorsNameLayerAndShapes(t *testing.T) {
	net := nn.Sequential{nn.NewConv2d(3, 8, 3), nn.Flatten{}, nn.NewLinear(8, 2)}
	nn.Named(net)
	for _, c := range []struct {
		what  string
		f     func()
		wants []string
	}{
		{"channels", func() { output(0, net, 1, 1, 28, 28) }, []string{"Conv2d(3, 8", "0.weight", "[1, 1, 28, 28]", "needs 3"}},
		{"rank", func() { output(0, net, 3, 28, 28) }, []string{"Conv2d(3, 8", "[3, 28, 28]", "[N, 3, H, W]"}},
		{"features", func() { output(0, net, 1, 3, 4, 4) }, []string{"Linear(in_features=8", "2.weight", "[1, 32]", "[N, 8]"}},
		{"batch norm rank", func() { output(0, nn.NewBatchNorm2d(3), 1, 3) }, []string{"BatchNorm2d(3", "[1, 3]", "[N, 3, H, W]"}},
		{"batch norm channels", func() { output(0, nn.NewBatchNorm1d(3), 2, 4) }, []string{"BatchNorm1d(3", "[2, 4]", "needs 3"}},
		{"one value per channel", func() { output(graph.Train, nn.NewBatchNorm1d(3), 1, 3) }, []string{"BatchNorm1d(3", "[1, 3]", "more than one value"}},
		{"flatten", func() { output(0, nn.Flatten{}, 3) }, []string{"Flatten()", "[3]"}},
		{"no kernel", func() { output(0, nn.MaxPool2d{}, 1, 3, 4, 4) }, []string{"MaxPool2d", "Kernel"}},
		{"dropout", func() { output(0, nn.Dropout{P: 1.5}, 1, 3) }, []string{"Dropout(p=1.5)"}},
		{"stochastic depth", func() { output(0, nn.StochasticDepth{P: -0.5}, 1, 3) }, []string{"StochasticDepth(p=-0.5"}},
		{"pad channels", func() { output(0, nn.PadChannels{To: 2}, 1, 3, 4, 4) }, []string{"PadChannels", "2 channels"}},
		{"dilated average", func() { output(0, nn.AvgPool2d{Kernel: 2, Width: &nn.Axis{Kernel: 2, Dilation: 2}}, 1, 3, 4, 4) }, []string{"AvgPool2d", "dilation"}},
		{"batch norm 1d rank", func() { output(0, nn.NewBatchNorm1d(3), 1, 3, 4, 4) }, []string{"BatchNorm1d(3", "[N, 3] or [N, 3, L]"}},
		{"groups", func() { nn.NewConv2d(3, 8, 3, nn.Conv{Groups: 2}) }, []string{"NewConv2d(3, 8, 3"}},
		{"linear sizes", func() { nn.NewLinear(0, 8) }, []string{"NewLinear(0, 8)"}},
		{"momentum", func() { nn.NewBatchNorm2d(3, nn.Norm{Momentum: 2}) }, []string{"NewBatchNorm2d(3"}},
		{"two configurations", func() { nn.NewConv2d(3, 8, 3, nn.Conv{}, nn.Conv{}) }, []string{"NewConv2d", "at most one"}},
		{"labels", func() {
			g := graph.New(graph.Train)
			nn.CrossEntropyLoss{}.Forward(g.Input("x", tensor.Float32, 4, 10), g.Input("labels", tensor.Int64, 3))
		}, []string{"CrossEntropyLoss", "[4, 10]", "[3]"}},
		{"soft labels", func() {
			g := graph.New(graph.Train)
			nn.CrossEntropyLoss{}.Forward(g.Input("x", tensor.Float32, 4, 10), g.Input("soft labels", tensor.Float32, 4, 9))
		}, []string{"CrossEntropyLoss", "[4, 10]", "[4, 9]"}},
		{"class weights", func() {
			g := graph.New(graph.Train)
			loss := nn.CrossEntropyLoss{LabelSmoothing: 0.1, Weight: &graph.Variable{Value: tensor.New(9)}}
			loss.Forward(g.Input("x", tensor.Float32, 4, 10), g.Input("labels", tensor.Int64, 4))
		}, []string{"CrossEntropyLoss(weighted, label_smoothing=0.1)", "[9]", "10 classes"}},
	} {
		mustPanic(t, c.what, c.f, c.wants...)
	}
}

func TestBatchNormModes(t *testing.T) {
	bn := nn.NewBatchNorm1d(2)
	copy(bn.RunningMean.Value.Data(), []float32{10, -10})
	copy(bn.RunningVar.Value.Data(), []float32{4, 9})
	batch := []float64{1, 10, 2, 20, 3, 30, 6, 60} // means 3 and 30; unbiased variances 14/3 and 1400/3

	y := output(graph.Eval, bn, 4, 2)
	got := graph.Reference([]*graph.Node{y}, map[*graph.Node][]float64{y.Graph.Nodes[0]: batch})[0]
	if want := (1 - 10) / math.Sqrt(4+1e-5); math.Abs(got[0]-want) > 1e-12 {
		t.Errorf("evaluation gives %v, want %v by the running statistics", got[0], want)
	}
	if len(y.Graph.Assignments) != 0 {
		t.Error("evaluation changes the running statistics")
	}

	y = output(graph.Train, bn, 4, 2)
	a := y.Graph.Assignments
	if len(a) != 2 || a[0].Variable != bn.RunningMean || a[1].Variable != bn.RunningVar {
		t.Fatalf("training assigns %v", a)
	}
	out := graph.Reference([]*graph.Node{y, a[0].Value, a[1].Value}, map[*graph.Node][]float64{y.Graph.Nodes[0]: batch})
	for i, want := range []float64{-2 / math.Sqrt(3.5+1e-5), 0.9*10 + 0.1*3, 0.9*4 + 0.1*14./3} {
		if math.Abs(out[i][0]-want) > 1e-12 {
			t.Errorf("training: number %d is %v, want %v", i, out[i][0], want)
		}
	}
}

func TestBatchNormUsedTwiceMovesTwice(t *testing.T) {
	bn := nn.NewBatchNorm1d(1)
	g := graph.New(graph.Train)
	a, b := g.Input("a", tensor.Float32, 2, 1), g.Input("b", tensor.Float32, 2, 1)
	bn.Forward(a)
	bn.Forward(b)
	var last *graph.Node
	for _, s := range g.Assignments {
		if s.Variable == bn.RunningMean {
			last = s.Value
		}
	}
	got := graph.Reference([]*graph.Node{last}, map[*graph.Node][]float64{a: {9, 11}, b: {19, 21}})[0][0]
	if want := 0.9*(0.1*10) + 0.1*20; math.Abs(got-want) > 1e-12 {
		t.Errorf("the running mean is %v after both, want %v", got, want)
	}
}

func TestDropoutModes(t *testing.T) {
	net := nn.Sequential{nn.Dropout{P: 0.25}, nn.Dropout{P: 0.25}}
	y := output(graph.Eval, net, 2, 3)
	if y != y.Graph.Nodes[0] {
		t.Errorf("evaluation gives %v, want the input itself", y)
	}
	y = output(graph.Train, net, 2, 3)
	first, second := y.Inputs[0].Op.(graph.Dropout), y.Op.(graph.Dropout)
	if first.P != 0.25 || first.Stream == second.Stream {
		t.Errorf("two dropouts are %+v and %+v: one stream, or a wrong P", first, second)
	}
}

func TestStochasticDepthModes(t *testing.T) {
	net := nn.Sequential{nn.StochasticDepth{P: 0.25}, nn.StochasticDepth{P: 0.25}, nn.StochasticDepth{}}
	y := output(graph.Eval, net, 2, 3)
	if y != y.Graph.Nodes[0] {
		t.Errorf("evaluation gives %v, want the input itself", y)
	}
	y = output(graph.Train, net, 2, 3) // the last one drops nothing and adds nothing
	first, second := y.Inputs[0].Op.(graph.StochasticDepth), y.Op.(graph.StochasticDepth)
	if first.P != 0.25 || second.P != 0.25 || first.Stream == second.Stream {
		t.Errorf("two branches are %+v and %+v: one stream, or a wrong P", first, second)
	}
	b := nn.NewResidual(3, 3, nn.Block{StochasticDepth: 0.5})
	count := func(mode graph.Mode) (n int) {
		for _, node := range output(mode, b, 2, 3, 4, 4).Graph.Nodes {
			if _, ok := node.Op.(graph.StochasticDepth); ok {
				n++
			}
		}
		return n
	}
	if train, eval := count(graph.Train), count(graph.Eval); train != 1 || eval != 0 {
		t.Errorf("a block drops its branch %d times in training and %d in evaluation", train, eval)
	}
}

// With every scheme a layer with ZeroInit starts at zero, and Zero lasts until the next Init.
func TestZeroInitSurvivesInit(t *testing.T) {
	zero := func(v *nn.Parameter) bool {
		return !slices.ContainsFunc(v.Value.Data(), func(x float32) bool { return x != 0 })
	}
	conv, bn := nn.NewConv2d(2, 3, 3, nn.Conv{ZeroInit: true}), nn.NewBatchNorm2d(3, nn.Norm{ZeroInit: true})
	other, plain := nn.NewConv2d(2, 3, 3), nn.NewBatchNorm2d(3)
	for _, s := range []nn.Scheme{nn.PyTorchDefault, nn.XavierUniform, nn.KaimingNormal} {
		if !zero(conv.Weight) || !zero(conv.Bias) || !zero(bn.Weight) || !zero(bn.Bias) || bn.RunningVar.Value.Data()[0] != 1 {
			t.Errorf("before %v: not at zero", s)
		}
		if zero(other.Weight) || zero(other.Bias) || zero(plain.Weight) {
			t.Errorf("before %v: a layer that should not be is at zero", s)
		}
		for _, z := range []nn.Zeroer{other, plain} {
			z.Zero()
		}
		if !zero(other.Weight) || !zero(other.Bias) || !zero(plain.Weight) || !zero(plain.Bias) {
			t.Error("Zero leaves something")
		}
		nn.Init(nn.Sequential{conv, bn, other, plain}, 1, s)
	}
	mustPanic(t, "no weight", func() { nn.NewBatchNorm1d(3, nn.Norm{NoAffine: true}).Zero() }, "cannot be zeroed")
}

// tower is a user-defined module with Go's control flow in its Forward.
type tower struct {
	Stem   *nn.Conv2d
	Blocks []*nn.Residual
	Head   *nn.Linear
	skip   bool
}

func (m *tower) Forward(x *graph.Node) *graph.Node {
	x = m.Stem.Forward(x)
	for i, b := range m.Blocks {
		if m.skip && i > 0 {
			break
		}
		x = b.Forward(x)
	}
	x = nn.Flatten{}.Forward(nn.AdaptiveAvgPool2d{}.Forward(x))
	return m.Head.Forward(x)
}

func TestUserDefinedModule(t *testing.T) {
	m := &tower{nn.NewConv2d(1, 4, 3), []*nn.Residual{nn.NewResidual(4, 4), nn.NewResidual(4, 4)}, nn.NewLinear(4, 2), false}
	y := output(graph.Train, m, 3, 1, 8, 8)
	if !y.Shape.Equal(tensor.Shape{3, 2}) {
		t.Errorf("output %v, want [3, 2]", y.Shape)
	}
	loss := nn.CrossEntropyLoss{}.Forward(y, y.Graph.Input("labels", tensor.Int64, 3))
	var leaves []*graph.Node
	for _, p := range nn.Parameters(m) {
		leaves = append(leaves, y.Graph.Variable(p.Variable))
	}
	for i, d := range graph.Gradients(loss, leaves) {
		if !d.Shape.Equal(leaves[i].Shape) {
			t.Errorf("the gradient of %v is %v", leaves[i], d)
		}
	}
	m.skip = true
	if n := len(output(graph.Train, m, 3, 1, 8, 8).Graph.Assignments); n != 4 {
		t.Errorf("%d running statistics move with one block, want 4", n)
	}
}

package quant_test

import (
	"encoding/json"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/quant"
	"github.com/residual-ml/residual/tensor"
)

// schemeOf quantises all candidates of m by the ranges of their values on one input.
func schemeOf(t *testing.T, m nn.Module, x *tensor.Tensor) *quant.Scheme {
	t.Helper()
	g := graph.New(graph.Eval)
	in := g.Input("x", tensor.Float32, x.Shape()...)
	out := m.Forward(in)
	candidates := quant.Layers(m, out)
	values := quant.Values(candidates, out)
	s := &quant.Scheme{Layers: map[string]quant.Layer{}}
	for _, c := range candidates {
		s.Layers[c.Name] = quant.Layer{Weight: quant.WeightScales(c.Weight.Value)}
	}
	var outputs []*graph.Node
	for _, v := range values {
		outputs = append(outputs, v.Node)
	}
	for i, observed := range compute(t, g, in, x, engine.FP32, outputs...) {
		s.Set(values[i], quant.GridOf(slices.Min(observed.Data()), slices.Max(observed.Data())))
	}
	return s
}

func compute(t *testing.T, g *graph.Graph, in *graph.Node, x *tensor.Tensor, p engine.Precision, outputs ...*graph.Node) []*tensor.Tensor {
	t.Helper()
	dev, err := cpu.New(cpu.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	return computeOn(t, dev, g, in, x, p, outputs...)
}

func computeOn(t *testing.T, dev engine.Device, g *graph.Graph, in *graph.Node, x *tensor.Tensor, p engine.Precision, outputs ...*graph.Node) []*tensor.Tensor {
	t.Helper()
	program, err := engine.Compile(g, engine.NewStore(dev), engine.Spec{Outputs: outputs, Precision: p})
	if err != nil {
		t.Fatal(err)
	}
	if err := program.Feed(in, x); err != nil {
		t.Fatal(err)
	}
	if err := program.Run(0); err != nil {
		t.Fatal(err)
	}
	var got []*tensor.Tensor
	for _, n := range outputs {
		y := tensor.New(n.Shape...)
		program.Read(n, y)
		got = append(got, y)
	}
	return got
}

func model(t *testing.T, name string) nn.Module {
	t.Helper()
	m, err := models.New(name, models.Config{Classes: 5})
	if err != nil {
		t.Fatal(err)
	}
	nn.Init(m, 3, nn.PyTorchDefault)
	return m
}

func images(shape ...int) *tensor.Tensor {
	x := tensor.New(shape...)
	for i := range x.Data() {
		x.Data()[i] = float32(math.Sin(float64(i*i%9973) / 7))
	}
	return x
}

// Every layer of ResNet-18 but the first can be quantised. Of every block's values each is listed
// once: what both the block and its downsampling read, and the output of the downsampling.
func TestCandidatesOfResNet18(t *testing.T) {
	m := model(t, "resnet18")
	out := m.Forward(graph.New(graph.Eval).Input("x", tensor.Float32, 2, 3, 64, 64))
	candidates := quant.Layers(m, out)
	if n := len(candidates); n != 20 || candidates[0].Name != "layer1.0.conv1.weight" || candidates[19].Name != "fc.weight" {
		t.Errorf("%d candidates from %s to %s", n, candidates[0].Name, candidates[n-1].Name)
	}
	values := quant.Values(candidates, out)
	names := map[string][]string{}
	for _, v := range values {
		names[v.Name] = v.Readers
	}
	if len(values) != 17+3+8 || len(names) != len(values) {
		t.Errorf("%d values with %d names", len(values), len(names))
	}
	if got, want := names["layer2.0.conv1.weight:input"], []string{"layer2.0.conv1.weight", "layer2.0.downsample.0.weight"}; !slices.Equal(got, want) {
		t.Errorf("layer 2 is read by %q", got)
	}
	for _, name := range []string{"layer2.0.downsample.0.weight:output", "layer2.0.conv2.weight:sum", "layer4.1.conv2.weight:sum"} {
		if _, ok := names[name]; !ok {
			t.Errorf("no %s in %v", name, names)
		}
	}
}

// The graph of a scheme computes about what the float net computes, and differs from it.
func TestQuantisedNets(t *testing.T) {
	for _, name := range []string{"resnet18", "resnet50", "d2l-resnet18", "cifar-preresnet20"} {
		channels := 3
		if strings.HasPrefix(name, "d2l") {
			channels = 1
		}
		m, x := model(t, name), images(2, channels, 48, 48)
		s := schemeOf(t, m, x)
		g := graph.New(graph.Eval)
		in := g.Input("x", tensor.Float32, x.Shape()...)
		float := m.Forward(in)
		y, err := s.Forward(m, in)
		if err != nil {
			t.Fatal(err)
		}
		got := compute(t, g, in, x, engine.FP32, float, y)
		worst, scale := 0.0, 0.0
		for i, w := range got[0].Data() {
			worst, scale = max(worst, math.Abs(float64(w-got[1].Data()[i]))), max(scale, math.Abs(float64(w)))
		}
		if worst == 0 || worst > 0.15*scale {
			t.Errorf("%s: logits up to %g became wrong by %g", name, scale, worst)
		}
	}
}

// own is a module of a user's own whose shortcut is read first.
type own struct {
	Stem, Shortcut, A, B *nn.Conv2d
	Head                 *nn.Linear
}

func (m *own) Forward(x *graph.Node) *graph.Node {
	x = m.Stem.Forward(x).ReLU()
	short := m.Shortcut.Forward(x)
	y := short.Add(m.B.Forward(m.A.Forward(x).ReLU())).ReLU()
	y = y.Add(m.B.Forward(y)).ReLU()
	return m.Head.Forward(y.Mean(2, 3).Reshape(x.Shape[0], 4))
}

func TestOwnModule(t *testing.T) {
	same := nn.Conv{Padding: 1}
	m := &own{nn.NewConv2d(2, 4, 3, same), nn.NewConv2d(4, 4, 1), nn.NewConv2d(4, 4, 3, same), nn.NewConv2d(4, 4, 3, same), nn.NewLinear(4, 3)}
	g := graph.New(graph.Eval)
	x := g.Input("x", tensor.Float32, 1, 2, 5, 5)
	out := m.Forward(x)
	var names []string
	candidates := quant.Layers(m, out)
	for _, v := range quant.Values(candidates, out) {
		names = append(names, v.Name)
	}
	if want := []string{"shortcut.weight:input", "head.weight:input", "shortcut.weight:output"}; !slices.Equal(names, want) { // B is used twice
		t.Errorf("values %q, want %q", names, want)
	}
	s := &quant.Scheme{Layers: map[string]quant.Layer{
		"shortcut.weight": {Weight: []float32{1, 2, 3, 4}, Input: quant.Grid{Scale: 1}, Output: &quant.Grid{Scale: 2, Zero: 7}},
		"a.weight":        {Weight: []float32{1, 2, 3, 4}, Input: quant.Grid{Scale: 1}},
	}}
	y, err := s.Forward(m, x)
	if err != nil {
		t.Fatal(err)
	}
	var ops []string
	for _, n := range g.Nodes[out.ID+1 : y.ID] {
		if op, ok := n.Op.(graph.FakeQuantize); ok {
			ops = append(ops, n.Inputs[0].Op.Name())
			if n.Inputs[0].Op.Name() == "Conv2d" && op.Zero != 7 {
				t.Errorf("the shortcut's output has the zero point %d", op.Zero)
			}
		}
	}
	if want := []string{"ReLU", "Variable", "Variable", "Conv2d"}; !slices.Equal(ops, want) {
		t.Errorf("rounded values %q, want %q", ops, want)
	}
	if g.Apply(graph.Conv2d{StrideH: 1, StrideW: 1, DilationH: 1, DilationW: 1, Groups: 1}, x, g.Variable(m.Stem.Weight)).Inputs[0] != x {
		t.Error("the scheme still applies")
	}
}

func TestSchemeAsJSON(t *testing.T) {
	s := schemeOf(t, model(t, "cifar-resnet20"), images(1, 3, 32, 32))
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var back quant.Scheme
	if err := json.Unmarshal(text, &back); err != nil || !reflect.DeepEqual(*s, back) {
		t.Errorf("%v; scheme changed: %s", err, text)
	}
	if few := s.Without("fc.weight"); len(few.Layers) != len(s.Layers)-1 {
		t.Errorf("%d layers without one of %d", len(few.Layers), len(s.Layers))
	}
}

func TestSchemeOfAnotherNet(t *testing.T) {
	m := model(t, "cifar-resnet20")
	for want, l := range map[string]quant.Layer{
		"16 output channels":       {Weight: []float32{1}, Input: quant.Grid{Scale: 1}},
		"zero point 3":             {Weight: slices.Repeat([]float32{1}, 16), Input: quant.Grid{Scale: 1, Zero: 3}},
		"not a positive number":    {Weight: slices.Repeat([]float32{1}, 16)},
		"scale -1 and zero point ": {Weight: slices.Repeat([]float32{1}, 16), Input: quant.Grid{Scale: 1}, Output: &quant.Grid{Scale: -1}},
	} {
		s := quant.Scheme{Layers: map[string]quant.Layer{"conv1.weight": l}}
		if err := s.Check(m); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "conv1.weight") {
			t.Errorf("%+v: %v, want %q", l, err, want)
		}
	}
	s := quant.Scheme{Layers: map[string]quant.Layer{"stem.weight": {}}}
	if _, err := s.Forward(m, graph.New(graph.Eval).Input("x", tensor.Float32, 1, 3, 8, 8)); err == nil || !strings.Contains(err.Error(), "stem.weight is no parameter") {
		t.Errorf("%v", err)
	}
}

func TestGridOf(t *testing.T) {
	for _, c := range []struct {
		low, high float32
		want      quant.Grid
	}{{0, 255, quant.Grid{Scale: 1}}, {-1, 254, quant.Grid{Scale: 1, Zero: 1}}, {3, 510, quant.Grid{Scale: 2}}, {-255, -3, quant.Grid{Scale: 1, Zero: 255}}, {0, 0, quant.Grid{Scale: 1}}} {
		if got := quant.GridOf(c.low, c.high); got != c.want {
			t.Errorf("from %v to %v: %+v, want %+v", c.low, c.high, got, c.want)
		}
	}
}

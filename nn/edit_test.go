package nn_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/tensor"
)

// owner is a net of a user's own with a place of every kind.
type owner struct {
	Stem    *nn.Conv2d
	Body    nn.Sequential
	Gate    nn.Module
	Act     nn.ReLU
	Norm    nn.BatchNorm2d // stored by value
	ByName  map[string]nn.Module
	Pool    nn.AdaptiveAvgPool2d
	Flatten nn.Flatten
	FC      *nn.Linear
	Absent  *nn.Linear
	secret  nn.Module
}

func newOwner() *owner {
	return &owner{
		Stem: nn.NewConv2d(3, 4, 3), Body: nn.Sequential{nn.NewConv2d(4, 4, 1), nn.Sequential{nn.ReLU{}, nn.NewConv2d(4, 4, 1)}},
		Gate: newGate(), Norm: *nn.NewBatchNorm2d(4), ByName: map[string]nn.Module{"a.b": nn.NewConv2d(4, 4, 1)},
		FC: nn.NewLinear(4, 10), secret: nn.Identity{},
	}
}

func (m *owner) Forward(x *graph.Node) *graph.Node {
	x = m.Body.Forward(m.Stem.Forward(x))
	x = m.Act.Forward(m.Norm.Forward(x.Mul(m.Gate.Forward(x))))
	x = m.ByName["a.b"].Forward(x)
	return m.FC.Forward(m.Flatten.Forward(m.Pool.Forward(x)))
}

func traceEval(m nn.Module, shape ...int) *graph.Node {
	return m.Forward(graph.New(graph.Eval).Input("x", tensor.Float32, shape...))
}

// byPath holds its layers by their whole paths, as the networks of ONNX files do.
type byPath struct {
	Layers map[string]nn.Module `nn:""`
}

func (m *byPath) Forward(x *graph.Node) *graph.Node { return m.Layers["a.b"].Forward(x) }

func TestReplace(t *testing.T) {
	m := newOwner()
	before := names(nn.Named(m))
	stem, norm := nn.NewConv2d(3, 4, 5), nn.NewBatchNorm2d(4)
	for path, with := range map[string]nn.Module{
		"stem": stem, "body.1.1": nn.Identity{}, "body.0": nn.Sequential{nn.NewConv2d(4, 8, 1), nn.NewConv2d(8, 4, 1)},
		"gate": nn.Sigmoid{}, "norm": norm, "by_name.a.b": nn.NewConv2d(4, 6, 1), "fc": nn.NewLinear(6, 3), "absent": nn.NewLinear(2, 2),
	} {
		if err := nn.Replace(m, path, with); err != nil {
			t.Error(err)
		}
	}
	if m.Stem != stem || m.Norm.Weight != norm.Weight || m.Absent == nil {
		t.Error("fields were not set")
	}
	got := names(nn.Named(m))
	if !slices.Contains(got, "body.0.1.weight") || slices.Contains(got, "gate.fc.weight") || slices.Equal(got, before) {
		t.Errorf("names are %v", got)
	}
	if y := traceEval(m, 2, 3, 9, 9); !y.Shape.Equal(tensor.Shape{2, 3}) {
		t.Errorf("the output is %v", y.Shape)
	}
}

func TestReplaceErrors(t *testing.T) {
	m := newOwner()
	before := names(nn.Named(m))
	for _, c := range []struct {
		path string
		with nn.Module
		want []string
	}{
		{"fc", nn.Sequential{nn.NewLinear(4, 2)}, []string{"fc is field FC of owner", "*nn.Linear", "nn.Sequential", "declare it as nn.Module"}},
		{"act", nn.Sigmoid{}, []string{"nn.ReLU", "nn.Sigmoid"}},
		{"secret", nn.ReLU{}, []string{"unexported"}},
		{"head", nn.ReLU{}, []string{`owner has no module "head"`, "stem, body", "fc"}},
		{"body.7", nn.ReLU{}, []string{`"body.7"`, "body.0, body.1"}},
		{"body.1.x.y", nn.ReLU{}, []string{"body.1.0, body.1.1"}},
		{"gate.fc", nn.ReLU{}, []string{"*nn.Conv2d"}},
		{"stem.weight", nn.ReLU{}, []string{`"stem.weight"`}},
		{"", nn.ReLU{}, []string{"empty"}},
		{"fc", nil, []string{"Identity"}},
	} {
		err := nn.Replace(m, c.path, c.with)
		if err == nil {
			t.Errorf("%q: no error", c.path)
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%q: the error %q does not say %q", c.path, err, want)
			}
		}
	}
	if !slices.Equal(before, names(nn.Named(m))) {
		t.Error("an error changed the module")
	}
}

func TestHeadAndSubmodule(t *testing.T) {
	m := newOwner()
	if got := nn.Head(m); got != "fc" {
		t.Errorf("the head is %q", got)
	}
	if got := nn.Head(nn.Sequential{nn.NewConv2d(1, 1, 1), nn.Sequential{nn.NewConv2d(1, 2, 1), nn.ReLU{}}}); got != "1.0" {
		t.Errorf("the head without linear layers is %q", got)
	}
	if err := nn.ReplaceHead(nn.Sequential{nn.ReLU{}}, nn.Identity{}); err == nil || !strings.Contains(err.Error(), "no layer with parameters") {
		t.Errorf("got %v", err)
	}
	got, err := nn.Submodule(m, "body.1.1")
	if err != nil || got != m.Body[1].(nn.Sequential)[1] {
		t.Errorf("got %v (%v)", got, err)
	}
	flat := &byPath{map[string]nn.Module{"a.b": nn.ReLU{}, "a.c": nn.ReLU{}}}
	if _, err := nn.Submodule(flat, "x"); err == nil || !strings.Contains(err.Error(), `no module "x"; it has a.b, a.c`) {
		t.Errorf("got %v", err)
	}
	if _, err := nn.Submodule(nn.ReLU{}, "x"); err == nil || !strings.Contains(err.Error(), "contains no modules") {
		t.Errorf("got %v", err)
	}
	if _, err := nn.Submodule(m, "body.2"); err == nil || !strings.Contains(err.Error(), "body.0, body.1") {
		t.Errorf("got %v", err)
	}
}

func TestActivations(t *testing.T) {
	m := newOwner()
	g := graph.New(graph.Eval)
	nn.NewConv2d(3, 4, 3).Forward(g.Input("other", tensor.Float32, 2, 3, 9, 9)) // another module in the graph
	x := g.Input("x", tensor.Float32, 2, 3, 9, 9)
	got, err := nn.Activations(m, x, "body", "body.1.0", "act", "gate.act", "fc", "")
	if err != nil {
		t.Fatal(err)
	}
	if got["fc"] != got[""] || got["fc"].Shape[1] != 10 || got["body"].Shape[2] != 7 || got["body.1.0"] == got["act"] {
		t.Errorf("the activations are %v", got)
	}
	all, err := nn.Activations(nn.Sequential{newExcited(true), newExcited(true)}, g.Input("y", tensor.Float32, 1, 4, 2, 2))
	if err != nil || len(all) != 2+1+2*6 {
		t.Errorf("%d activations: %v (%v)", len(all), all, err)
	}
	act := nn.NewConv2d(4, 4, 1)
	twice := nn.Sequential{act, nn.ReLU{}, act, act}
	all, err = nn.Activations(twice, g.Input("z", tensor.Float32, 1, 4, 2, 2))
	if err != nil || all["0"].ID >= all["1"].ID || all["0_1"].ID <= all["1"].ID || all["0_2"] != all[""] {
		t.Errorf("the activations of a layer called three times are %v (%v)", all, err)
	}
	for path, want := range map[string]string{"gate": "records no call", "absent2": "stem, body", "fc_1": `"fc_1"`} {
		if _, err := nn.Activations(m, x, path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", path, err)
		}
	}
	if _, err := nn.Activations(m, g.Input("w", tensor.Float32, 2, 5, 9, 9)); err == nil || !strings.Contains(err.Error(), "stem.weight") {
		t.Errorf("an input that does not fit gave %v", err)
	}
}

func TestCut(t *testing.T) {
	m := newOwner()
	shape := tensor.Shape{2, 3, 9, 9}
	f, err := nn.Cut(m, "body", shape)
	if err != nil {
		t.Fatal(err)
	}
	if got := names(nn.Named(f)); !slices.Equal(got, names(nn.Named(m))[:6]) {
		t.Errorf("the parameters are %v", got)
	}
	for _, mode := range []graph.Mode{graph.Eval, graph.Train} {
		g := graph.New(mode)
		y := f.Forward(g.Input("x", tensor.Float32, 1, 3, 11, 5))
		if !y.Shape.Equal(tensor.Shape{1, 4, 9, 3}) || g.Nodes[len(g.Nodes)-1] != y || len(g.Assignments) > 0 {
			t.Errorf("%v: the output is %v of %d nodes", mode, y, len(g.Nodes))
		}
	}
	f, err = nn.CutHead(m, shape)
	if err != nil {
		t.Fatal(err)
	}
	if y := traceEval(f, 2, 3, 9, 9); !y.Shape.Equal(tensor.Shape{2, 4}) || len(y.Graph.Variables()) != len(nn.Named(f)) {
		t.Errorf("the output is %v", y)
	}
	// A new net on the features, and a cut within it.
	own := nn.Sequential{f, nn.NewLinear(4, 2)}
	if got := outputs(t, own, 2, 3, 9, 9); got != "0.stem 0.body.0 0.body.1.0 0.body.1.1 0.gate.pool 0.gate.fc 0.gate.act 0.norm 0.act 0.by_name.a.b 0.pool 0.flatten 1" {
		t.Errorf("the calls are %s", got)
	}
	if nn.Head(own) != "1" {
		t.Errorf("the head is %s", nn.Head(own))
	}
	inner, err := nn.Cut(own, "0.body.0", shape)
	if err != nil {
		t.Fatal(err)
	}
	if y := traceEval(inner, 2, 3, 9, 9); !y.Shape.Equal(tensor.Shape{2, 4, 7, 7}) || len(nn.Named(inner)) != 4 {
		t.Errorf("the inner cut gives %v of %v", y, names(nn.Named(inner)))
	}
	table, err := nn.Summary(inner, shape)
	if err != nil || table.Rows[0].Class != "Features" || table.Params != 4*27+4+16+4 {
		t.Errorf("the summary is\n%v(%v)", table, err)
	}
	if err := nn.Replace(m, "body.0", nn.Sequential{nn.NewConv2d(4, 4, 1)}); err != nil {
		t.Fatal(err)
	}
	mustPanic(t, "a net that was changed", func() { traceEval(inner, 2, 3, 9, 9) }, "cut it again")
}

func TestCutErrors(t *testing.T) {
	m := newOwner()
	if _, err := nn.Cut(m, "boddy", tensor.Shape{2, 3, 9, 9}); err == nil || !strings.Contains(err.Error(), "stem, body") {
		t.Errorf("an unknown path gave %v", err)
	}
	if _, err := nn.Cut(m, "body", tensor.Shape{2, 1, 9, 9}); err == nil || !strings.Contains(err.Error(), "stem.weight") {
		t.Errorf("an input that does not fit gave %v", err)
	}
	if _, err := nn.CutHead(nn.Sequential{nn.ReLU{}}, tensor.Shape{1}); err == nil || !strings.Contains(err.Error(), "no layer with parameters") {
		t.Errorf("a net without a head gave %v", err)
	}
	f, err := nn.Cut(m, "body", tensor.Shape{2, 3, 9, 9})
	if err != nil {
		t.Fatal(err)
	}
	mustPanic(t, "an input that does not fit", func() { traceEval(f, 2, 1, 9, 9) }, "has 1 channels")
}

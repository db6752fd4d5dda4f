package modelstest_test

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/models/modelstest"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/tensor"
)

func read(t *testing.T, model string) *modelstest.Trace {
	t.Helper()
	tr, err := modelstest.Read("../testdata/" + model + ".json")
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

func TestNamesAndShapesArePyTorchs(t *testing.T) {
	for _, model := range []string{"d2l-resnet18", "d2l-bnlenet"} {
		tr := read(t, model)
		m, err := models.New(model, models.Config{})
		if err != nil {
			t.Fatal(err)
		}
		shapes := map[string]tensor.Shape{}
		for _, p := range nn.Named(m) {
			shapes[p.Name] = p.Value.Shape()
		}
		for _, p := range tr.Parameters {
			if !p.Shape.Equal(shapes[p.Name]) {
				t.Errorf("%s: %s is %v here and %v in PyTorch", model, p.Name, shapes[p.Name], p.Shape)
			}
		}
		if len(shapes) != len(tr.Parameters) {
			t.Errorf("%s: %d names here and %d in PyTorch", model, len(shapes), len(tr.Parameters))
		}
		if n := len(nn.Parameters(m)); n != len(tr.Float64.Gradients) {
			t.Errorf("%s: %d parameters trained here and %d in PyTorch", model, n, len(tr.Float64.Gradients))
		}
	}
}

// replay trains a model with the reference loops, in float64 throughout.
type replay struct {
	tr     *modelstest.Trace
	model  nn.Module
	values map[*nn.Parameter][]float64
}

func newReplay(t *testing.T, tr *modelstest.Trace) *replay {
	t.Helper()
	m, err := tr.Build()
	if err != nil {
		t.Fatal(err)
	}
	r := &replay{tr, m, map[*nn.Parameter][]float64{}}
	for _, p := range nn.Named(m) {
		r.values[p.Variable] = wide(p.Value.Data())
	}
	return r
}

func wide(x []float32) []float64 {
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = float64(v)
	}
	return y
}

// run computes nodes of g from the current values.
func (r *replay) run(g *graph.Graph, x, labels *graph.Node, nodes []*graph.Node) [][]float64 {
	feeds := map[*graph.Node][]float64{x: wide(r.tr.Images().Data())}
	if labels != nil {
		for _, l := range r.tr.Labels {
			feeds[labels] = append(feeds[labels], float64(l))
		}
	}
	for _, v := range g.Variables() {
		feeds[g.Variable(v)] = r.values[v]
	}
	return graph.Reference(nodes, feeds)
}

func closeRows(t *testing.T, what string, got []float64, want [][]float64, limit float64) {
	t.Helper()
	flat := slices.Concat(want...)
	if len(flat) != len(got) {
		t.Fatalf("%s: %d numbers, want %d", what, len(got), len(flat))
	}
	for i, w := range flat {
		if !(math.Abs(got[i]-w) <= limit*math.Max(1, math.Abs(w))) {
			t.Fatalf("%s: number %d is %v, PyTorch has %v", what, i, got[i], w)
		}
	}
}

func closeFacts(t *testing.T, what string, tr *modelstest.Trace, facts map[string]modelstest.Facts, name string, got []float64, limit float64) {
	t.Helper()
	if e, err := modelstest.Compare(tr, facts, name, got); err != nil || !(e <= limit) {
		t.Errorf("%s of %s is off by %.1e (%v)", what, name, e, err)
	}
}

// TestLeNetTrainsAsInPyTorch compares the reference loops and gradient rules of every operation
// in the batch-normalised LeNet with ten steps of PyTorch in float64.
func TestLeNetTrainsAsInPyTorch(t *testing.T) {
	const limit = 1e-9
	tr := read(t, "d2l-bnlenet")
	r := newReplay(t, tr)

	g := graph.New(graph.Eval)
	x := g.Input("images", tensor.Float32, tr.Input...)
	closeRows(t, "evaluation", r.run(g, x, nil, []*graph.Node{r.model.Forward(x)})[0], tr.Float64.EvalLogits, limit)

	g = graph.New(graph.Train)
	x = g.Input("images", tensor.Float32, tr.Input...)
	labels := g.Input("labels", tensor.Int64, tr.Input[0])
	logits := r.model.Forward(x)
	loss := nn.CrossEntropyLoss{}.Forward(logits, labels)
	params := nn.Parameters(r.model)
	var leaves []*graph.Node
	for _, p := range params {
		leaves = append(leaves, g.Variable(p.Variable))
	}
	nodes := append([]*graph.Node{loss, logits}, graph.Gradients(loss, leaves)...)
	for _, a := range g.Assignments {
		nodes = append(nodes, a.Value)
	}
	for step, want := range tr.Float64.Losses {
		out := r.run(g, x, labels, nodes)
		closeRows(t, "loss", out[0], [][]float64{{want}}, limit)
		grads, assigned := out[2:2+len(params)], out[2+len(params):]
		if step == 0 {
			closeRows(t, "training", out[1], tr.Float64.TrainLogits, limit)
		}
		for i, p := range params {
			if step == 0 {
				closeFacts(t, "gradient", tr, tr.Float64.Gradients, p.Name, grads[i], limit)
			}
			for j, d := range grads[i] {
				r.values[p.Variable][j] -= tr.LR * d
			}
		}
		for i, a := range g.Assignments {
			r.values[a.Variable] = assigned[i]
		}
	}
	for _, p := range nn.Named(r.model) {
		closeFacts(t, "last value", tr, tr.Float64.Final, p.Name, r.values[p.Variable], limit)
	}
}

// TestResNetStepIsAsInPyTorch compares one forward pass of the residual network, and the
// backward pass to its last block. The whole backward pass would take the reference loops too
// long; tests of the engines compare it.
func TestResNetStepIsAsInPyTorch(t *testing.T) {
	const limit = 1e-9
	tr := read(t, "d2l-resnet18")
	r := newReplay(t, tr)
	g := graph.New(graph.Train)
	x := g.Input("images", tensor.Float32, tr.Input...)
	labels := g.Input("labels", tensor.Int64, tr.Input[0])
	logits := r.model.Forward(x)
	loss := nn.CrossEntropyLoss{}.Forward(logits, labels)
	var leaves []*graph.Node
	var names []string
	for _, p := range nn.Parameters(r.model) {
		if strings.HasPrefix(p.Name, "b5.1.bn") || strings.HasPrefix(p.Name, "b5.1.conv2") || strings.HasPrefix(p.Name, "fc") {
			leaves, names = append(leaves, g.Variable(p.Variable)), append(names, p.Name)
		}
	}
	if len(names) != 8 {
		t.Fatalf("the last block's parameters are %v", names)
	}
	out := r.run(g, x, labels, append([]*graph.Node{loss, logits}, graph.Gradients(loss, leaves)...))
	closeRows(t, "loss", out[0], [][]float64{tr.Float64.Losses[:1]}, limit)
	closeRows(t, "training", out[1], tr.Float64.TrainLogits, limit)
	for i, name := range names {
		closeFacts(t, "gradient", tr, tr.Float64.Gradients, name, out[2+i], limit)
	}
}

// Compare notices errors.
func TestCompareSeesErrors(t *testing.T) {
	tr := read(t, "d2l-bnlenet")
	facts := map[string]modelstest.Facts{}
	m, err := tr.Build()
	if err != nil {
		t.Fatal(err)
	}
	p := nn.Parameters(m)[0]
	data := wide(p.Value.Data())
	f := modelstest.Facts{}
	for _, v := range data {
		f.L2 += v * v
		f.Max = math.Max(f.Max, math.Abs(v))
	}
	f.L2 = math.Sqrt(f.L2)
	places := tr.Places(p.Name)
	for _, i := range places {
		f.At = append(f.At, data[i])
	}
	facts[p.Name] = f
	if e, err := modelstest.Compare(tr, facts, p.Name, data); err != nil || e != 0 {
		t.Errorf("equal tensors are %g apart (%v)", e, err)
	}
	for _, bad := range []float64{data[places[3]] + 1e-4, math.NaN()} {
		wrong := slices.Clone(data)
		wrong[places[3]] = bad
		if e, err := modelstest.Compare(tr, facts, p.Name, wrong); err != nil || e <= 1e-5 {
			t.Errorf("an element of %v is %g apart (%v)", bad, e, err)
		}
	}
	if _, err := modelstest.Compare(tr, facts, "0.nothing", data); err == nil {
		t.Error("Compare accepted an unknown name")
	}
}

package train_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu"
	"github.com/residual-ml/residual/engine/cpu/kernel"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/models/modelstest"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/optim"
	"github.com/residual-ml/residual/tensor"
)

// Both models against ten steps of PyTorch, by every kernel this machine has and
// on one and two threads.
func TestTrainsAsInPyTorch(t *testing.T) {
	for _, model := range models.Names() {
		tr, err := modelstest.Read("../models/testdata/" + model + ".json")
		if err != nil {
			t.Fatal(err)
		}
		for _, isa := range kernel.Available() {
			for threads := 1; threads <= 2; threads++ {
				if testing.Short() && threads == 1 {
					continue // two threads give the same bits, and another test holds them to it
				}
				t.Run(fmt.Sprintf("%s/%v/%d", model, isa, threads), func(t *testing.T) {
					dev, err := cpu.New(cpu.Options{Threads: threads, ISA: &isa})
					if err != nil {
						t.Fatal(err)
					}
					defer dev.Close()
					replay(t, dev, tr)
				})
			}
		}
	}
}

func replay(t *testing.T, dev engine.Device, tr *modelstest.Trace) {
	m, err := tr.Build()
	if err != nil {
		t.Fatal(err)
	}
	store := engine.NewStore(dev)
	evaluation(t, m, store, tr)

	g := graph.New(graph.Train)
	x := g.Input("images", tensor.Float32, tr.Input...)
	labels := g.Input("labels", tensor.Int64, tr.Input[0])
	logits := m.Forward(x)
	loss := nn.CrossEntropyLoss{}.Forward(logits, labels)
	params := nn.Parameters(m)
	var leaves []*graph.Node
	for _, p := range params {
		leaves = append(leaves, g.Variable(p.Variable))
	}
	var updates []engine.Update
	for i, grad := range graph.Gradients(loss, leaves) {
		updates = append(updates, engine.Update{Variable: params[i].Variable, Gradient: grad})
	}
	p, err := engine.Compile(g, store, engine.Spec{Outputs: []*graph.Node{loss}, Updates: updates})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Feed(x, tr.Images()); err != nil {
		t.Fatal(err)
	}
	if err := p.Feed(labels, tensor.FromInts(tr.Labels, len(tr.Labels))); err != nil {
		t.Fatal(err)
	}
	out := tensor.New()
	for step, want := range tr.Float64.Losses {
		p.Run(int64(step))
		p.Read(loss, out)
		limit := 1e-3
		if step == 0 {
			limit = 1e-5
			gradients(t, p, params, tr)
		}
		got := float64(out.Data()[0])
		if off := math.Abs(got-want) / math.Abs(want); !(off <= limit) {
			t.Errorf("step %d: loss %.7f, PyTorch has %.7f: off by %.1e", step+1, got, want, off)
		}
		p.Step(optim.SGD{}, float32(tr.LR))
	}
	store.Pull()
	for _, q := range nn.Named(m) {
		off, err := modelstest.Compare(tr, tr.Float64.Final, q.Name, q.Value.Data())
		if err != nil || !(off <= 1e-2) {
			t.Errorf("after the last step %s is off by %.1e (%v)", q.Name, off, err)
		}
	}
}

func evaluation(t *testing.T, m nn.Module, store *engine.Store, tr *modelstest.Trace) {
	t.Helper()
	g := graph.New(graph.Eval)
	x := g.Input("images", tensor.Float32, tr.Input...)
	logits := m.Forward(x)
	p, err := engine.Compile(g, store, engine.Spec{Outputs: []*graph.Node{logits}})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Feed(x, tr.Images()); err != nil {
		t.Fatal(err)
	}
	p.Run(0)
	out := tensor.New(logits.Shape...)
	p.Read(logits, out)
	for i, row := range tr.Float64.EvalLogits {
		for j, want := range row {
			if got := float64(out.At(i, j)); !(math.Abs(got-want) <= 1e-4*math.Max(1, math.Abs(want))) {
				t.Errorf("evaluation: logit %d of image %d is %v, PyTorch has %v", j, i, got, want)
			}
		}
	}
}

// gradients holds all gradients of step 1 to 1e-4 of their own largest element;
// those that are zero in exact arithmetic to that of the largest gradient.
func gradients(t *testing.T, p *engine.Program, params []nn.NamedParameter, tr *modelstest.Trace) {
	t.Helper()
	for i, q := range params {
		grad := tensor.New(q.Value.Shape()...)
		p.Gradient(i, grad)
		off, err := modelstest.Compare(tr, tr.Float64.Gradients, q.Name, grad.Data())
		if err != nil || !(off <= 1e-4) {
			t.Errorf("gradient of %s is off by %.1e (%v); PyTorch in float32 by %.1e", q.Name, off, err, torch(tr, q.Name))
		}
	}
}

// torch is how far PyTorch's own float32 gradient is from its float64 one, where
// elements were kept.
func torch(tr *modelstest.Trace, name string) float64 {
	exact, single := tr.Float64.Gradients[name], tr.Float32.Gradients[name]
	worst := 0.0
	for i := range min(len(exact.At), len(single.At)) {
		worst = math.Max(worst, math.Abs(exact.At[i]-single.At[i])/exact.Max)
	}
	return worst
}

package loop_test

import (
	"fmt"
	"math"
	"os"
	"slices"
	"testing"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu"
	"github.com/residual-ml/residual/engine/cpu/kernel"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/internal/amxemu"
	"github.com/residual-ml/residual/models/modelstest"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/optim"
	"github.com/residual-ml/residual/tensor"
)

// traced lists the models of models/testdata/trace.py.
var traced = []string{"d2l-resnet18", "d2l-bnlenet"}

// TestTrainsAsInPyTorch compares both models with ten steps of PyTorch, with every kernel that
// this machine supports, on one and two threads, and in both precisions.
func TestTrainsAsInPyTorch(t *testing.T) {
	for _, model := range traced {
		tr, err := modelstest.Read("../../models/testdata/" + model + ".json")
		if err != nil {
			t.Fatal(err)
		}
		for _, isa := range kernel.Available() {
			for threads := 1; threads <= 2; threads++ {
				if testing.Short() && threads == 1 {
					continue // another test checks that two threads give the same bits
				}
				for name, check := range map[string]func(*testing.T, engine.Device, *modelstest.Trace){"fp32": replay, "bf16": replayBF16} {
					if name == "fp32" && isa > kernel.AVX512 {
						continue // its kernels are those of AVX512
					}
					if name == "bf16" && isa == kernel.Portable && threads == 1 {
						continue // slow, and two threads give the same bits
					}
					t.Run(fmt.Sprintf("%s/%v/%s/%d", model, isa, name, threads), func(t *testing.T) {
						dev, err := cpu.New(cpu.Options{Threads: threads, ISA: &isa})
						if err != nil {
							t.Fatal(err)
						}
						defer dev.Close()
						check(t, dev, tr)
					})
				}
			}
		}
	}
}

// TestTrainsOnAMX trains in BF16 on AMX's tiles. ResNet-18 takes minutes where they are
// emulated, and is left to the long tests there.
func TestTrainsOnAMX(t *testing.T) {
	if !slices.Contains(kernel.Available(), kernel.AVX512BF16) {
		t.Skip("AMX needs assembly, which this build leaves out, or the AVX512_BF16 that this processor lacks")
	}
	have := slices.Contains(kernel.Available(), kernel.AMX)
	amxemu.Test(t, have, func(t *testing.T) {
		amx := kernel.AMX
		for _, model := range traced {
			if model == "d2l-resnet18" && amxemu.Emulated() && os.Getenv("RESIDUAL_LONG") == "" {
				t.Logf("%s is left out under the emulator; set RESIDUAL_LONG=1", model)
				continue
			}
			tr, err := modelstest.Read("../../models/testdata/" + model + ".json")
			if err != nil {
				t.Fatal(err)
			}
			dev, err := cpu.New(cpu.Options{Threads: 2, ISA: &amx})
			if err != nil {
				t.Fatal(err)
			}
			defer dev.Close()
			replayBF16(t, dev, tr)
		}
	})
}

// training repeats the training of a trace.
type training struct {
	*engine.Program
	module nn.Module
	store  *engine.Store
	params []nn.NamedParameter
	loss   *graph.Node
}

func begin(t *testing.T, dev engine.Device, tr *modelstest.Trace, precision engine.Precision) *training {
	t.Helper()
	m, err := tr.Build()
	if err != nil {
		t.Fatal(err)
	}
	s := &training{module: m, store: engine.NewStore(dev), params: nn.Parameters(m)}
	g := graph.New(graph.Train)
	x := g.Input("images", tensor.Float32, tr.Input...)
	labels := g.Input("labels", tensor.Int64, tr.Input[0])
	s.loss = nn.CrossEntropyLoss{}.Forward(m.Forward(x), labels)
	var leaves []*graph.Node
	for _, p := range s.params {
		leaves = append(leaves, g.Variable(p.Variable))
	}
	var updates []engine.Update
	for i, grad := range graph.Gradients(s.loss, leaves) {
		updates = append(updates, engine.Update{Variable: s.params[i].Variable, Gradient: grad})
	}
	spec := engine.Spec{Outputs: []*graph.Node{s.loss}, Updates: updates, Precision: precision}
	if s.Program, err = engine.Compile(g, s.store, spec); err != nil {
		t.Fatal(err)
	}
	if err := s.Feed(x, tr.Images()); err != nil {
		t.Fatal(err)
	}
	if err := s.Feed(labels, tensor.FromInts(tr.Labels, len(tr.Labels))); err != nil {
		t.Fatal(err)
	}
	return s
}

// run runs one step without the update and returns its loss.
func (s *training) run(step int) float64 {
	out := tensor.New()
	s.Run(int64(step))
	s.Read(s.loss, out)
	return float64(out.Data()[0])
}

// replayBF16 trains in BF16. The distance of a single tensor from float64 is random, so the
// test compares the distance over all tensors together, and that of the losses, with the
// distance of PyTorch's torch.autocast from float64 on the same batch.
func replayBF16(t *testing.T, dev engine.Device, tr *modelstest.Trace) {
	s := begin(t, dev, tr, engine.BF16)
	near := func(what string, got, torch float64) {
		if !(got <= 1.3*torch+0.01) {
			t.Errorf("%s: %.3f away from float64, PyTorch's bfloat16 %.3f", what, got, torch)
		}
	}
	mean := func(of []nn.NamedParameter, exact, torch map[string]modelstest.Facts, value func(i int) *tensor.Tensor) (ours, theirs float64) {
		for i, q := range of {
			got, err := modelstest.Compare(tr, exact, q.Name, value(i).Data())
			if err != nil {
				t.Fatal(err)
			}
			its, err := modelstest.Distance(tr, exact, q.Name, torch[q.Name], q.Value.Numel())
			if err != nil {
				t.Fatal(err)
			}
			ours, theirs = ours+got/float64(len(of)), theirs+its/float64(len(of))
		}
		return ours, theirs
	}
	worst, torchWorst := 0.0, 0.0
	for step, exact := range tr.Float64.Losses {
		worst = max(worst, math.Abs(math.Log(s.run(step)/exact)))
		torchWorst = max(torchWorst, math.Abs(math.Log(tr.BFloat16.Losses[step]/exact)))
		if step == 0 {
			near("loss of the first step", worst, torchWorst)
			ours, torch := mean(s.params, tr.Float64.Gradients, tr.BFloat16.Gradients, func(i int) *tensor.Tensor {
				grad := tensor.New(s.params[i].Value.Shape()...)
				s.Gradient(i, grad)
				return grad
			})
			near("gradients of the first step", ours, torch)
		}
		s.Step(optim.SGD{}, float32(tr.LR))
	}
	near("losses", worst, 2*torchWorst)
	s.store.Pull()
	all := nn.Named(s.module)
	ours, torch := mean(all, tr.Float64.Final, tr.BFloat16.Final, func(i int) *tensor.Tensor { return all[i].Value })
	near("what the last step leaves", ours, torch)
}

func replay(t *testing.T, dev engine.Device, tr *modelstest.Trace) {
	s := begin(t, dev, tr, engine.FP32)
	evaluation(t, s.module, s.store, tr)
	for step, want := range tr.Float64.Losses {
		got := s.run(step)
		limit := 1e-3
		if step == 0 {
			limit = 1e-5
			gradients(t, s.Program, s.params, tr)
		}
		if off := math.Abs(got-want) / math.Abs(want); !(off <= limit) {
			t.Errorf("step %d: loss %.7f, PyTorch has %.7f: off by %.1e", step+1, got, want, off)
		}
		s.Step(optim.SGD{}, float32(tr.LR))
	}
	s.store.Pull()
	for _, q := range nn.Named(s.module) {
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

// gradients checks all gradients of step 1. The tolerance is 1e-4 of a gradient's largest
// element or, for gradients that are zero in exact arithmetic, of the largest gradient.
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

// torch returns the error of PyTorch's own float32 gradient, if the trace contains elements of
// it.
func torch(tr *modelstest.Trace, name string) float64 {
	exact, single := tr.Float64.Gradients[name], tr.Float32.Gradients[name]
	worst := 0.0
	for i := range min(len(exact.At), len(single.At)) {
		worst = math.Max(worst, math.Abs(exact.At[i]-single.At[i])/exact.Max)
	}
	return worst
}

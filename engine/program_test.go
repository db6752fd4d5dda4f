package engine_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/optim"
	"github.com/residual-ml/residual/tensor"
)

// small is a residual network with both kinds of block and an input of several channels.
func small() nn.Module {
	return nn.Sequential{
		nn.NewConv2d(3, 20, 3, nn.Conv{Padding: 1}), nn.NewBatchNorm2d(20), nn.ReLU{},
		nn.NewResidual(20, 20), nn.NewResidual(20, 24, nn.Block{Use1x1Conv: true, Stride: 2}),
		nn.AdaptiveAvgPool2d{}, nn.Flatten{}, nn.NewLinear(24, 5),
	}
}

type step struct {
	images, labels, loss *graph.Node
	program              *engine.Program
}

func trainStep(t testing.TB, m nn.Module, store *engine.Store, batch int, unfused bool) step {
	t.Helper()
	g := graph.New(graph.Train)
	s := step{images: g.Input("images", tensor.Float32, batch, 3, 8, 8), labels: g.Input("labels", tensor.Int64, batch)}
	s.loss = g.Apply(graph.CrossEntropy{}, m.Forward(s.images), s.labels)
	params := nn.Parameters(m)
	leaves := make([]*graph.Node, len(params))
	for i, p := range params {
		leaves[i] = g.Variable(p.Variable)
	}
	spec := engine.Spec{Outputs: []*graph.Node{s.loss}, Unfused: unfused}
	for i, d := range graph.Gradients(s.loss, leaves) {
		spec.Updates = append(spec.Updates, engine.Update{Variable: params[i].Variable, Gradient: d})
	}
	var err error
	if s.program, err = engine.Compile(g, store, spec); err != nil {
		t.Fatal(err)
	}
	return s
}

// batchOf returns images and labels that depend only on n and seed.
func batchOf(n, seed int) (images, labels *tensor.Tensor) {
	images, labels = tensor.New(n, 3, 8, 8), tensor.FromInts(make([]int64, n), n)
	for i := range images.Data() {
		images.Data()[i] = float32((i*7919+seed*104729)%997) / 997
	}
	for i := range labels.Ints() {
		labels.Ints()[i] = int64((i + seed) % 5)
	}
	return images, labels
}

func (s step) run(t testing.TB, seed int) float32 {
	t.Helper()
	images, labels := batchOf(s.images.Shape[0], seed)
	if err := s.program.Feed(s.images, images); err != nil {
		t.Fatal(err)
	}
	if err := s.program.Feed(s.labels, labels); err != nil {
		t.Fatal(err)
	}
	if err := s.program.Run(int64(seed)); err != nil {
		t.Fatal(err)
	}
	s.program.Step(optim.SGD{}, 0.1)
	loss := tensor.New()
	s.program.Read(s.loss, loss)
	return loss.Data()[0]
}

func device(t testing.TB, threads int) *cpu.Device {
	t.Helper()
	d, err := cpu.New(cpu.Options{Threads: threads})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}

// Two values that are needed at the same time must not share memory.
func TestPlanKeepsLivingValuesApart(t *testing.T) {
	for _, unfused := range []bool{false, true} {
		p := trainStep(t, small(), engine.NewStore(device(t, 1)), 7, unfused).program
		checkPlan(t, p)
		if m := p.Memory(); m.Arena >= m.Unplanned {
			t.Errorf("the plan saves nothing: %+v", m)
		}
	}
}

// checkPlan reports values that share memory while both are needed, and values
// that are read before they are written.
func checkPlan(t *testing.T, p *engine.Program) {
	t.Helper()
	type life struct{ first, last int }
	lives := map[*engine.Value]*life{} // by root
	steps := p.Steps()
	for i, st := range steps {
		for _, v := range st.Writes() {
			if r := v.Root(); v.Place == engine.Temporary && lives[r] == nil {
				lives[r] = &life{i, i}
			}
		}
		for _, v := range append(st.Reads(), st.Writes()...) {
			if l := lives[v.Root()]; l != nil {
				if l.last = i; v.Keep {
					l.last = len(steps)
				}
			} else if v.Place == engine.Temporary {
				t.Fatalf("step %d %T reads %v before it is written", i, st, v)
			}
		}
	}
	for v, a := range lives {
		for w, b := range lives {
			apart := v.Offset+v.Words() <= w.Offset || w.Offset+w.Words() <= v.Offset
			if v != w && a.first <= b.last && b.first <= a.last && !apart {
				t.Errorf("%v at %d and %v at %d live at the same time", v, v.Offset, w, w.Offset)
			}
		}
	}
}

// asyncDevice computes gradients of weights concurrently with the following steps, as a GPU does.
type asyncDevice struct{ *cpu.Device }

func (asyncDevice) Asynchronous(s engine.Step) bool {
	_, ok := s.(*engine.ConvGradWeight)
	return ok
}

// Values that a concurrent step reads and writes stay untouched until the next one begins.
func TestAsynchronousSteps(t *testing.T) {
	for name, recompute := range map[string]bool{"kept": false, "recomputed": true} {
		t.Run(name, func(t *testing.T) {
			d := asyncDevice{device(t, 1)}
			net := append(stem(16, nn.NewResidual(16, 16), nn.NewResidual(16, 16)), head(16)...)
			p := training(t, net, engine.NewStore(d), 8, engine.Spec{Recompute: recompute}).program
			checkPlan(t, p)
			var busy []*engine.Value
			sides := 0
			for i, s := range p.Steps() {
				if d.Asynchronous(s) {
					busy = append(s.Reads(), s.Writes()...)
					sides++
					continue
				}
				for _, v := range s.Writes() {
					for _, b := range busy {
						r, q := v.Root(), b.Root()
						apart := r.Offset+r.Words() <= q.Offset || q.Offset+q.Words() <= r.Offset
						if v.Place == engine.Temporary && b.Place == engine.Temporary && !apart {
							t.Errorf("step %d, %T, writes %v over %v, which a concurrent step uses", i, s, v, b)
						}
					}
				}
			}
			if sides < 5 {
				t.Errorf("%d concurrent steps", sides)
			}
		})
	}
}

// The gradients of gamma and beta are placed in the rows of the value that holds both, and
// need no step. A bias with the same gradient as a beta gets a copy, so that clipping
// changes each only once.
func TestRowsAreParts(t *testing.T) {
	p := trainStep(t, small(), engine.NewStore(device(t, 1)), 4, false).program
	named, copied := map[string]bool{}, 0
	for _, s := range p.Steps() {
		c, ok := s.(*engine.Compute)
		if !ok {
			continue
		}
		op, ok := c.Op.(graph.Row)
		if !ok {
			continue
		}
		if !c.Out.IsRow(op.I, c.In[0]) {
			copied++
			continue
		}
		key := fmt.Sprint(c.In[0], c.Out.Shift)
		if named[key] {
			t.Errorf("two values are row %d of %v", op.I, c.In[0])
		}
		named[key] = true
	}
	if len(named) == 0 || copied == 0 {
		t.Errorf("%d rows share memory with their value and %d are copies; want some of both", len(named), copied)
	}
}

func kinds(p *engine.Program) map[string]int {
	count := map[string]int{}
	for _, s := range p.Steps() {
		name := fmt.Sprintf("%T", s)
		if c, ok := s.(*engine.Compute); ok {
			name = c.Op.Name()
		}
		count[name]++
	}
	return count
}

// Additions, ReLU, their gradients, statistics and bias gradients are all fused into
// other steps.
func TestFusion(t *testing.T) {
	store := engine.NewStore(device(t, 1))
	got := kinds(trainStep(t, small(), store, 4, false).program)
	for _, gone := range []string{"Add", "ReLU", "ReLUGrad", "*engine.BatchNormStats"} {
		if got[gone] != 0 {
			t.Errorf("training still has %d steps %s: %v", got[gone], gone, got)
		}
	}
	if got["SumChannels"] != 1 { // of the linear layer's bias
		t.Errorf("training has %d steps SumChannels, want 1", got["SumChannels"])
	}
	g := graph.New(graph.Eval)
	y := small().Forward(g.Input("images", tensor.Float32, 4, 3, 8, 8))
	p, err := engine.Compile(g, store, engine.Spec{Outputs: []*graph.Node{y}})
	if err != nil {
		t.Fatal(err)
	}
	got = kinds(p)
	if got["*engine.BatchNorm"]+got["ReLU"]+got["Add"] != 0 || got["*engine.Conv"] != 7 {
		t.Errorf("inference has steps other than convolutions: %v", got)
	}
}

func TestFusedTrainsAsUnfused(t *testing.T) {
	a, b := small(), small()
	fused := trainStep(t, a, engine.NewStore(device(t, 2)), 9, false)
	unfused := trainStep(t, b, engine.NewStore(device(t, 2)), 9, true)
	for i := range 5 {
		x, y := fused.run(t, i), unfused.run(t, i)
		if d := float64(x - y); d > 1e-4 || d < -1e-4 || x != x {
			t.Errorf("step %d: loss %v fused, %v unfused", i, x, y)
		}
	}
}

// With Spec.Hold, assignments are deferred until Assign, which then has the same effect as a
// run without Hold.
func TestDeferredAssignments(t *testing.T) {
	dev := device(t, 2)
	images, _ := batchOf(6, 1)
	var statistics [2][]float32
	for i, hold := range []bool{false, true} {
		m := small()
		nn.Init(m, 1, nn.KaimingNormal)
		buffers := func(store *engine.Store) (all []float32) {
			store.Pull()
			for _, n := range nn.StateDict(m) {
				if strings.Contains(n.Name, "running") {
					all = append(all, n.Tensor.Data()...)
				}
			}
			return all
		}
		for _, recompute := range []bool{false, true} {
			g, store := graph.New(graph.Train), engine.NewStore(dev)
			in := g.Input("images", tensor.Float32, 6, 3, 8, 8)
			out := m.Forward(in)
			p, err := engine.Compile(g, store, engine.Spec{Outputs: []*graph.Node{out}, Hold: hold, Recompute: recompute})
			if err != nil {
				t.Fatal(err)
			}
			if err := p.Feed(in, images); err != nil {
				t.Fatal(err)
			}
			before := buffers(store)
			p.Run(0)
			if got := buffers(store); slices.Equal(got, before) != hold {
				t.Errorf("hold %v: the statistics moved with the run: %v", hold, !hold)
			}
			p.Assign()
			statistics[i] = append(statistics[i], buffers(store)...)
			if n := len(p.Profile()); n != len(p.Steps()) {
				t.Errorf("%d times of %d steps", n, len(p.Steps()))
			}
		}
	}
	if !slices.Equal(statistics[0], statistics[1]) {
		t.Error("the deferred assignments differ")
	}
}

// Programs for several batch sizes train the same parameters, and inference
// sees every update although it caches packed weights.
func TestProgramsShareTheStore(t *testing.T) {
	m := small()
	store := engine.NewStore(device(t, 2))
	large, last := trainStep(t, m, store, 8, false), trainStep(t, m, store, 3, false)
	g := graph.New(graph.Eval)
	x := g.Input("images", tensor.Float32, 2, 3, 8, 8)
	y := m.Forward(x)
	infer, err := engine.Compile(g, store, engine.Spec{Outputs: []*graph.Node{y}})
	if err != nil {
		t.Fatal(err)
	}
	images, _ := batchOf(2, 1)
	for i := range 3 {
		large.run(t, i)
		last.run(t, i)
		if err := infer.Feed(x, images); err != nil {
			t.Fatal(err)
		}
		infer.Run(0)
		got := tensor.New(y.Shape...)
		infer.Read(y, got)
		store.Pull()
		feeds := map[*graph.Node][]float64{x: nil}
		for _, v := range images.Data() {
			feeds[x] = append(feeds[x], float64(v))
		}
		for j, want := range graph.Reference([]*graph.Node{y}, feeds)[0] {
			if d := float64(got.Data()[j]) - want; d > 1e-4 || d < -1e-4 {
				t.Fatalf("after step %d: logit %d is %v, the pulled weights give %v", i, j, got.Data()[j], want)
			}
		}
	}
}

func TestSteadyStepAllocatesNothing(t *testing.T) {
	for _, threads := range []int{1, 2} {
		s := trainStep(t, small(), engine.NewStore(device(t, threads)), 16, false)
		images, labels := batchOf(16, 0)
		loss := tensor.New()
		n := testing.AllocsPerRun(20, func() {
			if s.program.Feed(s.images, images) != nil || s.program.Feed(s.labels, labels) != nil {
				t.Fatal("feeding failed")
			}
			s.program.Run(0)
			s.program.Step(optim.SGD{}, 0.1)
			s.program.Read(s.loss, loss)
		})
		if n != 0 {
			t.Errorf("%d threads: %v allocations a step", threads, n)
		}
	}
}

func TestFeedChecksShapes(t *testing.T) {
	s := trainStep(t, small(), engine.NewStore(device(t, 1)), 4, false)
	if err := s.program.Feed(s.images, tensor.New(5, 3, 8, 8)); err == nil {
		t.Error("Feed accepted a batch of 5 for a program of 4")
	}
	if err := s.program.Feed(s.loss, tensor.New()); err == nil {
		t.Error("Feed accepted an output")
	}
}

// Inference caches packed weights of variables only, since weights that are fed may change
// in every run. The two directions of one weight are packed separately.
func TestFedWeightsAreNotKept(t *testing.T) {
	for _, size := range [][2]int{{6, 5}, {20, 12}} { // direct sums, and Winograd's filtering
		c, hw := size[0], size[1]
		op := graph.Conv2d{StrideH: 1, StrideW: 1, PadH: 1, PadW: 1, DilationH: 1, DilationW: 1, Groups: 1}
		for _, fed := range []bool{true, false} {
			g := graph.New(graph.Eval)
			x, w := g.Input("x", tensor.Float32, 2, c, hw, hw), g.Input("w", tensor.Float32, c, c, 3, 3)
			v := &graph.Variable{Value: tensor.New(c, c, 3, 3), Trainable: true}
			if !fed {
				w = g.Variable(v)
			}
			y := g.Apply(op, x, w)
			back := g.Apply(graph.Conv2dGradInput{Conv2d: op, H: hw, W: hw}, w, y)
			store := engine.NewStore(device(t, 2))
			p, err := engine.Compile(g, store, engine.Spec{Outputs: []*graph.Node{y, back}})
			if err != nil {
				t.Fatal(err)
			}
			for round := range 3 {
				xs, ws := tensor.New(x.Shape...), v.Value
				feeds := map[*graph.Node][]float64{}
				for i := range xs.Data() {
					xs.Data()[i] = float32((i*31+round)%17) / 17
					feeds[x] = append(feeds[x], float64(xs.Data()[i]))
				}
				for i := range ws.Data() {
					ws.Data()[i] = float32((i*29+7*round)%13)/13 - 0.5
					feeds[w] = append(feeds[w], float64(ws.Data()[i]))
				}
				if err := p.Feed(x, xs); err != nil {
					t.Fatal(err)
				}
				if fed {
					err = p.Feed(w, ws)
				} else {
					store.Push()
				}
				if err != nil {
					t.Fatal(err)
				}
				p.Run(0)
				for i, want := range graph.Reference([]*graph.Node{y, back}, feeds) {
					n := []*graph.Node{y, back}[i]
					got := tensor.New(n.Shape...)
					p.Read(n, got)
					for j := range want {
						if d := float64(got.Data()[j]) - want[j]; d > 1e-3 || d < -1e-3 {
							t.Fatalf("%d channels, fed %v, round %d: element %d of %v is %v, want %v", c, fed, round, j, n, got.Data()[j], want[j])
						}
					}
				}
			}
		}
	}
}

// A program may have no steps: its outputs are then variables or inputs.
func TestProgramWithoutSteps(t *testing.T) {
	g := graph.New(graph.Eval)
	x := g.Input("x", tensor.Float32, 2, 3, 4, 5)
	v := g.Variable(&graph.Variable{Value: tensor.New(3).Fill(7), Trainable: true})
	p, err := engine.Compile(g, engine.NewStore(device(t, 1)), engine.Spec{Outputs: []*graph.Node{x, v}})
	if err != nil {
		t.Fatal(err)
	}
	images := tensor.New(2, 3, 4, 5)
	for i := range images.Data() {
		images.Data()[i] = float32(i)
	}
	if err := p.Feed(x, images); err != nil {
		t.Fatal(err)
	}
	p.Run(0)
	gotX, gotV := tensor.New(2, 3, 4, 5), tensor.New(3)
	p.Read(x, gotX)
	p.Read(v, gotV)
	if gotV.At(2) != 7 || gotX.At(1, 2, 3, 4) != images.At(1, 2, 3, 4) || gotX.At(0, 1, 0, 2) != images.At(0, 1, 0, 2) {
		t.Errorf("read %v and %v", gotX, gotV)
	}
}

package engine_test

import (
	"math"
	"slices"
	"testing"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/optim"
	"github.com/residual-ml/residual/tensor"
)

// updating compiles a training step of a module on fixed images, runs it and returns it.
// change may alter the updates before the step is compiled.
func updating(t *testing.T, m nn.Module, threads int, change func(params []nn.NamedParameter, g *graph.Graph, spec *engine.Spec)) (*engine.Program, *engine.Store) {
	t.Helper()
	nn.Init(m, 1, nn.XavierUniform)
	g := graph.New(graph.Train)
	x, labels := g.Input("x", tensor.Float32, 4, 3, 16, 16), g.Input("labels", tensor.Int64, 4)
	params := nn.Parameters(m)
	spec := engine.Spec{}
	change(params, g, &spec)
	loss := nn.CrossEntropyLoss{}.Forward(m.Forward(x), labels)
	var leaves []*graph.Node
	for _, p := range params {
		leaves = append(leaves, g.Variable(p.Variable))
	}
	rates := spec.Updates
	spec.Updates, spec.Outputs = nil, []*graph.Node{loss}
	for i, d := range graph.Gradients(loss, leaves) {
		u := engine.Update{Variable: params[i].Variable, Gradient: d}
		if i < len(rates) {
			u.Rate = rates[i].Rate
		}
		spec.Updates = append(spec.Updates, u)
	}
	for _, b := range nn.Buffers(m) {
		spec.Updates = append(spec.Updates, engine.Update{Variable: b.Variable})
	}
	store := engine.NewStore(device(t, threads))
	p, err := engine.Compile(g, store, spec)
	if err != nil {
		t.Fatal(err)
	}
	images := tensor.New(4, 3, 16, 16)
	nn.NewSource(2, "x").Uniform(images, 1)
	if err := p.Feed(x, images); err != nil {
		t.Fatal(err)
	}
	if err := p.Feed(labels, tensor.FromInts([]int64{3, 1, 4, 1}, 4)); err != nil {
		t.Fatal(err)
	}
	p.Run(1)
	return p, store
}

// spared is an optimiser that skips variables without gradient and counts their elements.
type spared struct {
	optim.Optimizer
	seen chan int
}

func (s spared) Update(param, grad []float32, slots [][]float32, lr float32, step int) {
	if len(grad) == 0 {
		s.seen <- len(param)
		return
	}
	s.Optimizer.Update(param, grad, slots, lr, step)
}

// Update.Rate multiplies a variable's step, and the updater also gets variables without
// gradient.
func TestRatesOfVariables(t *testing.T) {
	m := deep(1)
	before := map[string][]float32{}
	p, store := updating(t, m, 2, func(params []nn.NamedParameter, _ *graph.Graph, spec *engine.Spec) {
		for i, q := range params {
			before[q.Name] = slices.Clone(q.Value.Data())
			spec.Updates = append(spec.Updates, engine.Update{Rate: float32(i % 3)}) // 0 means 1
		}
	})
	norm := 0.0
	grads := map[string][]float32{}
	for i, q := range nn.Parameters(m) {
		d := tensor.New(q.Value.Shape()...)
		p.Gradient(i, d)
		grads[q.Name] = d.Data()
		norm += optim.Norm(d.Data()) * optim.Norm(d.Data())
	}
	var all []int
	for i := range nn.Parameters(m) {
		all = append(all, i)
	}
	if got := p.Norm(all)(); math.Abs(got-math.Sqrt(norm)) > 1e-9*got {
		t.Errorf("the gradients' norm is %v, want %v", got, math.Sqrt(norm))
	}
	other, _ := updating(t, deep(1), 3, func([]nn.NamedParameter, *graph.Graph, *engine.Spec) {})
	if other.Norm(all)() != p.Norm(all)() {
		t.Error("the norm depends on the number of threads")
	}
	one := grads[nn.Parameters(m)[2].Name]
	if got, want := p.Norm([]int{2})(), optim.Norm(one); math.Abs(got-want) > 1e-9*want {
		t.Errorf("the norm of one gradient is %v, want %v", got, want)
	}
	seen, total, want := make(chan int, 100), 0, 0
	p.Step(spared{optim.SGD{}, seen}, 0.5)
	close(seen)
	for n := range seen {
		total += n
	}
	for _, b := range nn.Buffers(m) {
		want += b.Value.Numel()
	}
	if total != want {
		t.Errorf("the updater saw %d elements without gradient, there are %d", total, want)
	}
	store.Pull()
	for i, q := range nn.Parameters(m) {
		rate := float32(0.5) * float32(max(i%3, 1))
		for j, v := range q.Value.Data() {
			if w := before[q.Name][j] - float32(rate*grads[q.Name][j]); v != w {
				t.Fatalf("%s[%d] is %v, want %v", q.Name, j, v, w)
			}
		}
	}
	if store.Step() != 1 {
		t.Errorf("%d steps were counted", store.Step())
	}
	p.Apply(spared{optim.SGD{}, make(chan int, 100)}, 0)
	if store.Step() != 1 {
		t.Error("a pass was counted as a step")
	}
}

// A frozen batch norm computes in training what it computes in evaluation.
func TestFrozenBatchNorm(t *testing.T) {
	for _, unfused := range []bool{false, true} {
		m := nn.Sequential{nn.NewConv2d(3, 6, 3), nn.NewBatchNorm2d(6), nn.ReLU{}, nn.NewConv2d(6, 6, 3), nn.NewBatchNorm2d(6), nn.ReLU{},
			nn.AdaptiveAvgPool2d{}, nn.Flatten{}, nn.NewLinear(6, 5)}
		var frozen []*graph.Variable
		p, store := updating(t, m, 2, func(params []nn.NamedParameter, g *graph.Graph, spec *engine.Spec) {
			spec.Unfused = unfused
			nn.NewSource(3, "mean").Uniform(m[4].(*nn.BatchNorm2d).RunningMean.Value, 0.1)
			m[4].(*nn.BatchNorm2d).RunningVar.Value.Fill(0.7)
			frozen = append(frozen, m[4].(*nn.BatchNorm2d).RunningMean, m[4].(*nn.BatchNorm2d).RunningVar)
			g.Freeze(frozen...)
		})
		mean, moving := slices.Clone(frozen[0].Value.Data()), slices.Clone(m[1].(*nn.BatchNorm2d).RunningMean.Value.Data())
		store.Pull()
		if !slices.Equal(mean, frozen[0].Value.Data()) || frozen[1].Value.Data()[0] != 0.7 {
			t.Error("the frozen statistics have moved")
		}
		if slices.Equal(moving, m[1].(*nn.BatchNorm2d).RunningMean.Value.Data()) {
			t.Error("the statistics of the other one have not moved")
		}
		// Compare its weight's gradient with a difference of losses for the same statistics.
		const h = 0.01
		weight := m[4].(*nn.BatchNorm2d).Weight
		d := tensor.New(6)
		for i, q := range nn.Parameters(m) {
			if q.Variable == weight {
				p.Gradient(i, d)
			}
		}
		for c := range 6 {
			loss := func(by float32) float64 {
				weight.Value.Data()[c] += by
				defer func() { weight.Value.Data()[c] -= by }()
				return lossOf(t, m, frozen)
			}
			if want := (loss(h) - loss(-h)) / (2 * h); math.Abs(want-float64(d.Data()[c])) > 2e-3*max(0.05, math.Abs(want)) {
				t.Errorf("unfused %v: the gradient of weight %d is %v, the loss says %v", unfused, c, d.Data()[c], want)
			}
		}
	}
}

// lossOf computes the loss of updating's batch.
func lossOf(t *testing.T, m nn.Module, frozen []*graph.Variable) float64 {
	t.Helper()
	g := graph.New(graph.Train)
	g.Freeze(frozen...)
	x, labels := g.Input("x", tensor.Float32, 4, 3, 16, 16), g.Input("labels", tensor.Int64, 4)
	loss := nn.CrossEntropyLoss{}.Forward(m.Forward(x), labels)
	g.Assignments = nil
	p, err := engine.Compile(g, engine.NewStore(device(t, 1)), engine.Spec{Outputs: []*graph.Node{loss}})
	if err != nil {
		t.Fatal(err)
	}
	images := tensor.New(4, 3, 16, 16)
	nn.NewSource(2, "x").Uniform(images, 1)
	if err := p.Feed(x, images); err != nil {
		t.Fatal(err)
	}
	if err := p.Feed(labels, tensor.FromInts([]int64{3, 1, 4, 1}, 4)); err != nil {
		t.Fatal(err)
	}
	p.Run(1)
	out := tensor.New()
	p.Read(loss, out)
	return float64(out.Data()[0])
}

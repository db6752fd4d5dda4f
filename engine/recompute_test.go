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

// stem is a network that begins like d2l's ResNet-18. Its first convolution and pooling take
// most of the memory.
func stem(channels int, blocks ...nn.Module) nn.Sequential {
	s := nn.Sequential{
		nn.NewConv2d(3, channels, 7, nn.Conv{Stride: 2, Padding: 3}), nn.NewBatchNorm2d(channels), nn.ReLU{},
		nn.MaxPool2d{Kernel: 3, Stride: 2, Padding: 1},
	}
	return append(s, blocks...)
}

func head(channels int) nn.Sequential {
	return nn.Sequential{nn.AdaptiveAvgPool2d{}, nn.Flatten{}, nn.NewLinear(channels, 5)}
}

// deep is a network with stages of many blocks and a small stem.
func deep(blocks int) nn.Module {
	s := nn.Sequential{nn.NewConv2d(3, 8, 3, nn.Conv{Padding: 1}), nn.NewBatchNorm2d(8), nn.ReLU{}}
	s = append(s, nn.ResnetBlock(8, 8, blocks, true)...)
	s = append(s, nn.ResnetBlock(8, 16, blocks, false)...)
	return append(s, head(16)...)
}

// fork reads one value several times, in close and in distant steps.
type fork struct{ A, B, C *nn.Conv2d }

func newFork(n int) *fork {
	conv := func() *nn.Conv2d { return nn.NewConv2d(n, n, 3, nn.Conv{Padding: 1}) }
	return &fork{conv(), conv(), conv()}
}

func (f *fork) Forward(x *graph.Node) *graph.Node {
	a := nn.Tanh{}.Forward(f.A.Forward(x))
	b := nn.Sigmoid{}.Forward(f.B.Forward(a))
	return f.C.Forward(a.Add(b)).Add(a).Add(x).Add(x.Graph.Apply(graph.Mul{}, a, b))
}

// netsToRecompute returns new networks on every call, with the same weights each time.
func netsToRecompute() map[string]nn.Module {
	down := func() nn.Module { return nn.NewResidual(8, 12, nn.Block{Use1x1Conv: true, Stride: 2}) }
	return map[string]nn.Module{
		"residual blocks": small(),
		"stem":            append(stem(8, nn.NewResidual(8, 8), down()), head(12)...),
		"deep":            deep(4),
		"batch-normalised LeNet": nn.Sequential{
			nn.NewConv2d(3, 6, 5, nn.Conv{Padding: 2}), nn.NewBatchNorm2d(6), nn.Sigmoid{}, nn.AvgPool2d{Kernel: 2, Stride: 2},
			nn.NewConv2d(6, 16, 5, nn.Conv{Padding: 2}), nn.NewBatchNorm2d(16), nn.Sigmoid{}, nn.AvgPool2d{Kernel: 2, Stride: 2},
			nn.Flatten{}, nn.NewLinear(16*4*4, 120), nn.NewBatchNorm1d(120), nn.Sigmoid{}, nn.NewLinear(120, 5),
		},
		"dropout": nn.Sequential{
			nn.NewConv2d(3, 8, 3, nn.Conv{Padding: 1}), nn.Tanh{}, nn.Dropout{P: 0.3},
			nn.NewConv2d(8, 8, 3, nn.Conv{Padding: 1}), nn.ReLU{}, nn.Dropout{P: 0.5},
			nn.NewConv2d(8, 8, 3, nn.Conv{Padding: 1}), nn.Tanh{}, nn.Dropout{P: 0.2},
			nn.Flatten{}, nn.NewLinear(8*16*16, 30), nn.Sigmoid{}, nn.NewLinear(30, 5),
		},
		"branches": nn.Sequential{
			nn.NewConv2d(3, 8, 3, nn.Conv{Padding: 1}), nn.ReLU{}, newFork(8), newFork(8), newFork(8), newFork(8),
			nn.MaxPool2d{Kernel: 2, Stride: 2}, nn.Flatten{}, nn.NewLinear(8*8*8, 5),
		},
	}
}

// training is a training step for batches of 16x16 images.
func training(t testing.TB, m nn.Module, store *engine.Store, batch int, spec engine.Spec) step {
	t.Helper()
	g := graph.New(graph.Train)
	s := step{images: g.Input("images", tensor.Float32, batch, 3, 16, 16), labels: g.Input("labels", tensor.Int64, batch)}
	s.loss = g.Apply(graph.CrossEntropy{}, m.Forward(s.images), s.labels)
	var leaves []*graph.Node
	params := nn.Parameters(m)
	for _, p := range params {
		leaves = append(leaves, g.Variable(p.Variable))
	}
	spec.Outputs = []*graph.Node{s.loss}
	for i, d := range graph.Gradients(s.loss, leaves) {
		spec.Updates = append(spec.Updates, engine.Update{Variable: params[i].Variable, Gradient: d})
	}
	var err error
	if s.program, err = engine.Compile(g, store, spec); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s step) feed(t testing.TB, seed int) {
	t.Helper()
	images, labels := tensor.New(s.images.Shape...), tensor.FromInts(make([]int64, s.labels.Shape[0]), s.labels.Shape...)
	for i := range images.Data() {
		images.Data()[i] = float32((i*7919+seed*104729)%997) / 997
	}
	for i := range labels.Ints() {
		labels.Ints()[i] = int64((i + seed) % 5)
	}
	if err := s.program.Feed(s.images, images); err != nil {
		t.Fatal(err)
	}
	if err := s.program.Feed(s.labels, labels); err != nil {
		t.Fatal(err)
	}
}

// trace makes some training steps. It returns the bits of every loss and gradient, and of
// all variables at the end, which are parameters and running statistics.
func trace(t *testing.T, m nn.Module, spec engine.Spec) (bits []uint32, p *engine.Program) {
	t.Helper()
	store := engine.NewStore(device(t, 2))
	s := training(t, m, store, 9, spec)
	add := func(v *tensor.Tensor) {
		for _, x := range v.Data() {
			bits = append(bits, math.Float32bits(x))
		}
	}
	loss := tensor.New()
	for i := range 4 {
		s.feed(t, i)
		s.program.Run(int64(i))
		s.program.Read(s.loss, loss)
		add(loss)
		for j, q := range nn.Parameters(m) {
			d := tensor.New(q.Value.Shape()...)
			s.program.Gradient(j, d)
			add(d)
		}
		s.program.Step(optim.SGD{}, 0.05)
	}
	store.Pull()
	for _, q := range nn.Named(m) {
		if q.Value.DType() == tensor.Float32 {
			add(q.Value)
		}
	}
	return bits, s.program
}

func TestRecomputeGivesTheSameBits(t *testing.T) {
	for name := range netsToRecompute() {
		for _, spec := range []engine.Spec{{}, {Unfused: true}, {Precision: engine.BF16}, {Precision: engine.BF16, Unfused: true}} {
			want, plain := trace(t, netsToRecompute()[name], spec)
			with := spec
			with.Recompute = true
			got, p := trace(t, netsToRecompute()[name], with)
			if x := math.Float32frombits(want[0]); x != x || slices.Max(want[1:100]) == 0 {
				t.Fatalf("%s, %+v: this net does not train", name, spec)
			}
			if len(p.Steps()) <= len(plain.Steps()) {
				t.Errorf("%s, %+v: nothing is computed again", name, spec)
			}
			if a, b := p.Memory().Arena, plain.Memory().Arena; a >= b {
				t.Errorf("%s, %+v: %d bytes, %d without", name, spec, a, b)
			}
			for i := range want {
				if got[i] != want[i] {
					t.Errorf("%s, %+v: number %d of %d is %v, want %v", name, spec, i, len(want),
						math.Float32frombits(got[i]), math.Float32frombits(want[i]))
					break
				}
			}
		}
	}
}

// No step is computed more than twice, and statistics and assignments only once.
func TestRecomputeRepeatsOnce(t *testing.T) {
	count := func(p *engine.Program) (convs, stats, assigns, running int) {
		for _, s := range p.Steps() {
			switch s := s.(type) {
			case *engine.Conv:
				convs++
				if s.Stats != nil {
					stats++
				}
			case *engine.BatchNormStats:
				stats++
			case *engine.Assign:
				assigns++
			case *engine.Compute:
				if _, ok := s.Op.(graph.RunningStats); ok {
					running++
				}
			}
		}
		return
	}
	for _, unfused := range []bool{false, true} {
		without := training(t, deep(6), engine.NewStore(device(t, 1)), 4, engine.Spec{Unfused: unfused}).program
		with := training(t, deep(6), engine.NewStore(device(t, 1)), 4, engine.Spec{Unfused: unfused, Recompute: true}).program
		convs, stats, assigns, running := count(without)
		moreConvs, moreStats, moreAssigns, moreRunning := count(with)
		if moreStats != stats || moreAssigns != assigns || moreRunning != running {
			t.Errorf("unfused %v: %d statistics, %d assignments, %d running statistics; want %d, %d, %d",
				unfused, moreStats, moreAssigns, moreRunning, stats, assigns, running)
		}
		if moreConvs <= convs || moreConvs > 2*convs {
			t.Errorf("unfused %v: %d convolutions, %d without", unfused, moreConvs, convs)
		}
		checkPlan(t, with)
	}
}

// Without Spec.Recompute, only outputs of batch norms are computed again, and only if that
// costs almost nothing compared with the whole step.
func TestRecomputesWhatIsCheap(t *testing.T) {
	const channels, norms, convs = 128, 5, 6 // the last layer is a convolution to the engine
	net := append(stem(channels, nn.NewResidual(channels, channels), nn.NewResidual(channels, channels)), head(channels)...)
	count := func(p *engine.Program) (n, c int) {
		for _, s := range p.Steps() {
			switch s.(type) {
			case *engine.BatchNorm:
				n++
			case *engine.Conv:
				c++
			}
		}
		return n, c
	}
	p := training(t, net, engine.NewStore(device(t, 1)), 64, engine.Spec{}).program
	if n, c := count(p); n <= norms || n > 2*norms || c != convs {
		t.Errorf("%d batch norms and %d convolutions, of %d and %d", n, c, norms, convs)
	}
	checkPlan(t, p)
	thin := training(t, deep(1), engine.NewStore(device(t, 1)), 64, engine.Spec{}).program
	if n, _ := count(thin); n != 5 { // there a batch norm takes long compared with a convolution
		t.Errorf("%d batch norms, of 5", n)
	}
}

// The deeper the network, the smaller the share of its values that is retained.
func TestRecomputeTakesTheRoot(t *testing.T) {
	last := 1.0
	for _, blocks := range []int{2, 5, 12} {
		without := training(t, deep(blocks), engine.NewStore(device(t, 1)), 16, engine.Spec{}).program.Memory()
		with := training(t, deep(blocks), engine.NewStore(device(t, 1)), 16, engine.Spec{Recompute: true}).program.Memory()
		share := float64(with.Arena) / float64(without.Arena)
		if share >= last {
			t.Errorf("%d blocks a stage take %.2f of the memory, fewer blocks %.2f", blocks, share, last)
		}
		last = share
	}
	if last > 0.3 {
		t.Errorf("the deepest net still takes %.2f of the memory", last)
	}
}

// A program without gradients is left as it is.
func TestRecomputeLeavesInferenceAlone(t *testing.T) {
	g := graph.New(graph.Eval)
	y := small().Forward(g.Input("images", tensor.Float32, 4, 3, 16, 16))
	store := engine.NewStore(device(t, 1))
	a, err := engine.Compile(g, store, engine.Spec{Outputs: []*graph.Node{y}})
	if err != nil {
		t.Fatal(err)
	}
	b, err := engine.Compile(g, store, engine.Spec{Outputs: []*graph.Node{y}, Recompute: true})
	if err != nil {
		t.Fatal(err)
	}
	if len(a.Steps()) != len(b.Steps()) || a.Memory().Arena != b.Memory().Arena {
		t.Errorf("%d steps in %d bytes became %d in %d", len(a.Steps()), a.Memory().Arena, len(b.Steps()), b.Memory().Arena)
	}
}

func TestRecomputedStepAllocatesNothing(t *testing.T) {
	s := training(t, deep(3), engine.NewStore(device(t, 2)), 8, engine.Spec{Recompute: true})
	s.feed(t, 0)
	s.program.Run(0)
	s.program.Step(optim.SGD{}, 0.1)
	if n := testing.AllocsPerRun(20, func() {
		s.program.Run(0)
		s.program.Step(optim.SGD{}, 0.1)
	}); n != 0 {
		t.Errorf("%v allocations a step", n)
	}
}

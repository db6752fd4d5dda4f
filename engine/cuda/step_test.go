//go:build cuda && !windows

package cuda

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cuda/emulate"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/optim"
	"github.com/residual-ml/residual/tensor"
)

// stepped is a small network in training, on a device of its own.
type stepped struct {
	gpu       *emulate.GPU
	store     *engine.Store
	program   *engine.Program
	x, labels *graph.Node
	loss      *graph.Node
	trained   []*graph.Variable
	norm      func() float64
	finite    func() bool
}

// newStepped makes one, with the same variables every time.
func newStepped(t *testing.T, averaged bool) *stepped {
	t.Helper()
	d, gpu := emulated(t)
	s := &stepped{gpu: gpu, store: engine.NewStore(d)}
	norm := nn.NewBatchNorm2d(4)
	m := nn.Sequential{nn.NewConv2d(2, 4, 3), norm, nn.ReLU{}, nn.Flatten{}, nn.NewLinear(64, 8), nn.NewLinear(8, 5)}
	nn.Init(m, 3, nn.XavierUniform)
	g := graph.New(graph.Train)
	s.x, s.labels = g.Input("x", tensor.Float32, 3, 2, 6, 6), g.Input("labels", tensor.Int64, 3)
	s.loss = nn.CrossEntropyLoss{}.Forward(m.Forward(s.x), s.labels)
	var leaves []*graph.Node
	for _, p := range nn.Parameters(m) {
		s.trained = append(s.trained, p.Variable)
		leaves = append(leaves, g.Variable(p.Variable))
	}
	var updates []engine.Update
	for i, grad := range graph.Gradients(s.loss, leaves) {
		updates = append(updates, engine.Update{Variable: s.trained[i], Gradient: grad, Rate: float32(i + 1)})
	}
	if averaged {
		updates = append(updates, engine.Update{Variable: norm.RunningMean})
		s.trained = append(s.trained, norm.RunningMean)
	}
	var err error
	if s.program, err = engine.Compile(g, s.store, engine.Spec{Outputs: []*graph.Node{s.loss}, Updates: updates}); err != nil {
		t.Fatal(err)
	}
	all := make([]int, len(leaves))
	for i := range all {
		all[i] = i
	}
	s.norm, s.finite = s.program.Norm(all), s.program.Finite()
	return s
}

// feed writes the images of batch b, which differ from batch to batch.
func (s *stepped) feed(t *testing.T, batch int) {
	t.Helper()
	x := tensor.New(3, 2, 6, 6)
	nn.NewSource(uint64(batch), "x").Uniform(x, 1)
	labels := tensor.FromInts([]int64{int64(batch % 5), 1, 4}, 3)
	if err := s.program.Feed(s.x, x); err != nil {
		t.Fatal(err)
	}
	if err := s.program.Feed(s.labels, labels); err != nil {
		t.Fatal(err)
	}
}

// train runs a step as one piece of work. The values that it returns must be those that are
// read afterwards.
func (s *stepped) train(key int64, passes []engine.Pass) (made int, ok bool) {
	values, called := make([]float32, 1), 0
	made, ok = s.program.Train(key, passes, []*graph.Node{s.loss}, values, func() { called++ })
	loss := tensor.New()
	s.program.Read(s.loss, loss)
	if ok && (math.Float32bits(loss.Data()[0]) != math.Float32bits(values[0]) || called != 1) {
		panic(fmt.Sprintf("the loss is %v and was read as %v, with %d calls meanwhile", loss.Data()[0], values[0], called))
	}
	return made, ok
}

// apart does what Train does as separate calls.
func (s *stepped) apart(key int64, passes []engine.Pass) (made int) {
	s.program.Run(key)
	loss := tensor.New()
	s.program.Read(s.loss, loss)
	if l := loss.Data()[0]; l-l != 0 {
		return 0
	}
	for k, q := range passes {
		if (k == 0 || replaces(passes[k-1].Updater)) && !s.finite() {
			return k
		}
		u := q.Updater
		if q.Clip > 0 {
			switch o := u.(type) {
			case *optim.Averaged:
				clipped := *o
				clipped.Factor = optim.ClipFactor(s.norm(), q.Clip)
				u = &clipped
			case optim.Optimizer:
				u = &optim.Scaled{Optimizer: o, Factor: optim.ClipFactor(s.norm(), q.Clip)}
			}
		}
		if q.Counts {
			s.program.Step(u, q.LR)
		} else {
			s.program.Apply(u, q.LR)
		}
	}
	return len(passes)
}

// bits returns the bits of all variables and optimiser slots.
func (s *stepped) bits(slots int) (all []uint32) {
	s.store.Pull()
	for _, v := range s.trained {
		vectors := []*tensor.Tensor{v.Value}
		for i := range slots {
			slot := s.store.Slot(v, i)
			if slot == nil { // none yet
				slot = tensor.New(v.Value.Shape()...)
			}
			vectors = append(vectors, slot)
		}
		for _, x := range vectors {
			for _, f := range x.Data() {
				all = append(all, math.Float32bits(f))
			}
		}
	}
	return all
}

// rules are the kinds of steps that tests run: the passes of batch b at the rate lr.
var rules = []struct {
	name     string
	averaged bool
	passes   func(b int, lr float32) []engine.Pass
}{
	{"sgd", false, func(b int, lr float32) []engine.Pass {
		return []engine.Pass{{Updater: optim.SGD{Momentum: 0.9, WeightDecay: 0.01}, LR: lr, Counts: true}}
	}},
	{"adamw", false, func(b int, lr float32) []engine.Pass {
		return []engine.Pass{{Updater: optim.AdamW{WeightDecay: 0.1}, LR: lr, Counts: true}}
	}},
	{"lars", false, func(b int, lr float32) []engine.Pass {
		return []engine.Pass{{Updater: optim.LARS{Momentum: 0.9, WeightDecay: 0.01}, LR: lr, Counts: true}}
	}},
	{"clipped", false, func(b int, lr float32) []engine.Pass {
		return []engine.Pass{{Updater: optim.SGD{Nesterov: true, Momentum: 0.5}, LR: lr, Clip: 0.7, Counts: true}}
	}},
	{"not clipped by much", false, func(b int, lr float32) []engine.Pass {
		return []engine.Pass{{Updater: optim.SGD{}, LR: lr, Clip: 1e6, Counts: true}}
	}},
	{"averaged sums, clipped", true, func(b int, lr float32) []engine.Pass {
		sum := &optim.Sum{TotalSlots: 3, At: 1, Weight: 3, Phase: optim.SumGrows}
		if b%2 == 0 {
			sum.Phase = optim.SumBegins
			return []engine.Pass{{Updater: sum}}
		}
		step := &optim.Averaged{Scaled: optim.Scaled{Optimizer: optim.SGD{Momentum: 0.9}, Factor: 1}, TotalSlots: 3, At: 2, AverageWeight: float32(1) / float32(b+1)}
		return []engine.Pass{
			{Updater: sum}, {Updater: &optim.Sum{TotalSlots: 3, At: 1, Weight: 1.0 / 6, Phase: optim.SumReplace}},
			{Updater: step, LR: lr, Clip: 1, Counts: true},
		}
	}},
}

// A step as one graph gives the same bits as a step whose run, checks and passes are
// separate calls, with a rate that changes at every step and threads in either order. From
// the third step of a kind on, the device launches only the graph.
func TestTrainIsOneGraph(t *testing.T) {
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) {
			one, two := newStepped(t, r.averaged), newStepped(t, r.averaged)
			for b := range 8 {
				passes := r.passes(b, 0.1/float32(b+1))
				one.gpu.Backward = b%3 == 1
				one.feed(t, b)
				two.feed(t, b)
				graphs, alone := one.gpu.Graphs, one.gpu.Alone
				made, ok := one.train(int64(b), passes)
				if !ok || made != len(passes) {
					t.Fatalf("batch %d: %d of %d passes, %v", b, made, len(passes), ok)
				}
				if b >= 4 && (one.gpu.Graphs != graphs+1 || one.gpu.Alone != alone) {
					t.Errorf("batch %d: %d graphs and %d kernels beside them", b, one.gpu.Graphs-graphs, one.gpu.Alone-alone)
				}
				if n := two.apart(int64(b), passes); n != made {
					t.Fatalf("batch %d: %d passes, apart %d", b, made, n)
				}
				if n := passes[0].Updater.Slots(); !slices.Equal(one.bits(n), two.bits(n)) {
					t.Fatalf("batch %d: other bits than apart", b)
				}
				if one.store.Step() != two.store.Step() {
					t.Fatalf("batch %d: step %d, apart %d", b, one.store.Step(), two.store.Step())
				}
			}
			if err := one.store.Device().Err(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// A loss or a gradient that is not finite stops a step before the optimiser changes
// anything, whether the step is launched, captured or a graph.
func TestTrainStopsAtWhatIsNotFinite(t *testing.T) {
	for _, r := range rules {
		for _, lossToo := range []bool{true, false} {
			for bad := range 6 {
				t.Run(fmt.Sprintf("%s, loss %v, batch %d", r.name, lossToo, bad), func(t *testing.T) {
					s := newStepped(t, r.averaged)
					for b := range bad {
						s.feed(t, b)
						if _, ok := s.train(int64(b), r.passes(b, 0.1)); !ok {
							t.Fatal("not made")
						}
					}
					s.store.Pull()
					if lossToo {
						s.trained[6].Value.Data()[3] = float32(math.NaN())
					} else { // the first linear layer's gradient is the product of its huge inputs and a large one
						scale, shift, first, last := s.trained[2].Value, s.trained[3].Value, s.trained[4].Value, s.trained[6].Value
						scale.Fill(0)
						shift.Fill(3e38)
						first.Fill(0)
						last.Fill(0)
						for i := range 8 {
							first.Data()[64*i], last.Data()[i] = 2e-38, 100
						}
					}
					s.store.Push()
					s.feed(t, bad)
					passes := r.passes(bad, 0.1)
					slots, step := passes[0].Updater.Slots(), s.store.Step()
					before := s.bits(slots)
					made, ok := s.train(int64(bad), passes)
					loss := tensor.New()
					s.program.Read(s.loss, loss)
					if l := loss.Data()[0]; (l-l != 0) != lossToo {
						t.Fatalf("the loss is %v", l)
					}
					after := s.bits(slots)
					if r.averaged { // the running mean moves with the run
						n := s.trained[len(s.trained)-1].Value.Numel() * (1 + slots)
						before, after = before[:len(before)-n], after[:len(after)-n]
					}
					if made != 0 || !ok || s.store.Step() != step || !slices.Equal(before, after) {
						t.Errorf("%d passes were made, %v, after %d steps of %d; the same bits: %v", made, ok, s.store.Step(), step, slices.Equal(before, after))
					}
				})
			}
		}
	}
}

// If gradients are finite but their accumulated sum is not, the second check stops the step.
func TestTrainLooksAtTheMean(t *testing.T) {
	s := newStepped(t, false)
	sum := func(p optim.Phase, w float32) engine.Pass {
		return engine.Pass{Updater: &optim.Sum{TotalSlots: 1, At: 0, Weight: w, Phase: p}}
	}
	for b := range 4 {
		s.feed(t, b)
		s.store.Pull()
		before := s.bits(0)
		passes := []engine.Pass{
			sum(optim.SumBegins, 3e38), sum(optim.SumReplace, 3e38),
			{Updater: &optim.Averaged{Scaled: optim.Scaled{Optimizer: optim.SGD{}, Factor: 1}, TotalSlots: 1}, LR: 0.1, Counts: true},
		}
		if made, ok := s.train(0, passes); made != 2 || !ok || s.store.Step() != 0 || !slices.Equal(before, s.bits(0)) {
			t.Errorf("batch %d: %d passes and %d steps, %v", b, made, s.store.Step(), ok)
		}
	}
}

// A step with an updater that no kernel computes is not begun.
func TestTrainLeavesWhatItDoesNotKnow(t *testing.T) {
	s := newStepped(t, false)
	s.feed(t, 0)
	launches := s.gpu.Launches
	for _, q := range []engine.Pass{
		{Updater: doubling{}, Counts: true}, {Updater: &optim.Scaled{Optimizer: optim.SGD{}, Factor: 0.5}, Clip: 1, Counts: true},
	} {
		if _, ok := s.train(0, []engine.Pass{q}); ok || s.store.Step() != 0 || s.gpu.Launches != launches {
			t.Errorf("%T: %v, %d launches", q.Updater, ok, s.gpu.Launches-launches)
		}
	}
}

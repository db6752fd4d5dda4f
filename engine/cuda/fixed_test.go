//go:build cuda && !windows

package cuda

import (
	"slices"
	"testing"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/tensor"
)

// Results that depend only on variables, such as the stacked running statistics of batch
// norms in an evaluation, are computed once, and again when the variables have changed.
func TestFixedStepsAreMadeOnce(t *testing.T) {
	d, gpu := emulated(t)
	norm := nn.NewBatchNorm2d(3)
	m := nn.Sequential{nn.NewConv2d(2, 3, 3), norm, nn.ReLU{}}
	nn.Init(m, 3, nn.XavierUniform)
	x := tensor.New(2, 2, 6, 6)
	nn.NewSource(1, "x").Uniform(x, 1)
	store := engine.NewStore(d)
	program := func(s *engine.Store) func() []float32 {
		g := graph.New(graph.Eval)
		in := g.Input("x", tensor.Float32, 2, 2, 6, 6)
		out := m.Forward(in)
		p, err := engine.Compile(g, s, engine.Spec{Outputs: []*graph.Node{out}})
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Feed(in, x); err != nil {
			t.Fatal(err)
		}
		return func() []float32 {
			p.Run(0)
			y := tensor.New(out.Shape...)
			p.Read(out, y)
			return slices.Clone(y.Data())
		}
	}
	fresh := func() []float32 { return program(engine.NewStore(d))() }
	run := program(store)
	for i := range 3 {
		if !slices.Equal(run(), fresh()) {
			t.Errorf("run %d gives other bits than a program of its own", i)
		}
	}
	was := run()
	for i := range norm.RunningMean.Value.Data() {
		norm.RunningMean.Value.Data()[i] += 0.25 * float32(i+1)
	}
	if !slices.Equal(run(), was) {
		t.Error("what the host alone knows changed the result")
	}
	store.Push()
	alone := gpu.Alone
	got := run()
	made := gpu.Alone - alone
	if slices.Equal(got, was) || !slices.Equal(got, fresh()) {
		t.Error("other running statistics on the device left the result, or gave another than a program of its own")
	}
	alone = gpu.Alone
	again := run()
	if !slices.Equal(again, got) || made != gpu.Alone-alone+2 {
		t.Errorf("%d kernels by themselves where the variables had changed, %d where they had not; want two more", made, gpu.Alone-alone)
	}
	if err := d.Err(); err != nil {
		t.Fatal(err)
	}
}

package cpu

import (
	"math/rand/v2"
	"testing"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/conformance"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/tensor"
)

// TestStatisticsFollowTheirVariables checks that the scale and shift of a batch norm, which are
// computed only when variables have changed, change with each of them.
func TestStatisticsFollowTheirVariables(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 2))
	images := conformance.Random(rng, 1, 3, 8, 8)
	for _, precision := range []engine.Precision{engine.FP32, engine.BF16} {
		norm := nn.NewBatchNorm2d(32)
		net := nn.Sequential{nn.NewConv2d(3, 32, 3, nn.Conv{Padding: 1}), norm, nn.ReLU{}}
		nn.Init(net, 3, nn.KaimingNormal)
		d, err := New(Options{Threads: 2})
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		g := graph.New(graph.Eval)
		x := g.Input("x", tensor.Float32, 1, 3, 8, 8)
		y := net.Forward(x)
		store := engine.NewStore(d)
		program := func() *engine.Program {
			p, err := engine.Compile(g, store, engine.Spec{Outputs: []*graph.Node{y}, Precision: precision})
			if err != nil {
				t.Fatal(err)
			}
			if err := p.Feed(x, images); err != nil {
				t.Fatal(err)
			}
			return p
		}
		p := program()
		read := func(p *engine.Program) []float32 {
			if err := p.Run(0); err != nil {
				t.Fatal(err)
			}
			out := tensor.New(y.Shape...)
			p.Read(y, out)
			return out.Data()
		}
		last := read(p)
		for _, v := range g.Variables() {
			for i := range v.Value.Data() {
				v.Value.Data()[i] = 0.5 + rng.Float32()
			}
			store.Push()
			got, want := read(p), read(program())
			if !equal(got, want) {
				t.Errorf("%v: after a change of %s a program computes something else than a new one", precision, v.Name)
			}
			if equal(got, last) {
				t.Errorf("%v: a change of %s changes nothing", precision, v.Name)
			}
			last = got
		}
	}
}

func equal(a, b []float32) bool {
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return len(a) == len(b)
}

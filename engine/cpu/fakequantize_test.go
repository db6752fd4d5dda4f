package cpu

import (
	"math/rand/v2"
	"testing"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/conformance"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/tensor"
)

// Scales are powers of two, so that rounding to bfloat16 changes no quantised value.
func TestFakeQuantize(t *testing.T) {
	r := rand.New(rand.NewPCG(51, 52))
	for _, s := range []tensor.Shape{{5}, {33, 5}, {3, 5, 9}, {2, 5, 3, 5}, {20, 5, 30, 6}, {2, 5, 2, 3, 2}} {
		several := graph.FakeQuantize{Scale: []float32{1, 0.5, 0.25, 1.0 / 8, 1.0 / 64}, Axis: min(1, len(s)-1), Low: -3, High: 4}
		for _, op := range []graph.FakeQuantize{graph.Uint8(1.0/64, 0), graph.Uint8(1.0/32, 128), graph.Int8(1.0 / 64), several} {
			conformance.Op(t, r, check, op, s)
		}
	}
}

// Rounded weights follow their variable: a program that computes them once computes them
// again when the store has new values.
func TestRoundedWeightsFollowTheStore(t *testing.T) {
	dev, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	for _, precision := range []engine.Precision{engine.FP32, engine.BF16, engine.INT8} {
		g := graph.New(graph.Eval)
		v := &graph.Variable{Value: tensor.New(8, 4, 1, 1).Fill(0.3)}
		x := g.Input("x", tensor.Float32, 2, 4, 3, 3)
		w := g.Apply(graph.Int8(0.25), g.Variable(v))
		y := g.Apply(graph.Conv2d{StrideH: 1, StrideW: 1, DilationH: 1, DilationW: 1, Groups: 1}, g.Apply(graph.Uint8(1, 0), x), w)
		store := engine.NewStore(dev)
		p, err := engine.Compile(g, store, engine.Spec{Outputs: []*graph.Node{y}, Precision: precision})
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Feed(x, tensor.New(x.Shape...).Fill(2)); err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct{ weight, want float32 }{{0.3, 2}, {0.3, 2}, {0.6, 4}, {-1.1, -8}} {
			v.Value.Fill(c.weight)
			store.Push()
			if err := p.Run(0); err != nil {
				t.Fatal(err)
			}
			got := tensor.New(y.Shape...)
			if p.Read(y, got); got.Data()[0] != c.want || got.Data()[140] != c.want {
				t.Errorf("%v: a weight of %v gives %v, want %v", precision, c.weight, got.Data()[0], c.want)
			}
		}
	}
}

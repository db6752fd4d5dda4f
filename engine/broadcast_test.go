package engine

import (
	"testing"

	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/tensor"
)

// What is only broadcast to an elementwise operation is not written to memory; what something else
// reads, or is an output, is.
func TestBroadcastOperandsAreReadAsTheyAre(t *testing.T) {
	g := graph.New(graph.Eval)
	x, c := g.Input("x", tensor.Float32, 3, 4, 5, 5), g.Input("c", tensor.Float32, 4, 1, 1)
	wide := c.Broadcast(3, 4, 5, 5)
	y := x.Mul(c).Add(wide).Shift(1)
	joined := graph.Join(1, y, wide)
	for _, outputs := range [][]*graph.Node{{y}, {joined}, {y, wide}} {
		lo, err := lower(g, NewStore(nil), FP32, outputs)
		if err != nil {
			t.Fatal(err)
		}
		retained := len(outputs) > 1 || outputs[0] == joined
		large := 0
		for _, s := range broadcastOperands(lo.steps) {
			c, ok := s.(*Compute)
			if !ok {
				continue
			}
			if repeats(c) {
				large++
			}
			for i, v := range c.In {
				if broadcasting(c.Op) && v.Numel() != c.Out.Numel() && v.Numel() != 4 && v.Numel() != 1 {
					t.Errorf("%s reads %v as input %d", c.Op.Name(), v, i)
				}
			}
		}
		if want := map[bool]int{false: 0, true: 1}[retained]; large != want {
			t.Errorf("%v: %d broadcasts are written, want %d", outputs, large, want)
		}
	}
}

package ptq

import (
	"testing"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/tensor"
)

// A layer whose number of channels the integer products do not take reads a rounded weight. The
// time of its convolution belongs to the layer, and so does that of one with integers.
func TestWeightsOf(t *testing.T) {
	for _, channels := range []int{6, 8} {
		g := graph.New(graph.Eval)
		x := g.Input("x", tensor.Float32, 1, channels, 5, 5)
		w := g.Variable(&graph.Variable{Value: tensor.New(4, channels, 3, 3), Name: "conv.weight"})
		y := g.Apply(graph.Conv2d{StrideH: 1, StrideW: 1, DilationH: 1, DilationW: 1, Groups: 1},
			g.Apply(graph.Uint8(0.1, 0), x), g.Apply(graph.Int8(0.1), w))
		dev, err := cpu.New(cpu.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer dev.Close()
		p, err := engine.Compile(g, engine.NewStore(dev), engine.Spec{Outputs: []*graph.Node{y}, Precision: engine.INT8})
		if err != nil {
			t.Fatal(err)
		}
		names, found := weightsOf(p.Steps()), false
		for i, s := range p.Steps() {
			switch s.(type) {
			case *engine.Conv:
				found = true
				if names[i] != "conv.weight" {
					t.Errorf("%d channels: the convolution is said to be of %q", channels, names[i])
				}
			case *engine.Quantize:
				if names[i] != "" {
					t.Errorf("%d channels: the rounding of the input is said to be of %q", channels, names[i])
				}
			}
		}
		if !found {
			t.Errorf("%d channels: no convolution", channels)
		}
	}
}

package ptq

import (
	"testing"

	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/tensor"
)

// Layers that no device computes with integers are not quantised, and say why.
func TestLayersInFloatingPoint(t *testing.T) {
	m := nn.Sequential{
		nn.NewConv2d(3, 6, 3, nn.Conv{}), nn.ReLU{}, nn.NewConv2d(6, 8, 3, nn.Conv{}), nn.ReLU{}, nn.NewConv2d(8, 8, 3, nn.Conv{Groups: 2}), nn.ReLU{},
		nn.NewConv2d(8, 8, 3, nn.Conv{}), nn.ReLU{}, nn.NewConv2d(8, 5, 1, nn.Conv{}),
	}
	g := graph.New(graph.Eval)
	layers, err := layersOf(m, m.Forward(g.Input("x", tensor.Float32, 1, 3, 12, 12)))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"the first layer", "its 6 input channels are no multiple of 4", "its channels are in groups", "", "the last layer"}
	for i, l := range layers {
		if l.why != want[i] {
			t.Errorf("layer %d stays in floating point since %q, want %q", i, l.why, want[i])
		}
	}
	if len(layers) != len(want) {
		t.Errorf("%d layers, want %d", len(layers), len(want))
	}
}

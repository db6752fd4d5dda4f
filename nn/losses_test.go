package nn_test

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"reflect"
	"testing"

	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/tensor"
)

type lossCase struct {
	Loss        string
	Settings    map[string]any
	Shape       []int
	TargetShape []int `json:"target_shape"`
	Outputs     []float64
	Targets     []float64
	Value       float64
	Gradient    []float64
}

// losses are what the fixture calls by name.
var losses = map[string]any{
	"BCEWithLogitsLoss": &nn.BCEWithLogitsLoss{}, "MSELoss": &nn.MSELoss{}, "L1Loss": &nn.L1Loss{}, "HuberLoss": &nn.HuberLoss{},
	"SmoothL1Loss": &nn.SmoothL1Loss{}, "FocalLoss": &nn.FocalLoss{}, "SigmoidFocalLoss": &nn.SigmoidFocalLoss{}, "CrossEntropyLoss": &nn.CrossEntropyLoss{}, "DistillationLoss": &nn.DistillationLoss{},
}

// with returns the loss that the case describes.
func (c lossCase) loss(t *testing.T) nn.Loss {
	t.Helper()
	v := reflect.New(reflect.TypeOf(losses[c.Loss]).Elem())
	text, err := json.Marshal(c.Settings)
	if err == nil {
		err = json.Unmarshal(text, v.Interface())
	}
	if err != nil {
		t.Fatal(err)
	}
	return v.Elem().MethodByName("Forward").Interface().(func(a, b *graph.Node) *graph.Node)
}

// Every loss and its gradient are PyTorch's.
func TestLossesArePyTorchs(t *testing.T) {
	text, err := os.ReadFile("testdata/losses.json")
	if err != nil {
		t.Fatal(err)
	}
	var fixture struct{ Cases []lossCase }
	if err := json.Unmarshal(text, &fixture); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for i, c := range fixture.Cases {
		seen[c.Loss] = true
		name := fmt.Sprintf("case %d, %s %v", i, c.Loss, c.Settings)
		g := graph.New(graph.Train)
		outputs, targets := g.Input("outputs", tensor.Float32, c.Shape...), g.Input("targets", tensor.Float32, c.TargetShape...)
		loss := c.loss(t)(outputs, targets)
		if len(loss.Shape) != 0 {
			t.Fatalf("%s: the loss has the shape %v", name, loss.Shape)
		}
		gradient := graph.Gradients(loss, []*graph.Node{outputs})[0]
		got := graph.Reference([]*graph.Node{loss, gradient}, map[*graph.Node][]float64{outputs: c.Outputs, targets: c.Targets})
		if math.Abs(got[0][0]-c.Value) > 1e-7*max(1, math.Abs(c.Value)) {
			t.Errorf("%s: the loss is %v, PyTorch's %v", name, got[0][0], c.Value)
		}
		for j, want := range c.Gradient {
			if math.Abs(got[1][j]-want) > 1e-7*max(1, math.Abs(want)) {
				t.Errorf("%s: gradient %d is %v, PyTorch's %v", name, j, got[1][j], want)
			}
		}
	}
	if len(seen) != len(losses) {
		t.Errorf("the fixture has only %v", seen)
	}
}

func TestLossMisfits(t *testing.T) {
	g := graph.New(graph.Train)
	x, y := g.Input("x", tensor.Float32, 4, 3), g.Input("y", tensor.Float32, 4, 1)
	for name, loss := range losses {
		forward := reflect.ValueOf(loss).Elem().MethodByName("Forward").Interface().(func(a, b *graph.Node) *graph.Node)
		mustPanic(t, name, func() { forward(x, y) }, name+"(", "[4, 3]", "[4, 1]")
	}
	mustPanic(t, "weights of other labels", func() { nn.BCEWithLogitsLoss{PosWeight: []float32{1, 2}}.Forward(x, x) }, "weights of 2 labels", "[4, 3]")
	mustPanic(t, "delta", func() { nn.HuberLoss{Delta: -1}.Forward(x, x) }, "delta -1 is not above 0")
	mustPanic(t, "pixels", func() {
		nn.CrossEntropyLoss{}.Forward(g.Input("z", tensor.Float32, 2, 3, 4, 5), g.Input("m", tensor.Float32, 2, 5, 4))
	}, "[2, 3, 4, 5]", "[2, 4, 5]", "[2, 5, 4]")
	mustPanic(t, "weighted pixels", func() {
		nn.CrossEntropyLoss{LabelSmoothing: 0.1}.Forward(g.Input("z", tensor.Float32, 2, 3, 4, 5), g.Input("m", tensor.Float32, 2, 4, 5))
	}, "label smoothing")
}

package engine_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/tensor"
)

// turned is an operation of one's own that depends on shapes and on the order of elements: it mirrors
// the rows of images. Its gradient is itself. Its methods have pointer receivers.
type turned struct{}

func (*turned) Name() string                         { return "Turned" }
func (*turned) Shape(in []tensor.Shape) tensor.Shape { return in[0] }
func (o *turned) Gradient(n, dy *graph.Node) []*graph.Node {
	return []*graph.Node{n.Graph.Apply(o, dy)}
}
func (o *turned) Reference(n *graph.Node, y []float64, in [][]float64) {
	graph.ReferenceByCompute(o, n, y, in)
}
func (*turned) Compute(n *graph.Node, y []float32, in [][]float32) {
	w := n.Inputs[0].Shape[3]
	for i, x := range in[0] {
		y[i/w*w+w-1-i%w] += x
	}
}

// own is an operation without Compute.
type own struct{ graph.Scale }

func (own) Name() string { return "Own" }

// An operation of one's own between convolutions gives what the reference gives, with its gradient, in
// both precisions.
func TestOwnOperationBetweenLayers(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, precision := range []engine.Precision{engine.FP32, engine.BF16} {
		g := graph.New(graph.Train)
		net := nn.Sequential{nn.NewConv2d(2, 8, 3, nn.Conv{Padding: 1}), nn.ReLU{}}
		x := g.Input("x", tensor.Float32, 3, 2, 5, 7)
		y := net.Forward(g.Apply(&turned{}, g.Apply(&turned{}, net[0].Forward(x)).Slice(1, 0, 2)))
		dx := graph.Gradients(y.Mul(y).Sum(), []*graph.Node{x})[0]
		value := tensor.New(x.Shape...)
		wide := make([]float64, value.Numel())
		for i := range wide {
			value.Data()[i] = float32(r.IntN(9)-4) / 4
			wide[i] = float64(value.Data()[i])
		}
		want := graph.Reference([]*graph.Node{y, dx}, map[*graph.Node][]float64{x: wide})
		dev, err := cpu.New(cpu.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer dev.Close()
		p, err := engine.Compile(g, engine.NewStore(dev), engine.Spec{Outputs: []*graph.Node{y, dx}, Precision: precision})
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Feed(x, value); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := p.Run(0); err != nil {
				t.Fatal(err)
			}
		}
		most := map[engine.Precision]float64{engine.FP32: 1e-5, engine.BF16: 0.05}[precision]
		for i, n := range []*graph.Node{y, dx} {
			v := tensor.New(n.Shape...)
			p.Read(n, v)
			largest := 0.0
			for _, w := range want[i] {
				largest = max(largest, w, -w)
			}
			for k, w := range want[i] {
				if d := float64(v.Data()[k]) - w; !(max(d, -d) <= most*largest) {
					t.Fatalf("%v, %v: element %d is %v, want %v", precision, n, k, v.Data()[k], w)
				}
			}
		}
	}
}

func TestOwnOperationWithoutCompute(t *testing.T) {
	dev, err := cpu.New(cpu.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	g := graph.New(graph.Eval)
	y := g.Apply(own{graph.Scale{Factor: 2}}, g.Input("x", tensor.Float32, 2))
	_, err = engine.Compile(g, engine.NewStore(dev), engine.Spec{Outputs: []*graph.Node{y}})
	if err == nil || !strings.Contains(err.Error(), "no kernel for Own") || !strings.Contains(err.Error(), "Compute") {
		t.Errorf("%v", err)
	}
}

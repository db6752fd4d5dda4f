package engine_test

import (
	"errors"
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

// Integers of several dimensions are fed in their order, and indices are not rounded where activations
// are bfloat16.
func TestIndicesOfSeveralDimensions(t *testing.T) {
	const size = 1000
	for _, precision := range []engine.Precision{engine.FP32, engine.BF16} {
		g := graph.New(graph.Eval)
		x, index := g.Input("x", tensor.Float32, 2, 3, size), g.Input("index", tensor.Int64, 2, 3, 4)
		y := x.GatherElements(2, index)
		values, ints := tensor.New(2, 3, size), make([]int64, 24)
		for i := range values.Data() {
			values.Data()[i] = float32(i%size%7) + float32(i/size)*8 // exact in bfloat16
		}
		for i := range ints {
			ints[i] = int64(257+i*29) % size
		}
		dev, err := cpu.New(cpu.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer dev.Close()
		p, err := engine.Compile(g, engine.NewStore(dev), engine.Spec{Outputs: []*graph.Node{y, index}, Precision: precision})
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(p.Feed(x, values), p.Feed(index, tensor.FromInts(ints, 2, 3, 4)), p.Run(0)); err != nil {
			t.Fatal(err)
		}
		got, back := tensor.New(2, 3, 4), tensor.New(2, 3, 4)
		p.Read(y, got)
		p.Read(index, back)
		for i, k := range ints {
			if want := values.Data()[i/4*size+int(k)]; got.Data()[i] != want || back.Data()[i] != float32(k) {
				t.Errorf("%v: element %d is %v, and its index %v; want %v at %d", precision, i, got.Data()[i], back.Data()[i], want, k)
			}
		}
	}
}

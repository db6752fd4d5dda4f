package engine_test

import (
	"fmt"
	"log"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/tensor"
)

// squaredReLU is an operation of a user's own, y = max(x, 0)².
type squaredReLU struct{}

func (squaredReLU) Name() string                         { return "SquaredReLU" }
func (squaredReLU) Shape(in []tensor.Shape) tensor.Shape { return in[0] }

// Gradient returns dx = dy·2·max(x, 0), made of operations that exist.
func (squaredReLU) Gradient(n, dy *graph.Node) []*graph.Node {
	return []*graph.Node{n.Inputs[0].ReLU().Scale(2).Mul(dy)}
}

// Compute is what the CPU runs.
func (squaredReLU) Compute(_ *graph.Node, y []float32, in [][]float32) {
	for i, x := range in[0] {
		y[i] = max(x, 0) * max(x, 0)
	}
}

func (o squaredReLU) Reference(n *graph.Node, y []float64, in [][]float64) {
	graph.ReferenceByCompute(o, n, y, in)
}

// An operation of one's own has a shape rule, a gradient, and a method Compute on float32
// slices. It is then used like any other.
func Example_ownOperation() {
	g := graph.New(graph.Train)
	x := g.Input("x", tensor.Float32, 4)
	y := g.Apply(squaredReLU{}, x)
	dx := graph.Gradients(y.Sum(), []*graph.Node{x})[0]

	dev, err := cpu.New(cpu.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer dev.Close()
	p, err := engine.Compile(g, engine.NewStore(dev), engine.Spec{Outputs: []*graph.Node{y, dx}})
	if err != nil {
		log.Fatal(err)
	}
	if err := p.Feed(x, tensor.FromSlice([]float32{-1, 0.5, 2, 3}, 4)); err != nil {
		log.Fatal(err)
	}
	if err := p.Run(0); err != nil {
		log.Fatal(err)
	}
	for _, n := range []*graph.Node{y, dx} {
		v := tensor.New(n.Shape...)
		p.Read(n, v)
		fmt.Println(v.Data())
	}
	// Output:
	// [0 0.25 4 9]
	// [0 1 4 6]
}

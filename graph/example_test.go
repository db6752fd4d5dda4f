package graph_test

import (
	"fmt"

	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/tensor"
)

// Building a graph computes nothing, but shapes are known immediately, and gradients are
// ordinary nodes. Reference computes values with the loops that specify the operations.
func Example() {
	g := graph.New(graph.Eval)
	x := g.Input("x", tensor.Float32, 3)
	y := g.Apply(graph.Sum{}, x.Mul(x)) // the sum of squares
	dx := graph.Gradients(y, []*graph.Node{x})[0]
	fmt.Println(y.Shape, dx.Shape)
	values := graph.Reference([]*graph.Node{y, dx}, map[*graph.Node][]float64{x: {1, 2, 3}})
	fmt.Println(values[0], values[1])
	// Output:
	// [] [3]
	// [14] [2 4 6]
}

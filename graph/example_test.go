package graph_test

import (
	"fmt"

	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/tensor"
)

// A graph is traced, not computed: shapes are known at once, and gradients are nodes like
// any others. Reference computes both with the plain loops that specify the operations.
func Example() {
	g := graph.New(graph.Eval)
	x := g.Input("x", tensor.Float32, 3)
	y := g.Apply(graph.Sum{}, x.Times(x)) // the sum of squares
	dx := graph.Gradients(y, []*graph.Node{x})[0]
	fmt.Println(y.Shape, dx.Shape)
	values := graph.Reference([]*graph.Node{y, dx}, map[*graph.Node][]float64{x: {1, 2, 3}})
	fmt.Println(values[0], values[1])
	// Output:
	// [] [3]
	// [14] [2 4 6]
}

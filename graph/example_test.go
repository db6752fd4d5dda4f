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

// Methods of Node read like the formula: the focal loss of Lin et al. 2017, -(1-p)²·log p, where p
// is the probability of the label.
func ExampleNode() {
	g := graph.New(graph.Train)
	logits, labels := g.Input("logits", tensor.Float32, 2, 3), g.Input("labels", tensor.Int64, 2)

	logp := logits.LogSoftmax(1).GatherElements(1, labels.Reshape(2, 1))
	loss := logp.Exp().Neg().Shift(1).Pow(2).Mul(logp).Neg().Mean()

	dz := graph.Gradients(loss, []*graph.Node{logits})[0]
	values := graph.Reference([]*graph.Node{loss, dz}, map[*graph.Node][]float64{logits: {2, 0, 0, 0, 1, 0}, labels: {0, 2}})
	fmt.Printf("%.4f\n%.4f\n", values[0], values[1])
	// Output:
	// [0.4872]
	// [-0.0134 0.0067 0.0067 0.1207 0.3282 -0.4489]
}

package nn_test

import (
	"fmt"

	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/tensor"
)

// Give a network a new head, and use its features in another one.
func ExampleReplaceHead() {
	net := nn.Sequential{
		nn.NewConv2d(3, 8, 3), nn.ReLU{}, nn.NewResidual(8, 8), nn.AdaptiveAvgPool2d{}, nn.Flatten{}, nn.NewLinear(8, 1000),
	}
	must(nn.ReplaceHead(net, nn.Sequential{nn.Dropout{P: 0.2}, nn.NewLinear(8, 5)}))
	for _, p := range nn.Named(net)[14:] {
		fmt.Println(p.Name, p.Value.Shape())
	}

	features, err := nn.Cut(net, "2", tensor.Shape{1, 3, 32, 32})
	must(err)
	x := graph.New(graph.Eval).Input("images", tensor.Float32, 4, 3, 20, 20)
	fmt.Println(features, "gives", features.Forward(x).Shape)
	// Output:
	// 5.1.weight [5, 8]
	// 5.1.bias [5]
	// Features(Sequential, to 2) gives [4, 8, 18, 18]
}

// Read what modules give, and take a gradient with respect to one of them and to the images.
func ExampleActivations() {
	net := nn.Sequential{nn.NewConv2d(3, 8, 3), nn.NewResidual(8, 8), nn.AdaptiveAvgPool2d{}, nn.Flatten{}, nn.NewLinear(8, 10)}
	g := graph.New(graph.Eval)
	images := g.Input("images", tensor.Float32, 2, 3, 16, 16)
	seen, err := nn.Activations(net, images, "1.conv2", "1", "")
	must(err)
	loss := seen[""].Mean()
	gradients := graph.Gradients(loss, []*graph.Node{seen["1"], images})
	fmt.Println(seen["1.conv2"].Shape, gradients[0].Shape, gradients[1].Shape) // engine.Compile computes them
	// Output: [2, 8, 14, 14] [2, 8, 14, 14] [2, 3, 16, 16]
}

package nn_test

import (
	"fmt"

	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/tensor"
)

// Build ResNet-18 as in "Dive into Deep Learning" and print the shapes of its outputs.
func Example() {
	b1 := nn.Sequential{nn.NewConv2d(1, 64, 7, nn.Conv{Stride: 2, Padding: 3}), nn.NewBatchNorm2d(64), nn.ReLU{},
		nn.MaxPool2d{Kernel: 3, Stride: 2, Padding: 1}}
	b2 := nn.Sequential(nn.ResnetBlock(64, 64, 2, true))
	b3 := nn.Sequential(nn.ResnetBlock(64, 128, 2, false))
	b4 := nn.Sequential(nn.ResnetBlock(128, 256, 2, false))
	b5 := nn.Sequential(nn.ResnetBlock(256, 512, 2, false))
	net := nn.Sequential{b1, b2, b3, b4, b5, nn.AdaptiveAvgPool2d{H: 1, W: 1}, nn.Flatten{}, nn.NewLinear(512, 10)}

	x := graph.New(graph.Eval).Input("x", tensor.Float32, 1, 1, 224, 224)
	for _, layer := range net {
		x = layer.Forward(x)
		fmt.Println(nn.Class(layer), "output shape:", x.Shape)
	}
	fmt.Println(nn.Count(net), "parameters")
	// Output:
	// Sequential output shape: [1, 64, 56, 56]
	// Sequential output shape: [1, 64, 56, 56]
	// Sequential output shape: [1, 128, 28, 28]
	// Sequential output shape: [1, 256, 14, 14]
	// Sequential output shape: [1, 512, 7, 7]
	// AdaptiveAvgPool2d output shape: [1, 512, 1, 1]
	// Flatten output shape: [1, 512]
	// Linear output shape: [1, 10]
	// 11178378 parameters
}

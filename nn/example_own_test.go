package nn_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/residual-ml/residual/engine/cpu"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/inference"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/train"
)

// gated is a user-defined module: a residual block that decides for every pixel how much of
// its branch to add. Its parameters are those of its layers, named after its fields.
type gated struct {
	Conv, Gate *nn.Conv2d
	BN         *nn.BatchNorm2d
}

func newGated(channels int) *gated {
	return &gated{
		Conv: nn.NewConv2d(channels, channels, 3, nn.Conv{Padding: 1, NoBias: true}),
		Gate: nn.NewConv2d(channels, channels, 1),
		BN:   nn.NewBatchNorm2d(channels),
	}
}

func (b *gated) Forward(x *graph.Node) *graph.Node {
	gate := nn.Sigmoid{}.Forward(b.Gate.Forward(x))
	return nn.ReLU{}.Forward(b.BN.Forward(b.Conv.Forward(x)).Mul(gate).Add(x))
}

// Train a network with user-defined blocks, and load it from its file.
func Example_ownModule() {
	newNet := func() nn.Module {
		return nn.Sequential{
			nn.NewConv2d(1, 16, 3, nn.Conv{Stride: 2, Padding: 1}), newGated(16), nn.MaxPool2d{Kernel: 2}, newGated(16),
			nn.AdaptiveAvgPool2d{H: 3, W: 3}, nn.Flatten{}, nn.NewLinear(16*9, 10),
		}
	}
	dev, err := cpu.New(cpu.Options{})
	must(err)
	defer dev.Close()
	runs, err := os.MkdirTemp("", "example")
	must(err)
	defer os.RemoveAll(runs)
	run, err := train.Run(context.Background(), dev, train.Config{
		Own: train.Own{Module: newNet()}, Init: "kaiming-normal", // without Init it starts from its present values
		Data: "garments", TrainSize: 1500, TestSize: 200, Batch: 32, LR: 0.1, Momentum: 0.9, Epochs: 2, Out: runs,
	}, train.Callbacks{})
	must(err)
	c, err := inference.LoadInto(newNet(), run.Best, dev, inference.PreferredFor(newNet(), dev))
	must(err)
	fmt.Println(nn.Parameters(c.Module())[2].Name, "most are right:", run.BestAccuracy > 0.5)
	// Output: 1.conv.weight most are right: true
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// Command 01-own-net trains a network of its own, a residual network with squeeze-and-excitation
// (https://arxiv.org/abs/1709.01507), by the focal loss. It shows that a module is a struct with
// a method Forward, and a loss a function of outputs and targets.
package main

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/residual-ml/residual/engine/cpu"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/train"
)

// SE multiplies every channel of an image by a weight that depends on the means of all channels.
type SE struct{ Squeeze, Excite *nn.Conv2d }

func (m *SE) Forward(x *graph.Node) *graph.Node {
	means := x.Mean(2, 3) // [N, C, 1, 1]
	return x.Mul(m.Excite.Forward(m.Squeeze.Forward(means).ReLU()).Sigmoid())
}

// Block is a residual block with an SE at the end of its branch.
type Block struct {
	Conv1, Conv2 *nn.Conv2d
	BN1, BN2     *nn.BatchNorm2d
	SE           *SE
}

func NewBlock(c int) *Block {
	conv := nn.Conv{Padding: 1, NoBias: true}
	return &Block{
		Conv1: nn.NewConv2d(c, c, 3, conv), BN1: nn.NewBatchNorm2d(c),
		Conv2: nn.NewConv2d(c, c, 3, conv), BN2: nn.NewBatchNorm2d(c),
		SE: &SE{Squeeze: nn.NewConv2d(c, c/4, 1), Excite: nn.NewConv2d(c/4, c, 1)},
	}
}

func (b *Block) Forward(x *graph.Node) *graph.Node {
	y := b.BN1.Forward(b.Conv1.Forward(x)).ReLU()
	y = b.SE.Forward(b.BN2.Forward(b.Conv2.Forward(y)))
	return y.Add(x).ReLU()
}

func main() {
	dev := must(cpu.New(cpu.Options{}))
	defer dev.Close()
	runs := must(os.MkdirTemp("", "residual"))
	defer os.RemoveAll(runs)
	net := nn.Sequential{
		nn.NewConv2d(1, 16, 5, nn.Conv{Stride: 2}), nn.NewBatchNorm2d(16), nn.ReLU{}, nn.MaxPool2d{Kernel: 2},
		NewBlock(16), NewBlock(16), nn.Flatten{}, nn.NewLinear(16*6*6, 10),
	}
	run := must(train.Run(context.Background(), dev, train.Config{
		Own:  train.Own{Module: net, Loss: nn.FocalLoss{Gamma: 2}.Forward},
		Data: "garments", TrainSize: 2000, TestSize: 500, Init: "kaiming-normal", Batch: 32, LR: 0.05, Epochs: 6, Out: runs,
	}, train.Callbacks{
		OnEpoch: func(e train.Epoch) {
			log.Printf("epoch %d: loss %.3f, test accuracy %.3f", e.Epoch, e.Loss, e.TestAccuracy)
		},
	}))
	fmt.Println("most test images are right:", run.TestAccuracy > 0.7)
}

func must[T any](v T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return v
}

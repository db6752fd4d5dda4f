// Command 07-distillation trains a small network to answer as a large one does
// (https://arxiv.org/abs/1503.02531), and once more without the teacher. It shows that the fields
// of a train.Config are independent: the second training differs by one of them.
package main

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/residual-ml/residual/engine/cpu"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/train"
)

func student() nn.Module {
	return nn.Sequential{
		nn.NewConv2d(1, 8, 5, nn.Conv{Stride: 3}), nn.NewBatchNorm2d(8), nn.ReLU{}, nn.Flatten{}, nn.NewLinear(8*8*8, 10),
	}
}

func main() {
	dev := must(cpu.New(cpu.Options{}))
	defer dev.Close()
	runs := must(os.MkdirTemp("", "residual"))
	defer os.RemoveAll(runs)
	fit := func(name string, c train.Config) train.Summary {
		c.Data, c.TrainSize, c.TestSize, c.Resize = "garments", 2000, 500, 28
		c.Batch, c.Epochs, c.Out = 32, 4, runs
		run := must(train.Run(context.Background(), dev, c, train.Callbacks{}))
		log.Printf("%s: test accuracy %.3f", name, run.TestAccuracy)
		return run
	}
	large := fit("teacher", train.Config{Model: "d2l-bnlenet", LR: 0.3})

	config := train.Config{Own: train.Own{Module: student()}, Init: "kaiming-normal", LR: 0.1}
	alone := fit("student alone", config)
	config.Module = student()
	config.Teacher, config.TeacherTemperature, config.TeacherShare = large.Best, 3, 0.7
	taught := fit("student with teacher", config)

	fmt.Println("the teacher answers most images rightly:", large.TestAccuracy > 0.7)
	fmt.Println("so do the students:", alone.TestAccuracy > 0.6, taught.TestAccuracy > 0.6)
}

func must[T any](v T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return v
}

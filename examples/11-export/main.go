// Command 11-export trains a network of its own and writes it in the two forms in which other
// programs can use it: as an ONNX graph, for any runtime, and as a Go package with the model
// inside, for a Go program. It opens both again and compares their answers.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/residual-ml/residual/data/transforms"
	"github.com/residual-ml/residual/engine/cpu"
	"github.com/residual-ml/residual/exchange"
	"github.com/residual-ml/residual/inference"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/train"
)

func main() {
	dev := must(cpu.New(cpu.Options{}))
	defer dev.Close()
	dir := must(os.MkdirTemp("", "residual"))
	defer os.RemoveAll(dir)
	net := nn.Sequential{
		nn.NewConv2d(1, 8, 5, nn.Conv{Stride: 2}), nn.NewBatchNorm2d(8), nn.SiLU{}, nn.Flatten{}, nn.NewLinear(8*12*12, 10),
	}
	run := must(train.Run(context.Background(), dev, train.Config{
		Own: train.Own{Module: net}, Data: "garments", TrainSize: 1000, TestSize: 20,
		Init: "kaiming-normal", Batch: 32, LR: 0.05, Epochs: 2, Out: dir,
	}, train.Callbacks{}))
	trained := must(inference.LoadInto(net, run.Best, dev, dev.Preferred()))

	graph, pkg := filepath.Join(dir, "garments.onnx"), filepath.Join(dir, "garments")
	must(exchange.Save(graph, net, trained.Info(), exchange.ExportConfig{Fold: true}))
	name := must(exchange.SaveGo(pkg, net, trained.Info()))
	for _, file := range must(os.ReadDir(pkg)) {
		fmt.Println("package", name, "has", file.Name())
	}

	same := 0
	for _, path := range []string{graph, filepath.Join(pkg, exchange.GoGraphFile)} {
		c := must(inference.Load(path, dev, dev.Preferred()))
		for i := range run.Test.Len() {
			m := transforms.NewImage(1, 28, 28)
			must(run.Test.Get(i, m.Pix))
			if must(c.PredictPixels(m, 1))[0].Class == must(trained.PredictPixels(m, 1))[0].Class {
				same++
			}
		}
	}
	fmt.Println(same, "of 40 answers are the same")
}

func must[T any](v T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return v
}

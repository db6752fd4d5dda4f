// Command 11-export trains a network of its own and writes it in the two forms in which other
// programs can use it: as an ONNX graph, for any runtime, and as a Go package with the model
// inside, for a Go program. It opens both again and compares their answers.
package main

import (
	"context"
	"fmt"
	"log"
	"math"
	"os"
	"path/filepath"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu"
	"github.com/residual-ml/residual/exchange"
	"github.com/residual-ml/residual/inference"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/train"
)

func main() {
	ctx := context.Background()
	dev := must(cpu.New(cpu.Options{}))
	defer dev.Close()
	dir := must(os.MkdirTemp("", "residual"))
	defer os.RemoveAll(dir)
	net := nn.Sequential{nn.NewConv2d(1, 8, 5, nn.Conv{Stride: 2}), nn.NewBatchNorm2d(8), nn.SiLU{}, nn.Flatten{}, nn.NewLinear(8*12*12, 10)}
	run := must(train.Run(ctx, dev, train.Config{
		Own: train.Own{Module: net}, Data: "garments", TrainSize: 1000, TestSize: 200,
		Init: "kaiming-normal", Batch: 32, LR: 0.05, Epochs: 2, Out: dir,
	}, train.Callbacks{}))
	trained := must(inference.LoadInto(net, run.Best, dev, engine.Auto))

	graph, pkg := filepath.Join(dir, "garments.onnx"), filepath.Join(dir, "garments")
	must(exchange.Save(graph, net, trained.Info(), exchange.ExportConfig{Fold: true}))
	fmt.Println("package", must(exchange.SaveGo(pkg, net, trained.Info())))

	want := must(trained.Evaluate(ctx, run.Test, data.LoaderConfig{Batch: 100}, nil))
	for _, path := range []string{graph, filepath.Join(pkg, exchange.GoGraphFile)} {
		c := must(inference.Load(path, dev, engine.Auto))
		got := must(c.Evaluate(ctx, run.Test, data.LoaderConfig{Batch: 100}, nil))
		fmt.Println(filepath.Base(path), "answers as the network does:", math.Abs(got.Loss-want.Loss) < 0.01)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return v
}

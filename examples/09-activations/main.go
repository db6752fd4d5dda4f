// Command 09-activations looks into a trained network: at what its layers give for an image, and
// at the gradient of a class with respect to the image. The gradient is drawn as a saliency map,
// and followed for a step, which raises the logit.
package main

import (
	"context"
	"fmt"
	"image/png"
	"log"
	"os"
	"path/filepath"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu"
	"github.com/residual-ml/residual/inference/forward"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/train"
)

func main() {
	ctx := context.Background()
	dev := must(cpu.New(cpu.Options{}))
	defer dev.Close()
	dir := must(os.MkdirTemp("", "residual"))
	defer os.RemoveAll(dir)
	net := models.NewD2LBNLeNet(1, 10)
	run := must(train.Run(ctx, dev, train.Config{
		Own: train.Own{Module: net}, Data: "garments", TrainSize: 1000, TestSize: 8, Batch: 32, LR: 0.3, Epochs: 2, Out: dir,
	}, train.Callbacks{}))
	loader := must(data.NewLoader(run.Test, data.LoaderConfig{Batch: 8}))
	batch := must(loader.Epoch(ctx, 0).Next())

	r := forward.NewRunner(net, engine.NewStore(dev), engine.FP32)
	seen := must(r.Activations(batch.Images)) // or of the modules at given paths alone
	for _, row := range must(nn.Summary(net, batch.Images.Shape())).Rows[1:] {
		fmt.Printf("%-3s %-18s %v\n", row.Path, row.Class, seen[row.Path].Shape())
	}

	classes := make([]int, 8)
	for i, label := range batch.Labels.Ints() {
		classes[i] = int(label)
	}
	before := must(r.Saliency(batch.Images, classes))
	file := must(os.Create(filepath.Join(dir, "saliency.png")))
	check(png.Encode(file, before[0].Image()))
	check(file.Close())

	gradient := must(r.InputGradient(batch.Images, classes))
	for i, g := range gradient.Data() {
		batch.Images.Data()[i] += 0.01 * g
	}
	after := must(r.Saliency(batch.Images, classes))
	for i := range after {
		log.Printf("logit %.3f, a step later %.3f", before[i].Logit, after[i].Logit)
	}
	fmt.Println("a step along the gradient raises the logit:", after[0].Logit > before[0].Logit)
}

func must[T any](v T, err error) T {
	check(err)
	return v
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

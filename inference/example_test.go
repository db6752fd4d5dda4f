package inference_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/residual-ml/residual/data/folder"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu"
	"github.com/residual-ml/residual/inference"
	"github.com/residual-ml/residual/train"
)

// Load a trained model and classify an image file.
func Example() {
	ctx := context.Background()
	dev, err := cpu.New(cpu.Options{})
	must(err)
	defer dev.Close()
	dir, err := os.MkdirTemp("", "example")
	must(err)
	defer os.RemoveAll(dir)
	model, photo := trained(dev, dir) // such as runs/train-1/best.safetensors

	c, err := inference.Load(model, dev, engine.Auto)
	must(err)
	likeliest, err := c.PredictFile(ctx, photo, 3)
	must(err)
	for i, p := range likeliest {
		log.Printf("%d. %s: %.0f%%", i+1, p.Class, 100*p.Probability)
	}
	fmt.Println(likeliest[0].Class, "of", len(c.Info().Classes), "classes")
	// Output: trouser of 10 classes
}

// trained trains a model on generated images, and returns its file and that of an image.
func trained(dev *cpu.Device, dir string) (model, photo string) {
	must(folder.Make(context.Background(), filepath.Join(dir, "photos"), folder.MakeConfig{PerClass: 40}))
	run, err := train.Run(context.Background(), dev, train.Config{
		Data: filepath.Join(dir, "photos"), Model: "d2l-bnlenet", LR: 0.3, Epochs: 6, Out: dir,
		Preparation: train.Preparation{Augment: "flip"},
	}, train.Callbacks{})
	must(err)
	return run.Best, filepath.Join(dir, "photos", "trouser", "0000.jpg")
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

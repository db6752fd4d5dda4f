package audit_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/data/folder"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu"
	"github.com/residual-ml/residual/inference"
	"github.com/residual-ml/residual/judge/audit"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/prepare"
)

// Labels lists the images of a folder whose label a model finds less likely than another
// class.
func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "example")
	must(err)
	defer os.RemoveAll(dir)
	photos := filepath.Join(dir, "photos")
	must(folder.Make(ctx, photos, folder.MakeConfig{PerClass: 2}))
	x, err := folder.Scan(photos)
	must(err)
	dev, err := cpu.New(cpu.Options{})
	must(err)
	defer dev.Close()
	c, err := inference.Load(untrained(dir, x.Classes), dev, engine.Auto)
	must(err)

	suspects, err := audit.Labels(ctx, c, photos, audit.Options{})
	must(err)
	fmt.Println("a model that has learned nothing doubts most labels:", len(suspects) > len(x.Items)/2)
	// Output: a model that has learned nothing doubts most labels: true
}

// untrained makes a model file that has learned nothing.
func untrained(dir string, classes []string) string {
	net, err := models.New("cifar-resnet8", models.Config{Classes: len(classes)})
	must(err)
	nn.Init(net, 1, nn.XavierUniform)
	path := filepath.Join(dir, "untrained.safetensors")
	must(checkpoint.SaveModel(path, checkpoint.Model{
		Architecture: "cifar-resnet8", Classes: classes, Input: prepare.Input{Channels: 3, Height: 32, Width: 32, Preprocess: prepare.Steps{Resize: 32}},
	}, nn.StateDict(net)))
	return path
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

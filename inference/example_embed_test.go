package inference_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/residual-ml/residual/data/photo"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu"
	"github.com/residual-ml/residual/inference"
)

// Embed a folder of images and find those that are most similar to one of them.
func ExampleEmbedder() {
	dev, err := cpu.New(cpu.Options{})
	must(err)
	defer dev.Close()
	dir, err := os.MkdirTemp("", "example")
	must(err)
	defer os.RemoveAll(dir)
	model, query := trained(dev, dir) // such as runs/train-1/best.safetensors, and an image file

	c, err := inference.Load(model, dev, engine.Auto)
	must(err)
	e, err := c.Embedder(inference.EmbedConfig{}) // what goes into the last linear layer
	must(err)
	var gallery inference.Gallery
	folder := slices.Values([]string{filepath.Join(dir, "photos")})
	must(e.EmbedFiles(context.Background(), photo.Find(folder), func(path string, v []float32, err error) error {
		if err != nil {
			return err
		}
		return gallery.Add(path, v)
	}))

	v, err := e.EmbedFile(context.Background(), query)
	must(err)
	nearest, err := gallery.Nearest(v, 4)
	must(err)
	for _, n := range nearest[1:] { // the first is the image itself
		fmt.Println(filepath.Base(filepath.Dir(n.Image)))
	}
	fmt.Println(gallery.Len(), "images,", e.Size(), "numbers each")
	// Output:
	// trouser
	// trouser
	// trouser
	// 400 images, 84 numbers each
}

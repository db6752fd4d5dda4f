// Command 10-embeddings finds similar images. It trains a classifier on a folder of images,
// computes an embedding of every image, which is what goes into the last layer, and measures how
// often the most similar other image is of the same class.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"slices"

	"github.com/residual-ml/residual/data/folder"
	"github.com/residual-ml/residual/data/photo"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu"
	"github.com/residual-ml/residual/inference"
	"github.com/residual-ml/residual/train"
)

func main() {
	ctx := context.Background()
	dev := must(cpu.New(cpu.Options{}))
	defer dev.Close()
	dir := must(os.MkdirTemp("", "residual"))
	defer os.RemoveAll(dir)
	photos := filepath.Join(dir, "photos") // generated here: a folder of JPEG files for each of ten classes
	check(folder.Make(ctx, photos, folder.MakeConfig{PerClass: 60}))
	run := must(train.Run(ctx, dev, train.Config{
		Data: photos, Model: "d2l-bnlenet", Resize: 28, Batch: 32, LR: 0.3, Epochs: 10, Out: filepath.Join(dir, "runs"),
	}, train.Callbacks{OnEpoch: func(e train.Epoch) { log.Printf("epoch %d: test accuracy %.2f", e.Epoch, e.TestAccuracy) }}))

	c := must(inference.Load(run.Best, dev, engine.Auto))
	e := must(c.Embedder(inference.EmbedConfig{}))
	var gallery inference.Gallery
	files := photo.Find(slices.Values([]string{photos}))
	check(e.EmbedFiles(ctx, files, func(path string, embedding []float32, err error) error {
		if err != nil {
			return err
		}
		return gallery.Add(path, embedding)
	}))
	fmt.Println(gallery.Len(), "images,", e.Size(), "numbers each")

	same := 0
	class := func(path string) string { return filepath.Base(filepath.Dir(path)) }
	check(gallery.Each(ctx, 1, func(path string, nearest []inference.Neighbour) error {
		if class(path) == class(nearest[0].Image) {
			same++
		}
		return nil
	}))
	log.Printf("%d of %d have a neighbour of their class", same, gallery.Len())
	fmt.Println("at least three times as many as by chance:", same > gallery.Len()*3/10)
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

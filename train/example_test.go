package train_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/residual-ml/residual/data/folder"
	"github.com/residual-ml/residual/engine/cpu"
	"github.com/residual-ml/residual/train"
)

// Train a model on a folder of images that has one folder per class.
func Example() {
	ctx := context.Background() // the training ends with it, after the current step
	dir, err := os.MkdirTemp("", "example")
	must(err)
	defer os.RemoveAll(dir)
	photos := filepath.Join(dir, "photos") // generated here: ten folders of JPEG files
	must(folder.Make(ctx, photos, folder.MakeConfig{PerClass: 40}))

	dev, err := cpu.New(cpu.Options{})
	must(err)
	defer dev.Close()
	run, err := train.Run(ctx, dev, train.Config{
		Data: photos, Model: "d2l-bnlenet", LR: 0.3, Epochs: 6, Out: filepath.Join(dir, "runs"),
		Preparation: train.Preparation{Augment: "flip"},
	}, train.Callbacks{
		OnEpoch: func(e train.Epoch) { log.Printf("epoch %d: test accuracy %.2f", e.Epoch, e.TestAccuracy) },
	})
	must(err)
	fmt.Println(filepath.Base(run.Dir), filepath.Base(run.Best), run.BestAccuracy > 0.3)
	// Output: train-1 best.safetensors true
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

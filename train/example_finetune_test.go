package train_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/residual-ml/residual/data/folder"
	"github.com/residual-ml/residual/engine/cpu"
	"github.com/residual-ml/residual/train"
)

// Fine-tune a network that was trained on many images for a few others: first train only its
// last layer, and then all of it, with the backbone at a tenth of the learning rate.
func Example_fineTune() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "example")
	must(err)
	defer os.RemoveAll(dir)
	many, few := filepath.Join(dir, "many"), filepath.Join(dir, "few")
	must(folder.Make(ctx, many, folder.MakeConfig{PerClass: 40}))
	must(folder.Make(ctx, few, folder.MakeConfig{PerClass: 12, Seed: 1}))

	dev, err := cpu.New(cpu.Options{})
	must(err)
	defer dev.Close()
	c := train.Config{Data: many, Model: "d2l-bnlenet", LR: 0.3, Epochs: 6, Out: dir, Preparation: train.Preparation{Augment: "flip"}}
	start, err := train.Run(ctx, dev, c, train.Callbacks{})
	must(err)

	c.Data, c.Batch, c.LR, c.Epochs = few, 16, 0.1, 4
	c.Weights, c.Freeze = start.Best, train.FreezeBackbone // or a file of torchvision's, with Model left out
	head, err := train.Run(ctx, dev, c, train.Callbacks{})
	must(err)
	c.Weights, c.Freeze, c.BackboneRate = head.Last, "", 0.1
	all, err := train.Run(ctx, dev, c, train.Callbacks{})
	must(err)
	fmt.Println("most are right:", head.BestAccuracy > 0.5, all.BestAccuracy > 0.5)
	// Output: most are right: true true
}

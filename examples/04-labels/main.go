// Command 04-labels trains a network that gives an image several labels at once: which shapes it
// contains. It shows that a data set says what its targets are; the loss (binary cross-entropy),
// the metrics and the answers follow from that.
package main

import (
	"context"
	"fmt"
	"log"
	"math/rand/v2"
	"os"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/data/transforms"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu"
	"github.com/residual-ml/residual/inference"
	"github.com/residual-ml/residual/task"
	"github.com/residual-ml/residual/train"
)

// shapes are images of 28x28 pixels with none, one or both of a square and a cross. The number
// is the seed.
type shapes uint64

func (s shapes) Len() int { return 1000 }

func (s shapes) Info() data.Info {
	t := task.Targets{Task: task.Labels, Names: []string{"square", "cross"}}
	return data.Info{Name: "shapes", Channels: 1, Height: 28, Width: 28, Targets: t}
}

func (s shapes) Target(i int, out []float32) error {
	out[0], out[1] = float32(i&1), float32(i>>1&1)
	return nil
}

func (s shapes) Get(i int, pix []uint8) (label int, err error) {
	r := rand.New(rand.NewPCG(uint64(s), uint64(i)))
	clear(pix)
	for shape := range 2 {
		if top, left := r.IntN(20), r.IntN(20); i>>shape&1 == 1 {
			for k := range 64 {
				if y, x := k/8, k%8; shape == 0 || y == x || y == 7-x {
					pix[(top+y)*28+left+x] = 255
				}
			}
		}
	}
	return 0, nil
}

func main() {
	ctx := context.Background()
	dev := must(cpu.New(cpu.Options{}))
	defer dev.Close()
	runs := must(os.MkdirTemp("", "residual"))
	defer os.RemoveAll(runs)
	run := must(train.Run(ctx, dev, train.Config{
		Own:   train.Own{TrainSet: shapes(1), TestSet: shapes(2)},
		Model: "d2l-bnlenet", Batch: 32, LR: 0.3, Epochs: 6, Out: runs,
	}, train.Callbacks{OnEpoch: func(e train.Epoch) { log.Printf("epoch %d: loss %.3f", e.Epoch, e.Loss) }}))

	c := must(inference.Load(run.Best, dev, engine.Auto))
	result := must(c.Evaluate(ctx, shapes(2), data.LoaderConfig{Batch: 100}, nil))
	fmt.Println("mean average precision above 0.95:", result.Labels.MeanAveragePrecision > 0.95)

	both := transforms.NewImage(1, 28, 28)
	must(shapes(3).Get(3, both.Pix))
	for _, p := range inference.AtLeast(must(c.PredictPixels(ctx, both, 0)), 0.5) {
		fmt.Println("the image has a", p.Class)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return v
}

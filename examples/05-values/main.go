// Command 05-values trains a network that answers with numbers, which is called regression: where
// the centre of a disc is, and how large it is. It shows a data set of values; the training
// standardises them, and the answers are in the units of the data set.
package main

import (
	"context"
	"fmt"
	"log"
	"math"
	"math/rand/v2"
	"os"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/data/transforms"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu"
	"github.com/residual-ml/residual/inference"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/task"
	"github.com/residual-ml/residual/train"
)

// discs are images of 32x32 pixels with a disc. The number is the seed.
type discs uint64

func (s discs) Len() int { return 1000 }

func (s discs) Info() data.Info {
	t := task.Targets{Task: task.Values, Names: []string{"x", "y", "radius"}}
	return data.Info{Name: "discs", Channels: 1, Height: 32, Width: 32, Targets: t}
}

func (s discs) Target(i int, out []float32) error {
	r := rand.New(rand.NewPCG(uint64(s), uint64(i)))
	out[0], out[1], out[2] = 8+16*r.Float32(), 8+16*r.Float32(), 2+5*r.Float32()
	return nil
}

func (s discs) Get(i int, pix []uint8) (label int, err error) {
	var disc [3]float32
	s.Target(i, disc[:])
	for k := range pix {
		dx, dy := float32(k%32)-disc[0], float32(k/32)-disc[1]
		pix[k] = 0
		if math.Hypot(float64(dx), float64(dy)) < float64(disc[2]) {
			pix[k] = 255
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
		Own:   train.Own{TrainSet: discs(1), TestSet: discs(2), Loss: nn.HuberLoss{}.Forward},
		Model: "d2l-bnlenet", Resize: 28, Batch: 32, LR: 0.1, Epochs: 6, Out: runs,
	}, train.Callbacks{OnEpoch: func(e train.Epoch) { log.Printf("epoch %d: loss %.3f", e.Epoch, e.Loss) }}))

	c := must(inference.Load(run.Best, dev, engine.Auto))
	result := must(c.Evaluate(ctx, discs(2), data.LoaderConfig{Batch: 100}, nil))
	fmt.Println("mean absolute error below 1 pixel:", result.Values.MAE < 1)

	var truth [3]float32
	disc := transforms.NewImage(1, 32, 32)
	must(discs(3).Get(0, disc.Pix))
	discs(3).Target(0, truth[:])
	for i, v := range must(c.Values(ctx, transforms.ToImage(disc))) {
		log.Printf("%s is %.1f, estimated %.1f", v.Name, truth[i], v.Value)
		fmt.Println(v.Name, "within 2 pixels:", math.Abs(v.Value-float64(truth[i])) < 2)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return v
}

// Command 03-sampler trains on a data set in which some classes are rare. It shows a sampler with
// weights, which draws rare classes as often as others, and what it changes: the mean of the
// recalls of all classes.
package main

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/engine/cpu"
	"github.com/residual-ml/residual/train"
)

func main() {
	ctx := context.Background()
	dev := must(cpu.New(cpu.Options{}))
	defer dev.Close()
	runs := must(os.MkdirTemp("", "residual"))
	defer os.RemoveAll(runs)
	garments := must(data.Open(ctx, "garments", data.Options{Size: 4000}))
	var indices []int // all images of the first five classes, and a fortieth of the others
	var rare int
	for i, label := range must(data.Labels(ctx, garments)) {
		if label >= 5 {
			rare++
		}
		if label < 5 || rare%40 == 0 {
			indices = append(indices, i)
		}
	}
	images := data.Subset(garments, indices)
	labels := must(data.Labels(ctx, images))
	counts := make([]float64, 10)
	for _, label := range labels {
		counts[label]++
	}
	weights := make([]float64, len(labels)) // those of data.BalancedSampler, written out
	for i, label := range labels {
		weights[i] = 1 / counts[label]
	}

	var recall [2]float64
	for i, sampler := range []data.Sampler{data.ShuffledSampler{}, data.WeightedSampler{Weights: weights}} {
		must(train.Run(ctx, dev, train.Config{
			Own:   train.Own{TrainSet: images, TestSet: must(data.Open(ctx, "garments", data.Options{Size: 1000, Split: data.Test})), Sampler: sampler},
			Model: "d2l-bnlenet", Batch: 32, LR: 0.1, Epochs: 6, Out: runs,
		}, train.Callbacks{OnEpoch: func(e train.Epoch) { recall[i] = e.BalancedAccuracy }}))
		log.Printf("%T: mean recall %.3f", sampler, recall[i])
	}
	fmt.Println("the weighted sampler finds more of the rare classes:", recall[1] > recall[0])
}

func must[T any](v T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return v
}

package data_test

import (
	"context"
	"fmt"
	"os"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/engine/cpu"
	"github.com/residual-ml/residual/train"
)

// A sampler chooses the images of every epoch: here by weights, so that the rare class is drawn
// as often as the other. The same weights are those of data.BalancedSampler and of
// `train --sampler balanced`.
func Example_weightedSampler() {
	ctx := context.Background()
	dev, err := cpu.New(cpu.Options{})
	must(err)
	defer dev.Close()
	runs, err := os.MkdirTemp("", "example")
	must(err)
	defer os.RemoveAll(runs)

	var kept []int // all images of one class, and a twelfth of the other
	for i := range 480 {
		if i%2 == 0 || i%24 == 1 {
			kept = append(kept, i)
		}
	}
	images := data.Subset(stripes{0, 480}, kept)
	labels, err := data.Labels(ctx, images)
	must(err)
	var counts [2]int
	for _, label := range labels {
		counts[label]++
	}
	weights := make([]float64, len(labels))
	for i, label := range labels {
		weights[i] = 1 / float64(counts[label])
	}
	run, err := train.Run(ctx, dev, train.Config{
		Own:   train.Own{TrainSet: images, TestSet: stripes{512, 128}, Sampler: data.WeightedSampler{Weights: weights}},
		Model: "d2l-bnlenet", Batch: 32, LR: 0.1, Epochs: 4, Out: runs,
	}, train.Callbacks{})
	must(err)
	fmt.Println("images of the classes:", counts)
	fmt.Println("nearly all are right:", run.TestAccuracy > 0.9)
	// Output:
	// images of the classes: [240 20]
	// nearly all are right: true
}

package loop_test

import (
	"context"
	"fmt"
	"log"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/engine/cpu"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/optim"
	"github.com/residual-ml/residual/train/loop"
)

// Train a module on a data set for some epochs, without any files.
func Example() {
	ctx := context.Background()
	dev, err := cpu.New(cpu.Options{})
	must(err)
	defer dev.Close()
	train, err := data.Open(ctx, "garments", data.Options{Split: data.Train, Size: 1024})
	must(err)
	test, err := data.Open(ctx, "garments", data.Options{Split: data.Test, Size: 256})
	must(err)
	net, err := models.New("d2l-bnlenet", models.Config{Channels: 1, Classes: 10})
	must(err)
	nn.Init(net, 1, nn.XavierUniform)

	trainer, err := loop.New(dev, net, train, test, loop.Options{Batch: 64, Epochs: 4, Schedule: optim.Constant{Base: 0.5}})
	must(err)
	totals, err := trainer.Fit(ctx, loop.Events{OnEpoch: func(e loop.Epoch) { log.Printf("epoch %d: loss %.3f", e.Epoch, e.Loss) }}, nil)
	must(err)
	fmt.Println(totals.Epochs, "epochs of", trainer.Batches(), "batches; better than guessing:", totals.TestAccuracy > 0.2)
	// Output: 4 epochs of 16 batches; better than guessing: true
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

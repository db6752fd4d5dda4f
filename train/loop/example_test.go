package loop_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"os"
	"path/filepath"

	"github.com/residual-ml/residual/checkpoint"
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

// A training loop by hand, which saves its whole state after every epoch and, when it is started
// again, goes on from there with the same bits.
func Example_stepByHand() {
	dir, err := os.MkdirTemp("", "example")
	must(err)
	defer os.RemoveAll(dir)
	killed, never := filepath.Join(dir, "killed.safetensors"), filepath.Join(dir, "never.safetensors")
	train(killed, 1) // as if it was killed after an epoch
	fmt.Println("steps:", train(killed, 3), train(never, 3))
	a, err := os.ReadFile(killed)
	must(err)
	b, err := os.ReadFile(never)
	must(err)
	fmt.Println("same bits:", bytes.Equal(a, b))
	// Output:
	// steps: 60 60
	// same bits: true
}

func train(state string, epochs int) (steps int) {
	ctx := context.Background()
	dev, err := cpu.New(cpu.Options{})
	must(err)
	defer dev.Close()
	images, err := data.Open(ctx, "garments", data.Options{Size: 1000})
	must(err)
	loader, err := data.NewLoader(images, data.LoaderConfig{Batch: 50, Shuffle: true, Seed: 1})
	must(err)

	net := models.NewD2LBNLeNet(1, 10)
	nn.Init(net, 1, nn.KaimingNormal)
	schedule := optim.Cosine{Base: 0.01}
	s, err := loop.Compile(dev, net, nn.CrossEntropyLoss{}.Forward, loop.Shapes{Inputs: []int{50, 1, 28, 28}}, loop.Options{Optimizer: optim.AdamW{}})
	must(err)
	if f, err := os.Open(state); !errors.Is(err, fs.ErrNotExist) {
		must(errors.Join(err, s.Load(f), f.Close()))
	}
	for epoch := s.Steps()/loader.Batches() + 1; epoch <= epochs; epoch++ {
		for b, err := range loader.Epoch(ctx, epoch).All() {
			must(err)
			_, err = s.Forward(b.Images, b.Labels)
			must(err)
			must(s.Backward())
			s.ClipGradients(1)
			must(s.Step(schedule.LR(s.Steps()+1, 3*loader.Batches())))
		}
		must(checkpoint.WriteFile(state, s.Save))
	}
	return s.Steps()
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

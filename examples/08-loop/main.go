// Command 08-loop trains step by step in a loop of its own, with gradient clipping and a schedule
// of the learning rate. It is stopped after an epoch, and a second call continues from the saved
// state with the same bits as a training that was never stopped.
package main

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

const batch, epochs = 50, 3

// train trains until an epoch has ended, from the state in a file if there is one, and saves the
// state after every epoch.
func train(state string, until int) {
	ctx := context.Background()
	dev := must(cpu.New(cpu.Options{}))
	defer dev.Close()
	images := must(data.Open(ctx, "garments", data.Options{Size: 1000}))
	loader := must(data.NewLoader(images, data.LoaderConfig{Batch: batch, Shuffle: true, Seed: 1}))

	net := models.NewD2LBNLeNet(1, 10)
	nn.Init(net, 1, nn.XavierUniform)
	s := must(loop.Compile(dev, net, nn.CrossEntropyLoss{}.Forward,
		loop.Shapes{Inputs: []int{batch, 1, 28, 28}}, loop.Options{Optimizer: optim.AdamW{WeightDecay: 0.01}}))
	if file, err := os.Open(state); err == nil {
		check(errors.Join(s.Load(file), file.Close()))
	} else if !errors.Is(err, fs.ErrNotExist) {
		log.Fatal(err)
	}
	schedule, total := optim.Cosine{Base: 0.01}, epochs*loader.Batches()
	for epoch := s.Steps() / loader.Batches(); epoch < until; epoch++ {
		var sum float64
		for b, err := range loader.Epoch(ctx, epoch).All() {
			check(err)
			sum += must(s.Forward(b.Images, b.Labels))
			check(s.Backward())
			s.ClipGradients(1)
			check(s.Step(schedule.LR(s.Steps()+1, total)))
		}
		log.Printf("epoch %d: loss %.3f", epoch+1, sum/float64(loader.Batches()))
		check(checkpoint.WriteFile(state, s.Save))
	}
}

func main() {
	dir := must(os.MkdirTemp("", "residual"))
	defer os.RemoveAll(dir)
	stopped, never := filepath.Join(dir, "stopped.safetensors"), filepath.Join(dir, "never.safetensors")
	train(stopped, 1)
	train(stopped, epochs)
	train(never, epochs)
	fmt.Println("the same bits:", bytes.Equal(must(os.ReadFile(stopped)), must(os.ReadFile(never))))
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

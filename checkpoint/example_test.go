package checkpoint_test

import (
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/prepare"
	"github.com/residual-ml/residual/tensor"
)

// A run folder holds settings, metrics and model files. Every file is replaced atomically.
func Example() {
	dir, err := os.MkdirTemp("", "example")
	must(err)
	defer os.RemoveAll(dir)

	run, err := checkpoint.NewRun(dir, "train")
	must(err)
	metrics, err := run.Metrics("epoch", "loss")
	must(err)
	for epoch := 1; epoch <= 2; epoch++ {
		must(metrics.Append(struct {
			Epoch int     `json:"epoch"`
			Loss  float64 `json:"loss"`
		}{epoch, 1 / float64(epoch)}))
	}
	must(metrics.Close())
	type row struct{ Epoch, Loss checkpoint.Number }
	rows, err := checkpoint.MetricsRows(run, row{})
	must(err)
	fmt.Println(filepath.Base(run.Dir), rows)

	about := checkpoint.Model{Architecture: "d2l-bnlenet", Classes: []string{"cat", "dog"}, Input: prepare.Input{Channels: 1, Height: 28, Width: 28}}
	must(checkpoint.SaveModel(run.Path("last.safetensors"), about, []tensor.Named{{Name: "bias", Tensor: tensor.New(2)}}))
	read, file, err := checkpoint.LoadModel(run.Path("last.safetensors"))
	must(err)
	defer file.Close()
	fmt.Println(read.Architecture, read.Classes, file.Names())
	// Output:
	// train-1 [{1 1} {2 0.5}]
	// d2l-bnlenet [cat dog] [bias]
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

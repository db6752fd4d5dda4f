// Command 06-own-head puts a head of its own on a network with torchvision's weights, and trains
// the head alone on a folder of images. It shows how networks are edited, and how a part of one is
// frozen.
//
//	go run ./examples/06-own-head -weights resnet18-f37072fd.pth
//
// Without the flag it uses random weights, which need no download.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/data/folder"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu"
	"github.com/residual-ml/residual/inference"
	"github.com/residual-ml/residual/modelfile"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/train"
	"github.com/residual-ml/residual/weights/safetensors"
)

var weights = flag.String("weights", "", "file of torchvision's resnet18; empty: random weights")

// newNet returns the network of the file, whose architecture is found by the names of its
// tensors, with another head.
func newNet() nn.Module {
	net := must(modelfile.Open(*weights, modelfile.Options{Identify: true})).Module
	check(nn.ReplaceHead(net, nn.Sequential{nn.NewLinear(512, 64), nn.ReLU{}, nn.Dropout{P: 0.2}, nn.NewLinear(64, 10)}))
	return net
}

func main() {
	ctx := context.Background()
	dev := must(cpu.New(cpu.Options{}))
	defer dev.Close()
	dir := must(os.MkdirTemp("", "residual"))
	defer os.RemoveAll(dir)
	flag.Parse()
	if *weights == "" {
		*weights = filepath.Join(dir, "random.safetensors") // under torchvision's names
		net := must(models.New("resnet18", models.Config{Blocks: []int{1, 1, 1, 1}}))
		check(checkpoint.WriteFile(*weights, func(w io.Writer) error { return safetensors.Write(w, nn.StateDict(net), nil) }))
	}
	photos := filepath.Join(dir, "photos") // generated here: a folder of JPEG files for each of ten classes
	check(folder.Make(ctx, photos, folder.MakeConfig{PerClass: 20}))

	run := must(train.Run(ctx, dev, train.Config{
		Own: train.Own{Module: newNet()}, Freeze: train.FreezeBackbone,
		Data: photos, Resize: 32, Batch: 16, LR: 0.01, Epochs: 3, Out: dir,
	}, train.Callbacks{OnEpoch: func(e train.Epoch) { log.Printf("epoch %d: loss %.3f", e.Epoch, e.Loss) }}))

	c := must(inference.LoadInto(newNet(), run.Best, dev, engine.Auto))
	before, after := nn.StateDict(newNet()), nn.StateDict(c.Module())
	for i := range after {
		if after[i].Tensor.Data()[0] != before[i].Tensor.Data()[0] {
			fmt.Println(after[i].Name, "was trained")
		}
	}
	for _, p := range must(c.PredictFile(ctx, filepath.Join(photos, "trouser", "0000.jpg"), 3)) {
		log.Printf("%s: %.2f", p.Class, p.Probability)
	}
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

package train_test

import (
	"context"
	"fmt"
	"io"
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

// Put a head of your own on a network with torchvision's weights, and train the head alone.
func Example_ownHead() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "example")
	must(err)
	defer os.RemoveAll(dir)
	file, photos := torchvisionFile(dir), filepath.Join(dir, "photos") // such as resnet18-f37072fd.pth
	must(folder.Make(ctx, photos, folder.MakeConfig{PerClass: 6}))
	dev, err := cpu.New(cpu.Options{})
	must(err)
	defer dev.Close()

	newNet := func() nn.Module {
		pretrained, err := modelfile.Open(file, modelfile.Options{Identify: true})
		must(err)
		net := pretrained.Module
		must(nn.ReplaceHead(net, nn.Sequential{nn.NewLinear(512, 64), nn.ReLU{}, nn.Dropout{P: 0.2}, nn.NewLinear(64, 10)}))
		return net
	}
	run, err := train.Run(ctx, dev, train.Config{
		Own: train.Own{Module: newNet()}, Data: photos, Resize: 32, Batch: 16, LR: 0.01, Epochs: 2, Freeze: train.FreezeBackbone, Out: dir,
	}, train.Callbacks{})
	must(err)
	c, err := inference.LoadInto(newNet(), run.Best, dev, engine.Auto)
	must(err)
	likeliest, err := c.PredictFile(context.Background(), filepath.Join(photos, "trouser", "0000.jpg"), 3)
	must(err)
	for i, was := range nn.StateDict(newNet()) {
		if is := nn.StateDict(c.Module())[i]; is.Tensor.Data()[0] != was.Tensor.Data()[0] {
			fmt.Println(is.Name, "was trained")
		}
	}
	fmt.Println(len(likeliest), "classes")
	// Output:
	// fc.0.weight was trained
	// fc.0.bias was trained
	// fc.3.weight was trained
	// fc.3.bias was trained
	// 3 classes
}

// torchvisionFile writes weights under torchvision's names, and returns the file.
func torchvisionFile(dir string) string {
	m, err := models.New("resnet18", models.Config{Blocks: []int{1, 1, 1, 1}})
	must(err)
	nn.Init(m, 1, nn.KaimingNormal)
	file := filepath.Join(dir, "resnet18.safetensors")
	must(checkpoint.WriteFile(file, func(w io.Writer) error { return safetensors.Write(w, nn.StateDict(m), nil) }))
	return file
}

package judge_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu"
	"github.com/residual-ml/residual/inference"
	"github.com/residual-ml/residual/judge"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/prepare"
)

// Examine measures a model on a data set: accuracy, scores per class, calibration and the
// mistakes of which the model was most sure. Judgement.Report makes a page of them.
func Example() {
	ctx := context.Background()
	dev, err := cpu.New(cpu.Options{})
	must(err)
	defer dev.Close()
	dir, err := os.MkdirTemp("", "example")
	must(err)
	defer os.RemoveAll(dir)
	test, err := data.Open(ctx, "garments", data.Options{Split: data.Test, Size: 50})
	must(err)
	c, err := inference.Load(untrained(dir, test.Info()), dev, engine.Auto)
	must(err)

	j, err := judge.Examine(ctx, c, test, judge.Config{Mistakes: 3})
	must(err)
	fmt.Println(len(j.Scores), "classes,", len(j.Mistakes), "mistakes, most are wrong:", j.Accuracy < 0.5)
	// Output: 10 classes, 3 mistakes, most are wrong: true
}

// untrained makes a model file that has learned nothing.
func untrained(dir string, info data.Info) string {
	net := models.NewD2LBNLeNet(info.Channels, len(info.Classes))
	nn.Init(net, 1, nn.XavierUniform)
	path := filepath.Join(dir, "untrained.safetensors")
	must(checkpoint.SaveModel(path, checkpoint.Model{
		Architecture: "d2l-bnlenet", Classes: info.Classes,
		Input: prepare.Input{Channels: info.Channels, Height: info.Height, Width: info.Width}}, nn.StateDict(net)))
	return path
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

package ptq_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/data/transforms"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu"
	"github.com/residual-ml/residual/inference"
	"github.com/residual-ml/residual/quant/ptq"
	"github.com/residual-ml/residual/train"
)

// A service quantises a trained model when it is deployed, and then serves the quantised file:
// engine.Auto computes it with integers of 8 bits.
func Example() {
	ctx := context.Background()
	dev, err := cpu.New(cpu.Options{})
	must(err)
	defer dev.Close()
	dir, err := os.MkdirTemp("", "example")
	must(err)
	defer os.RemoveAll(dir)
	run, err := train.Run(ctx, dev, train.Config{
		Data: "garments", Model: "d2l-bnlenet", Batch: 50, LR: 0.5, Epochs: 3, TrainSize: 2000, Out: dir,
	}, train.Callbacks{})
	must(err)

	trained, err := inference.Load(run.Best, dev, engine.FP32)
	must(err)
	images, err := ptq.OpenImages(ctx, trained, ptq.Source{}) // those that it was trained and tested on
	must(err)
	r, err := ptq.Quantise(ctx, trained, images, ptq.Config{MaxDrop: 1, Images: 64})
	must(err)
	log.Printf("%.2f points of accuracy lost", *r.Drop)
	small := filepath.Join(dir, "small.safetensors")
	must(r.Save(small))

	c, err := inference.Load(small, dev, engine.Auto)
	must(err)
	defer c.Close()
	ds, err := data.Open(ctx, "garments", data.Options{Split: data.Test, Size: 1})
	must(err)
	photo := transforms.NewImage(1, 28, 28)
	label, err := ds.Get(0, photo.Pix)
	must(err)
	likeliest, err := c.PredictPixels(ctx, photo, 3)
	must(err)
	log.Printf("class %d: %.2f, the right one is %d", likeliest[0].Index, likeliest[0].Probability, label)
	fmt.Println(c.Precision(), len(likeliest), "classes")
	// Output: int8 3 classes
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

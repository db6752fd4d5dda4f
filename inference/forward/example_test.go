package forward_test

import (
	"context"
	"fmt"
	"log"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu"
	"github.com/residual-ml/residual/inference/forward"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/nn"
)

// Measure a network that comes from no file on a data set.
func Example() {
	dev, err := cpu.New(cpu.Options{})
	must(err)
	defer dev.Close()
	net, err := models.New("d2l-bnlenet", models.Config{Channels: 1, Classes: 10})
	must(err)
	nn.Init(net, 1, nn.XavierUniform)
	test, err := data.Open(context.Background(), "garments", data.Options{Split: data.Test, Size: 100})
	must(err)
	loader, err := data.NewLoader(test, data.LoaderConfig{Batch: 50})
	must(err)

	runner := forward.NewRunner(net, engine.NewStore(dev), dev.Preferred(engine.Inference))
	result, err := forward.Evaluate(context.Background(), runner, loader, nil)
	must(err)
	fmt.Println(result.Count, "images of", len(result.Confusion), "classes")
	// Output: 100 images of 10 classes
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

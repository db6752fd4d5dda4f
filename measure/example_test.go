package measure_test

import (
	"context"
	"fmt"
	"log"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu"
	"github.com/residual-ml/residual/measure"
	"github.com/residual-ml/residual/models"
)

// A Workload measures how many images/s a model trains on.
func Example() {
	dev, err := cpu.New(cpu.Options{})
	must(err)
	defer dev.Close()
	model, err := models.Lookup("d2l-bnlenet")
	must(err)
	w, err := measure.New(measure.Config{Model: model, Mode: measure.Train, Batch: 8, Precision: engine.FP32, Repeat: 3}, dev)
	must(err)
	defer w.Close()

	r, err := w.Measure(context.Background())
	must(err)
	fmt.Printf("%s, %s: %d measurements, %.2f MFLOP an image\n", r.Model, r.Mode, len(r.Measurements), 1e3*r.GFLOPPerImage)
	// Output: d2l-bnlenet, train: 3 measurements, 1.52 MFLOP an image
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

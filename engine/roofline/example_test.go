package roofline_test

import (
	"fmt"
	"log"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu"
	"github.com/residual-ml/residual/engine/roofline"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/tensor"
)

// Describe computes the arithmetic and the bytes of every step, and the least time that it
// takes on a device with the given peaks.
func Example() {
	dev, err := cpu.New(cpu.Options{})
	must(err)
	defer dev.Close()
	conv := nn.NewConv2d(16, 32, 3)
	nn.Init(conv, 1, nn.KaimingNormal)
	g := graph.New(graph.Eval)
	x := g.Input("x", tensor.Float32, 4, 16, 10, 10)
	program, err := engine.Compile(g, engine.NewStore(dev), engine.Spec{Outputs: []*graph.Node{conv.Forward(x)}, Precision: engine.FP32})
	must(err)

	peaks := &roofline.Peaks{GFLOPPerSecond: 100, GBPerSecond: 10}
	for _, s := range roofline.Describe(program.Steps(), peaks) {
		if s.Kind == "Conv" {
			fmt.Printf("%s: %.2f MFLOP, %.3f ms at least\n", s.What, 1e3*s.GFLOP, s.Floor)
		}
	}
	// Output: [4, 16, 10, 10] to [4, 32, 8, 8], 3x3: 2.36 MFLOP, 0.024 ms at least
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

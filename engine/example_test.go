package engine_test

import (
	"fmt"
	"log"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/optim"
	"github.com/residual-ml/residual/tensor"
)

// Train a model step by step: trace the loss, compile it with its gradients, then feed, run
// and step as often as needed. Package train does all of this for you.
func Example() {
	dev, err := cpu.New(cpu.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer dev.Close()
	net := nn.NewLinear(2, 2)
	nn.Init(net, 1, nn.XavierUniform)

	g := graph.New(graph.Train)
	x, labels := g.Input("x", tensor.Float32, 2, 2), g.Input("labels", tensor.Int64, 2)
	loss := nn.CrossEntropyLoss{}.Forward(net.Forward(x), labels)
	var updates []engine.Update
	var parameters []*graph.Node
	for _, p := range nn.Parameters(net) {
		parameters = append(parameters, g.Variable(p.Variable))
		updates = append(updates, engine.Update{Variable: p.Variable})
	}
	for i, gradient := range graph.Gradients(loss, parameters) {
		updates[i].Gradient = gradient
	}
	program, err := engine.Compile(g, engine.NewStore(dev), engine.Spec{Outputs: []*graph.Node{loss}, Updates: updates})
	if err != nil {
		log.Fatal(err)
	}

	images, classes := tensor.FromSlice([]float32{1, 0, 0, 1}, 2, 2), tensor.FromInts([]int64{0, 1}, 2)
	var first, last float32
	value := tensor.New()
	for step := range 100 {
		if err := program.Feed(x, images); err != nil {
			log.Fatal(err)
		}
		if err := program.Feed(labels, classes); err != nil {
			log.Fatal(err)
		}
		program.Run(int64(step))
		program.Step(optim.SGD{}, 1)
		program.Read(loss, value)
		if last = value.At(); step == 0 {
			first = last
		}
	}
	fmt.Println("the loss falls to a tenth or less:", last < first/10)
	// Output: the loss falls to a tenth or less: true
}

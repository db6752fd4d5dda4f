package loop_test

import (
	"testing"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/tensor"
)

// newGradients returns a graph with the gradients of the inputs of all 3x3 convolutions of
// stride 1, and the names of their weights. The gradients of their outputs are those of a
// training step of the net. They are given to every layer, so that no batch norm magnifies
// the error of another layer. The batch is large enough for Winograd's algorithm to pay, and
// float64 computes its first images.
func newGradients(t *testing.T, net nn.Module, train data.Dataset) (names []string, e *exact) {
	t.Helper()
	const size, batch, first = 48, 32, 4
	images, labels := firstOf(t, data.Resize(train, size), batch)
	step := &exact{graph: graph.New(graph.Train)}
	x := step.graph.Input("images", tensor.Float32, images.Shape()...)
	y := step.graph.Input("labels", tensor.Int64, labels.Shape()...)
	step.feeds = map[*graph.Node]*tensor.Tensor{x: images, y: labels}
	loss := nn.CrossEntropyLoss{}.Forward(net.Forward(x), y)
	variables := map[*graph.Node]*graph.Variable{}
	var leaves, layers []*graph.Node
	for _, p := range nn.Parameters(net) {
		leaf := step.graph.Variable(p.Variable)
		leaves, variables[leaf] = append(leaves, leaf), p.Variable
	}
	graph.Gradients(loss, leaves)
	for _, n := range step.graph.Nodes {
		if op, ok := n.Op.(graph.Conv2dGradInput); ok && op.StrideH == 1 && n.Inputs[0].Shape[2] == 3 {
			layers, step.outputs = append(layers, n), append(step.outputs, n.Inputs[1])
		}
	}
	dev, err := cpu.New(cpu.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	e = &exact{graph: graph.New(graph.Train), feeds: map[*graph.Node]*tensor.Tensor{}}
	few, values := graph.New(graph.Train), map[*graph.Node][]float64{}
	var fewOutputs []*graph.Node
	for i, dy := range step.compute(t, dev, engine.BF16) {
		n := layers[i]
		weight, shape := variables[n.Inputs[0]], n.Inputs[1].Shape.Clone()
		for k, v := range dy {
			dy[k] = tensor.FromBFloat16(tensor.ToBFloat16(v))
		}
		names = append(names, weight.Name)
		in := e.graph.Input(weight.Name, tensor.Float32, shape...)
		e.feeds[in] = tensor.FromSlice(dy, shape...)
		e.outputs = append(e.outputs, e.graph.Apply(n.Op, e.graph.Variable(weight), in))
		shape[0] = first
		in = few.Input(weight.Name, tensor.Float32, shape...)
		values[in] = wide(dy[:shape.Numel()])
		fewOutputs = append(fewOutputs, few.Apply(n.Op, few.Variable(weight), in))
	}
	e.want = graph.Reference(fewOutputs, values)
	return names, e
}

package engine_test

import (
	"slices"
	"testing"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/optim"
	"github.com/residual-ml/residual/tensor"
)

// An optimiser that needs norms gets every parameter as a whole, also a large one that
// other optimisers get in pieces. Scaled clips gradients by their global norm.
func TestWholeParameters(t *testing.T) {
	const in, out, batch = 260, 150, 4 // more weights than one piece holds
	layer := nn.NewLinear(in, out)
	store := engine.NewStore(device(t, 2))
	g := graph.New(graph.Train)
	x, labels := g.Input("x", tensor.Float32, batch, in), g.Input("labels", tensor.Int64, batch)
	loss := nn.CrossEntropyLoss{LabelSmoothing: 0.1}.Forward(layer.Forward(x), labels)
	var leaves []*graph.Node
	params := nn.Parameters(layer)
	for i, p := range params {
		data := p.Variable.Value.Data()
		for j := range data {
			data[j] = float32((j*37+i)%101-50) / 500
		}
		leaves = append(leaves, g.Variable(p.Variable))
	}
	spec := engine.Spec{Outputs: []*graph.Node{loss}}
	for i, d := range graph.Gradients(loss, leaves) {
		spec.Updates = append(spec.Updates, engine.Update{Variable: params[i].Variable, Gradient: d})
	}
	program, err := engine.Compile(g, store, spec)
	if err != nil {
		t.Fatal(err)
	}
	images := tensor.New(batch, in)
	for i := range images.Data() {
		images.Data()[i] = float32(i*7%13) / 13
	}
	if err := program.Feed(x, images); err != nil {
		t.Fatal(err)
	}
	if err := program.Feed(labels, tensor.FromInts([]int64{3, 1, 4, 1}, batch)); err != nil {
		t.Fatal(err)
	}
	lars := optim.LARS{Momentum: 0.9, WeightDecay: 0.01, Trust: 0.5}
	clipped := &optim.Scaled{Optimizer: lars}
	program.Run(1)
	var values, grads [][]float32
	for i, p := range params {
		d := tensor.New(p.Variable.Value.Shape()...)
		program.Gradient(i, d)
		grads = append(grads, slices.Clone(d.Data()))
		values = append(values, slices.Clone(p.Variable.Value.Data()))
	}
	clipped.Factor = optim.ClipFactor(optim.Norm(grads...), 0.01)
	if clipped.Factor >= 1 {
		t.Fatalf("factor %v: the gradients are too small to be clipped", clipped.Factor)
	}
	program.Step(clipped, 0.5)
	store.Pull()
	for i, p := range params {
		clipped.Update(values[i], grads[i], [][]float32{make([]float32, len(grads[i]))}, 0.5, 1)
		if !slices.Equal(p.Variable.Value.Data(), values[i]) {
			t.Errorf("%s: the step differs from that of the whole parameter", p.Name)
		}
	}
}

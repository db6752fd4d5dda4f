package cpu

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/conformance"
	"github.com/residual-ml/residual/engine/cpu/kernel"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/tensor"
)

// A residual block whose branch is initialised to zero must return its input bit for
// bit, with every kernel, in both precisions, fused or not.
func TestZeroInitBlocksAreIdentities(t *testing.T) {
	r := rand.New(rand.NewPCG(15, 16))
	for _, name := range []string{"d2l-resnet18", "resnet18", "resnet50", "resnext50_32x4d", "preresnet18", "preresnet50", "cifar-resnet8", "cifar-preresnet8", "resnet9-32", "whitened-resnet8"} {
		e, err := models.Lookup(name)
		if err != nil {
			t.Fatal(err)
		}
		blocks := slices.Repeat([]int{1}, len(e.Blocks))
		blocks[0] = 2
		b := e.New(models.Config{Blocks: blocks, ZeroInit: true}).(models.Net).Stages()[0].Blocks[1]
		nn.Init(b, 2, nn.KaimingNormal)
		for _, p := range nn.Parameters(b) {
			if p.Name == "conv1.weight" { // [out, in, ...]: in is the number of the input's channels
				checkIdentity(t, name, e.Kind, b, conformance.Random(r, 3, p.Value.Shape()[1], 5, 4))
			}
		}
	}
}

func checkIdentity(t *testing.T, name string, kind models.Kind, b models.Block, x *tensor.Tensor) {
	t.Helper()
	if kind == models.PostActivation {
		for i, v := range x.Data() {
			x.Data()[i] = max(v, 0) // as behind a ReLU
		}
	}
	g := graph.New(graph.Eval)
	in := g.Input("x", tensor.Float32, x.Shape()...)
	y := b.Forward(in)
	for _, isa := range kernel.Available() {
		for _, precision := range []engine.Precision{engine.FP32, engine.BF16} {
			for _, unfused := range []bool{false, true} {
				spec := engine.Spec{Outputs: []*graph.Node{y}, Precision: precision, Unfused: unfused}
				got := evaluate(t, g, map[*graph.Node]*tensor.Tensor{in: x}, Options{Threads: 2, ISA: &isa}, spec)
				if !slices.Equal(got[0], x.Data()) {
					t.Errorf("%s, %v, %v, unfused %t: the block changes its input", name, isa, precision, unfused)
				}
			}
		}
	}
}

package cpu_test

import (
	"strings"
	"testing"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/tensor"
)

// TestCallABlock checks the output shapes of a residual block against those that the
// notes print.
func TestCallABlock(t *testing.T) {
	dev, err := cpu.New(cpu.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	x := tensor.New(4, 3, 6, 6)
	nn.NewSource(1, "x").Uniform(x, 1)
	for _, c := range []struct {
		block *nn.Residual
		want  tensor.Shape
	}{
		{nn.NewResidual(3, 3), tensor.Shape{4, 3, 6, 6}},
		{nn.NewResidual(3, 6, nn.Block{Use1x1Conv: true, Stride: 2}), tensor.Shape{4, 6, 3, 3}},
	} {
		y, err := engine.Call(dev, graph.Train, c.block.Forward, x)
		if err != nil {
			t.Fatal(err)
		}
		if !y.Shape().Equal(c.want) {
			t.Errorf("%v gives %v, want %v", c.block, y.Shape(), c.want)
		}
		same := true
		for _, v := range y.Data() {
			if !(v >= 0) {
				t.Fatalf("%v gives %v after its ReLU", c.block, v)
			}
			same = same && v == y.Data()[0]
		}
		if same {
			t.Errorf("%v gives one value throughout", c.block)
		}
		if m := c.block.BN1.RunningMean.Value.Data()[0]; m == 0 {
			t.Errorf("%v has noted no running mean in training mode", c.block)
		}
	}
}

func TestCallComputes(t *testing.T) {
	dev, err := cpu.New(cpu.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	layer := nn.NewLinear(2, 1)
	copy(layer.Weight.Value.Data(), []float32{2, -3})
	copy(layer.Bias.Value.Data(), []float32{0.5})
	y, err := engine.Call(dev, graph.Eval, layer.Forward, tensor.FromSlice([]float32{1, 1, 4, 2}, 2, 2))
	if err != nil {
		t.Fatal(err)
	}
	if got := y.Data(); got[0] != -0.5 || got[1] != 2.5 {
		t.Errorf("got %v, want -0.5 and 2.5", got)
	}
	_, err = engine.Call(dev, graph.Eval, layer.Forward, tensor.New(2, 3))
	if err == nil || !strings.Contains(err.Error(), "[2, 3]") {
		t.Errorf("an input that does not fit gives %v", err)
	}
}

package quant_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu"
	"github.com/residual-ml/residual/engine/cpu/kernel"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/tensor"
)

// In INT8 every residual network of layers with batch norms becomes convolutions that read and
// write bytes, and a max pooling of bytes: nothing is converted between them.
func TestStepsOfIntegers(t *testing.T) {
	for _, name := range []string{"resnet18", "resnet50", "d2l-resnet18", "cifar-resnet20"} {
		channels := 3
		if name == "d2l-resnet18" {
			channels = 1
		}
		m, x := model(t, name), images(2, channels, 40, 40)
		s := schemeOf(t, m, x).Without("fc.weight", "5.2.weight")
		g := graph.New(graph.Eval)
		in := g.Input("x", tensor.Float32, x.Shape()...)
		y, err := s.Forward(m, in)
		if err != nil {
			t.Fatal(err)
		}
		dev, err := cpu.New(cpu.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer dev.Close()
		p, err := engine.Compile(g, engine.NewStore(dev), engine.Spec{Outputs: []*graph.Node{y}, Precision: engine.INT8})
		if err != nil {
			t.Fatal(err)
		}
		integers := 0
		for i, step := range p.Steps() {
			what := fmt.Sprintf("%s: step %d is %T", name, i, step)
			switch step := step.(type) {
			case *engine.Conv:
				if step.Round != nil {
					integers++
				} else if i > 2 && len(step.Y.Shape) == 4 {
					t.Errorf("%s in floating point", what)
				}
			case *engine.Quantize, *engine.BatchNorm:
				t.Error(what)
			case *engine.Compute:
				switch step.Op.(type) {
				case graph.Add, graph.ReLU, graph.FakeQuantize:
					t.Errorf("%s of %s", what, step.Op.Name())
				case graph.MaxPool2d:
					if step.Out.DType != tensor.Uint8 {
						t.Errorf("%s of a max pooling of %v", what, step.Out.DType)
					}
				}
			}
		}
		if integers != len(s.Layers) {
			t.Errorf("%s: %d convolutions of integers, want %d", name, integers, len(s.Layers))
		}
	}
}

// The integers of INT8 give about what the graph of the scheme gives in floating point.
func TestINT8AgreesWithTheScheme(t *testing.T) {
	for _, name := range []string{"resnet50", "d2l-resnet18", "cifar-resnet20", "cifar-preresnet20"} {
		channels := 3
		if name == "d2l-resnet18" {
			channels = 1
		}
		m, x := model(t, name), images(3, channels, 40, 40)
		s := schemeOf(t, m, x)
		g := graph.New(graph.Eval)
		in := g.Input("x", tensor.Float32, x.Shape()...)
		y, err := s.Forward(m, in)
		if err != nil {
			t.Fatal(err)
		}
		want, got := compute(t, g, in, x, engine.FP32, y)[0], compute(t, g, in, x, engine.INT8, y)[0]
		worst, scale := 0.0, 0.0
		for i, w := range want.Data() {
			worst, scale = max(worst, math.Abs(float64(w-got.Data()[i]))), max(scale, math.Abs(float64(w)))
		}
		t.Logf("%s: logits up to %g differ by %g", name, scale, worst)
		if !(worst <= 0.05*scale) {
			t.Errorf("%s: logits up to %g differ by %g", name, scale, worst)
		}
	}
}

// An image has the same logits, bit by bit, on every instruction set that this machine has, on any
// number of threads, and in a batch of any size.
func TestINT8HasTheSameBitsEverywhere(t *testing.T) {
	m, all := model(t, "cifar-resnet20"), images(9, 3, 32, 32)
	s := schemeOf(t, m, images(2, 3, 32, 32)).Without("layer2.1.conv1.weight", "fc.weight")
	logits := func(isa kernel.ISA, threads, from, n int) []float32 {
		dev, err := cpu.New(cpu.Options{ISA: &isa, Threads: threads})
		if err != nil {
			t.Fatal(err)
		}
		defer dev.Close()
		g := graph.New(graph.Eval)
		in := g.Input("x", tensor.Float32, n, 3, 32, 32)
		y, err := s.Forward(m, in)
		if err != nil {
			t.Fatal(err)
		}
		p, err := engine.Compile(g, engine.NewStore(dev), engine.Spec{Outputs: []*graph.Node{y}, Precision: engine.INT8})
		if err != nil {
			t.Fatal(err)
		}
		size := all.Numel() / 9
		if err := p.Feed(in, tensor.FromSlice(all.Data()[from*size:(from+n)*size], n, 3, 32, 32)); err != nil {
			t.Fatal(err)
		}
		if err := p.Run(0); err != nil {
			t.Fatal(err)
		}
		out := tensor.New(y.Shape...)
		p.Read(y, out)
		return out.Data()
	}
	want := logits(kernel.Best(), 2, 0, 9)
	classes := len(want) / 9
	for _, isa := range kernel.Available() {
		for threads := 1; threads <= 2; threads++ {
			for _, c := range [][2]int{{0, 1}, {8, 1}, {2, 3}, {0, 9}} {
				from, n := c[0], c[1]
				for i, v := range logits(isa, threads, from, n) {
					if w := want[from*classes+i]; math.Float32bits(v) != math.Float32bits(w) {
						t.Fatalf("%v, %d threads, image %d in a batch of %d: logit %d is %v, want %v", isa, threads, from+i/classes, n, i%classes, v, w)
					}
				}
			}
		}
	}
}

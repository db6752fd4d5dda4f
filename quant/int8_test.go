package quant_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu"
	"github.com/residual-ml/residual/engine/cpu/kernel"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/quant"
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
	type part struct{ from, n, threads int }
	for _, c := range []struct {
		name                   string
		blocks                 []int
		channels, size, images int
		without                []string // stay in bf16
		parts                  []part
	}{
		{"cifar-resnet20", nil, 3, 32, 9, []string{"layer2.1.conv1.weight", "fc.weight"}, []part{{0, 1, 1}, {0, 1, 2}, {8, 1, 2}, {2, 3, 1}, {0, 9, 1}, {0, 9, 2}}},
		{"d2l-resnet18", nil, 1, 48, 2, []string{"5.2.weight"}, []part{{1, 1, 1}, {0, 2, 2}}},
		{"resnet50", []int{1, 1, 1, 1}, 3, 40, 2, []string{"fc.weight"}, []part{{1, 1, 1}, {0, 2, 2}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := models.New(c.name, models.Config{Classes: 5, Blocks: c.blocks})
			if err != nil {
				t.Fatal(err)
			}
			nn.Init(m, 3, nn.PyTorchDefault)
			all := images(c.images, c.channels, c.size, c.size)
			s := schemeOf(t, m, images(2, c.channels, c.size, c.size)).Without(c.without...)
			want := logitsOfINT8(t, s, m, all, kernel.Best(), 2)
			classes, pixels := len(want)/c.images, all.Numel()/c.images
			for _, isa := range kernel.Available() {
				for _, p := range c.parts {
					x := tensor.FromSlice(all.Data()[p.from*pixels:(p.from+p.n)*pixels], p.n, c.channels, c.size, c.size)
					for i, v := range logitsOfINT8(t, s, m, x, isa, p.threads) {
						if w := want[p.from*classes+i]; math.Float32bits(v) != math.Float32bits(w) {
							t.Fatalf("%v, %d threads, image %d in a batch of %d: logit %d is %v, want %v", isa, p.threads, p.from+i/classes, p.n, i%classes, v, w)
						}
					}
				}
			}
		})
	}
}

// logitsOfINT8 computes the logits of images in INT8 by the kernels of an instruction set.
func logitsOfINT8(t *testing.T, s *quant.Scheme, m nn.Module, x *tensor.Tensor, isa kernel.ISA, threads int) []float32 {
	t.Helper()
	dev, err := cpu.New(cpu.Options{ISA: &isa, Threads: threads})
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	g := graph.New(graph.Eval)
	in := g.Input("x", tensor.Float32, x.Shape()...)
	y, err := s.Forward(m, in)
	if err != nil {
		t.Fatal(err)
	}
	return computeOn(t, dev, g, in, x, engine.INT8, y)[0].Data()
}

package cpu

import (
	"testing"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/tensor"
)

// A warm program of elementary operations allocates nothing.
func TestOperationsAllocateNothing(t *testing.T) {
	for _, precision := range []engine.Precision{engine.FP32, engine.BF16} {
		d, err := New(Options{Threads: 2})
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		g := graph.New(graph.Train)
		x, w := g.Input("x", tensor.Float32, 3, 8, 6, 5), g.Input("w", tensor.Float32, 8, 1, 3, 3)
		index, c := g.Input("index", tensor.Int64, 3, 1, 6, 5), g.Input("c", tensor.Float32, 8)
		depthwise := graph.Conv2d{StrideH: 1, StrideW: 1, PadH: 1, PadW: 1, DilationH: 1, DilationW: 1, Groups: 8}
		y := g.Apply(depthwise, x, w).GroupNorm(2, c, c, 1e-5).GELU().Add(c.Reshape(8, 1, 1)).UpsampleBilinear(9, 7, false)
		y = y.Slice(2, 1, 7).Slice(3, 0, 5).Softmax(1).Mul(x.Max(2)).Pad(3, 1, 0, 2).MatMul(x)
		loss := y.Mean().Add(x.LogSoftmax(1).GatherElements(1, index).Mean())
		outputs := append([]*graph.Node{loss}, graph.Gradients(loss, []*graph.Node{x, w, c})...)
		p, err := engine.Compile(g, engine.NewStore(d), engine.Spec{Outputs: outputs, Precision: precision})
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range []*graph.Node{x, w, c} {
			if err := p.Feed(n, tensor.New(n.Shape...).Fill(0.5)); err != nil {
				t.Fatal(err)
			}
		}
		if err := p.Feed(index, tensor.FromInts(make([]int64, 90), 3, 1, 6, 5)); err != nil {
			t.Fatal(err)
		}
		if n := testing.AllocsPerRun(20, func() { p.Run(0) }); n != 0 {
			t.Errorf("%v: a run allocates %v times", precision, n)
		}
	}
}

// A warm program of convolutions, for one image and for several, allocates nothing.
func TestInferenceAllocatesNothing(t *testing.T) {
	net := nn.Sequential{
		nn.NewConv2d(3, 24, 5, nn.Conv{Padding: 2}), nn.NewConv2d(24, 64, 3, nn.Conv{Padding: 1, Stride: 2}), nn.NewBatchNorm2d(64), nn.ReLU{}, nn.MaxPool2d{Kernel: 3, Stride: 2, Padding: 1},
		nn.NewResidual(64, 64), nn.NewResidual(64, 96, nn.Block{Use1x1Conv: true, Stride: 2}), nn.AdaptiveAvgPool2d{}, nn.Flatten{}, nn.NewLinear(96, 10),
	}
	nn.Init(net, 1, nn.KaimingNormal)
	for _, n := range []int{1, 3} {
		for _, precision := range []engine.Precision{engine.FP32, engine.BF16} {
			d, err := New(Options{Threads: 2})
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			g := graph.New(graph.Eval)
			x := g.Input("x", tensor.Float32, n, 3, 40, 40)
			p, err := engine.Compile(g, engine.NewStore(d), engine.Spec{Outputs: []*graph.Node{net.Forward(x)}, Precision: precision})
			if err != nil {
				t.Fatal(err)
			}
			images := tensor.New(n, 3, 40, 40).Fill(0.5)
			step := func() {
				if err := p.Feed(x, images); err != nil {
					t.Fatal(err)
				}
				p.Run(0)
			}
			step()
			if allocs := testing.AllocsPerRun(20, step); allocs != 0 {
				t.Errorf("%v, %d images: a step allocates %v times", precision, n, allocs)
			}
		}
	}
}

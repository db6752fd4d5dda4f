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

// everyKernel is a net with convolutions of many sizes and kinds, products of matrices, norms and
// functions. Alone, an image has too few pixels for most of Winograd's tilings.
func everyKernel() func(x *graph.Node) *graph.Node {
	conv := func(in, out, kernel int, c nn.Conv) nn.Module { return nn.NewConv2d(in, out, kernel, c) }
	stage := func(in, out int) nn.Module {
		return nn.Sequential{
			conv(in, out, 3, nn.Conv{Padding: 1}), nn.NewBatchNorm2d(out), nn.ReLU{}, nn.NewResidual(out, out),
			nn.NewResidual(out, out, nn.Block{Use1x1Conv: true, Stride: 2}),
		}
	}
	body := nn.Sequential{
		conv(3, 16, 5, nn.Conv{Padding: 2}), stage(16, 24), stage(24, 40), // 18x18, 9x9, 5x5
		conv(40, 40, 3, nn.Conv{Padding: 1, Groups: 4}), nn.NewGroupNorm(4, 40), nn.GELU{},
		conv(40, 40, 3, nn.Conv{Padding: 1, Groups: 40}), nn.SiLU{}, conv(40, 37, 1, nn.Conv{}), conv(37, 256, 3, nn.Conv{Padding: 1}),
		conv(256, 256, 3, nn.Conv{Padding: 1, Stride: 2}), nn.ReLU{}, conv(256, 48, 1, nn.Conv{}), // weights of 2.3 MB, which an image alone streams
	}
	head := nn.Sequential{nn.AdaptiveAvgPool2d{}, nn.Flatten{}, nn.NewLayerNorm([]int{48}), nn.NewLinear(48, 33), nn.ReLU{}, nn.NewLinear(33, 10)}
	nn.Init(nn.Sequential{body, head}, 3, nn.KaimingNormal)
	return func(x *graph.Node) *graph.Node {
		y := body.Forward(x)
		s := y.Shape
		rows := y.Reshape(s[0], s[1], s[2]*s[3])
		y = rows.Transpose(0, 2, 1).MatMul(rows).Softmax(2).MatMul(rows.Transpose(0, 2, 1)).Transpose(0, 2, 1).Reshape(s...)
		return head.Forward(y)
	}
}

// An image has the same bits alone and in a batch of any size, with every kernel, in both
// precisions, for any number of threads.
func TestBitsDoNotDependOnTheBatch(t *testing.T) {
	const most, size = 33, 18
	images := conformance.Random(rand.New(rand.NewPCG(5, 6)), most, 3, size, size)
	nets := map[string]func(x *graph.Node) *graph.Node{"every kernel": everyKernel()}
	m, err := models.New("cifar-preresnet8", models.Config{Channels: 3, Classes: 10})
	if err != nil {
		t.Fatal(err)
	}
	nn.Init(m, 2, nn.KaimingNormal)
	nets["cifar-preresnet8"] = m.Forward
	for name, forward := range nets {
		for _, isa := range kernel.Available() {
			for _, precision := range []engine.Precision{engine.FP32, engine.BF16} {
				var alone []float32
				for _, n := range []int{most, 1, 2, 3, 7, 8, 32} {
					g := graph.New(graph.Eval)
					x := g.Input("x", tensor.Float32, n, 3, size, size)
					y := forward(x)
					fed := tensor.FromSlice(images.Data()[:n*3*size*size], n, 3, size, size)
					got := evaluate(t, g, map[*graph.Node]*tensor.Tensor{x: fed}, Options{Threads: 1 + n%3, ISA: &isa},
						engine.Spec{Outputs: []*graph.Node{y}, Precision: precision})[0]
					if n == most {
						alone = got
					} else if !slices.Equal(got, alone[:len(got)]) {
						t.Errorf("%s, %v, %v: in a batch of %d images have other bits than in one of %d", name, isa, precision, n, most)
					}
				}
			}
		}
	}
}

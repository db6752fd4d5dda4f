package modelfile_test

import (
	"math"
	"path/filepath"
	"testing"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/exchange"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/modelfile"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/prepare"
	"github.com/residual-ml/residual/tensor"
)

// attentive is a network of a user's own: depthwise convolutions, attention over channels by formulas
// and over pixels by products of matrices, and normalisations.
type attentive struct {
	Stem    *nn.Conv2d
	Depth   *nn.Conv2d
	Norm    *nn.GroupNorm
	Squeeze *nn.Linear
	Tokens  *nn.LayerNorm
	Query   *nn.Linear
	Key     *nn.Linear
	Scale   *nn.Parameter
	Head    *nn.Linear
}

func newAttentive() *attentive {
	m := &attentive{
		Stem: nn.NewConv2d(1, 8, 3, nn.Conv{Stride: 2, Padding: 1}), Depth: nn.NewConv2d(8, 8, 3, nn.Conv{Groups: 8, Padding: 1}),
		Norm: nn.NewGroupNorm(2, 8), Squeeze: nn.NewLinear(8, 8), Tokens: nn.NewLayerNorm([]int{8}),
		Query: nn.NewLinear(8, 4), Key: nn.NewLinear(8, 4), Scale: &nn.Parameter{Value: tensor.New(8, 1, 1).Fill(0.7), Trainable: true},
		Head: nn.NewLinear(8, 3),
	}
	nn.Init(m, 3, nn.PyTorchDefault)
	return m
}

func (m *attentive) Forward(x *graph.Node) *graph.Node {
	first := len(x.Graph.Nodes)
	x = m.Stem.Forward(x).Hardswish()
	n, c := x.Shape[0], x.Shape[1]
	x = x.Add(m.Norm.Forward(m.Depth.Forward(x)).GELU().Mul(x.Graph.Variable(m.Scale)))
	gate := m.Squeeze.Forward(x.Mean(2, 3).Reshape(n, c)).Hardsigmoid()
	x = x.Mul(gate.Reshape(n, c, 1, 1))
	x = x.Greater(x.Graph.Constant(0.1)).Where(x, x.Scale(0.5))
	x = nn.Upsample{Scale: 0.5, Bilinear: true}.Forward(x).Pad(2, 1, 0, 0)
	tokens := m.Tokens.Forward(x.Reshape(n, c, x.Shape[2]*x.Shape[3]).Transpose(0, 2, 1))
	weights := m.Query.Forward(tokens).MatMul(m.Key.Forward(tokens).Transpose(0, 2, 1)).Scale(0.5).Softmax(-1)
	x = weights.MatMul(tokens).Max(1).Reshape(n, c)
	return x.Graph.Record(m, first, m.Head.Forward(x.SiLU()))
}

// reference returns what m gives in float64 for some images.
func reference(t *testing.T, m nn.Module, images tensor.Shape) []float64 {
	t.Helper()
	g := graph.New(graph.Eval)
	x := g.Input("images", tensor.Float32, images...)
	values := make([]float64, images.Numel())
	for i := range values {
		values[i] = math.Sin(float64(i))
	}
	return graph.Reference([]*graph.Node{m.Forward(x)}, map[*graph.Node][]float64{x: values})[0]
}

// A net of one's own that is exported opens again, and gives the same for any batch.
func TestOwnNetGoesToAFileAndBack(t *testing.T) {
	m := newAttentive()
	info := checkpoint.Model{
		Architecture: "attentive", Classes: []string{"heel", "sole", "tongue"},
		Input: prepare.Input{Channels: 1, Height: 12, Width: 16, Preprocess: prepare.Steps{Grey: true}},
	}
	path := filepath.Join(t.TempDir(), "own.onnx")
	if _, err := exchange.Save(path, m, info, exchange.ExportConfig{}); err != nil {
		t.Fatal(err)
	}
	opened, err := modelfile.Open(path, modelfile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if opened.Info.Architecture != "attentive" || opened.Info.Classes[2] != "tongue" {
		t.Errorf("%+v", opened.Info)
	}
	for _, batch := range []int{1, 5} {
		images := tensor.Shape{batch, 1, 12, 16}
		want, got := reference(t, m, images), reference(t, opened.Module, images)
		if len(got) != len(want) {
			t.Fatalf("%d numbers, want %d", len(got), len(want))
		}
		for i, w := range want {
			if !(math.Abs(got[i]-w) <= 1e-6) {
				t.Errorf("batch %d: number %d is %v, want %v", batch, i, got[i], w)
			}
		}
	}
}

package nn_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/tensor"
)

// stateless are the layers without parameters, as values and as pointers.
var stateless = [][2]nn.Module{
	{nn.ReLU{}, &nn.ReLU{}}, {nn.Sigmoid{}, &nn.Sigmoid{}}, {nn.Tanh{}, &nn.Tanh{}}, {nn.ReLU6{}, &nn.ReLU6{}},
	{nn.LeakyReLU{}, &nn.LeakyReLU{}}, {nn.GELU{Tanh: true}, &nn.GELU{Tanh: true}}, {nn.SiLU{}, &nn.SiLU{}},
	{nn.Hardswish{}, &nn.Hardswish{}}, {nn.Hardsigmoid{}, &nn.Hardsigmoid{}}, {nn.Softplus{}, &nn.Softplus{}},
	{nn.Softmax{}, &nn.Softmax{}}, {nn.LogSoftmax{}, &nn.LogSoftmax{}}, {nn.Dropout{}, &nn.Dropout{}}, {nn.Identity{}, &nn.Identity{}},
	{nn.MaxPool2d{Kernel: 2}, &nn.MaxPool2d{Kernel: 2}}, {nn.AvgPool2d{Kernel: 2}, &nn.AvgPool2d{Kernel: 2}},
	{nn.AdaptiveAvgPool2d{}, &nn.AdaptiveAvgPool2d{}}, {nn.Upsample{Scale: 2}, &nn.Upsample{Scale: 2}}, {nn.Flatten{}, &nn.Flatten{}},
}

// A layer without parameters is the same as T{} and as &T{}: it adds the same operations and
// has the same row in summaries.
func TestLayersAsValuesAndPointers(t *testing.T) {
	for _, pair := range stateless {
		var seen [2]string
		for i, m := range pair {
			y := output(graph.Train, nn.Sequential{m}, 2, 3, 4, 6)
			for _, n := range y.Graph.Nodes {
				seen[i] += fmt.Sprintf("%v %+v %T, ", n, n.Op, n.Op)
			}
			table, err := nn.Summary(nn.Sequential{m}, tensor.Shape{2, 3, 4, 6})
			if err != nil {
				t.Fatal(err)
			}
			seen[i] += fmt.Sprint(table, m)
		}
		if seen[0] != seen[1] {
			t.Errorf("%T: %s\n%T: %s", pair[0], seen[0], pair[1], seen[1])
		}
	}
}

func TestNormalisationsStartAsTheIdentityOfTheirAffine(t *testing.T) {
	m := nn.Sequential{nn.NewLayerNorm([]int{4}), nn.NewGroupNorm(2, 6), nn.NewGroupNorm(2, 6, nn.NormOptions{NoAffine: true})}
	for _, p := range nn.Named(m) {
		p.Value.Fill(7)
	}
	nn.Init(m, 1, nn.KaimingNormal)
	var got []string
	for _, p := range nn.Named(m) {
		got = append(got, fmt.Sprint(p.Name, p.Value.Shape(), p.Value.Data()[1]))
	}
	if want := []string{"0.weight[4] 1", "0.bias[4] 0", "1.weight[6] 1", "1.bias[6] 0"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	for text, l := range map[string]fmt.Stringer{
		"LayerNorm((4, 5), eps=1e-05)":                               nn.NewLayerNorm([]int{4, 5}),
		"LayerNorm((4,), eps=0.001, affine=False)":                   nn.NewLayerNorm([]int{4}, nn.NormOptions{Eps: 1e-3, NoAffine: true}),
		"GroupNorm(2, 6, eps=1e-05)":                                 nn.NewGroupNorm(2, 6),
		"Upsample(scale_factor=2, mode='nearest')":                   nn.Upsample{Scale: 2},
		"Upsample(size=(3, 4), mode='bilinear', align_corners=True)": nn.Upsample{H: 3, W: 4, Bilinear: true, AlignCorners: true},
		"GELU(approximate='tanh')":                                   nn.GELU{Tanh: true},
		"LeakyReLU(negative_slope=0.01)":                             nn.LeakyReLU{},
	} {
		if l.String() != text {
			t.Errorf("%v, want %s", l, text)
		}
	}
}

// The error of a shape that does not fit names the layer and the shapes.
func TestErrorsNameTheLayer(t *testing.T) {
	net := func(m nn.Module) func() {
		m = nn.Sequential{nn.ReLU{}, nn.Sequential{nn.Identity{}, m}}
		nn.Named(m)
		return func() { output(graph.Eval, m, 2, 3, 4, 6) }
	}
	for _, c := range []struct {
		m     nn.Module
		wants []string
	}{
		{nn.NewLayerNorm([]int{5}), []string{"LayerNorm((5,)", "(of 1.1.weight)", "[2, 3, 4, 6]", "must be [5]"}},
		{nn.NewGroupNorm(2, 4), []string{"GroupNorm(2, 4", "(of 1.1.weight)", "[2, 3, 4, 6]", "needs [N, 4, ...]"}},
		{nn.NewLayerNorm([]int{5}, nn.NormOptions{NoAffine: true}), []string{"layer 1.1 (LayerNorm)", "[2, 3, 4, 6]"}},
		{nn.Upsample{}, []string{"layer 1.1 (Upsample)", "either Scale or both H and W"}},
		{nn.Upsample{Scale: 2, AlignCorners: true}, []string{"layer 1.1 (Upsample)", "[2, 3, 4, 6]", "set Bilinear too"}},
		{nn.NewLinear(7, 2), []string{"Linear", "(of 1.1.weight)", "[2, 3, 4, 6]", "needs [N, 7]"}},
		{nn.MaxPool2d{Kernel: 9}, []string{"layer 1.1 (MaxPool2d)", "[2, 3, 4, 6]", "does not fit"}},
		{multiplied{}, []string{"layer 1.1 (multiplied)", "MatMul: 6 columns", "[2, 3, 4, 6]"}},
	} {
		mustPanic(t, fmt.Sprint(c.m), net(c.m), c.wants...)
	}
	mustPanic(t, "groups", func() { nn.NewGroupNorm(4, 6) }, "NewGroupNorm(4, 6", "divide into groups")
}

// multiplied is a module of a user's own that multiplies its input with itself.
type multiplied struct{}

func (multiplied) Forward(x *graph.Node) *graph.Node { return x.MatMul(x) }

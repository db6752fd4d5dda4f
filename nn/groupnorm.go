package nn

import (
	"fmt"
	"strings"

	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/tensor"
)

// NormOptions configures a layer or group normalisation. The zero value is PyTorch's default.
type NormOptions struct {
	Eps      float64 // added to the variance; zero: 1e-5
	NoAffine bool    // no weight and bias, as if they were 1 and 0
}

func (c NormOptions) eps() float64 {
	if c.Eps == 0 {
		return 1e-5
	}
	return c.Eps
}

// LayerNorm normalises over the last dimensions, those of Shape, then multiplies by the weight
// and adds the bias: see graph.LayerNorm.
// https://pytorch.org/docs/stable/generated/torch.nn.LayerNorm.html
type LayerNorm struct {
	Shape  tensor.Shape
	Weight *Parameter // of Shape, or nil
	Bias   *Parameter // of Shape, or nil
	Eps    float64
}

// GroupNorm normalises [N,C,...] image by image over groups of neighbouring channels, then
// multiplies by the weight and adds the bias: see graph.GroupNorm.
// https://pytorch.org/docs/stable/generated/torch.nn.GroupNorm.html
type GroupNorm struct {
	Groups, Channels int
	Weight           *Parameter // [C], or nil
	Bias             *Parameter // [C], or nil
	Eps              float64
}

// NewLayerNorm returns a layer normalisation over the last dimensions, whose sizes are given:
// nn.NewLayerNorm([]int{64}).
func NewLayerNorm(shape []int, c ...NormOptions) *LayerNorm {
	conf := one("NewLayerNorm", c)
	if len(shape) == 0 || tensor.Shape(shape).Numel() < 1 || conf.Eps < 0 {
		panic(tensor.Misusef("nn.NewLayerNorm(%v, %+v): there must be at least one size, sizes at least 1, Eps at least 0", shape, conf))
	}
	l := &LayerNorm{Shape: tensor.Shape(shape).Clone(), Eps: conf.eps()}
	l.Weight, l.Bias = weightAndBias(conf, shape...)
	return l
}

// NewGroupNorm returns a normalisation of channels in that many groups.
func NewGroupNorm(groups, channels int, c ...NormOptions) *GroupNorm {
	conf := one("NewGroupNorm", c)
	if groups < 1 || channels < 1 || channels%groups != 0 || conf.Eps < 0 {
		panic(tensor.Misusef("nn.NewGroupNorm(%d, %d, %+v): channels must divide into groups, Eps must be at least 0", groups, channels, conf))
	}
	l := &GroupNorm{Groups: groups, Channels: channels, Eps: conf.eps()}
	l.Weight, l.Bias = weightAndBias(conf, channels)
	return l
}

func weightAndBias(c NormOptions, shape ...int) (weight, bias *Parameter) {
	if c.NoAffine {
		return nil, nil
	}
	weight, bias = parameter(shape...), parameter(shape...)
	weight.Value.Fill(1)
	return weight, bias
}

func (l *LayerNorm) Forward(x *graph.Node) *graph.Node {
	first, more := len(x.Graph.Nodes), len(x.Shape)-len(l.Shape)
	if more < 0 || !x.Shape[more:].Equal(l.Shape) {
		misfit(l, l.Weight, x, "its last dimensions must be %v", l.Shape)
	}
	weight, bias := affine(x.Graph, l.Weight, 1, l.Shape...), affine(x.Graph, l.Bias, 0, l.Shape...)
	return x.Graph.Record(l, first, x.LayerNorm(weight, bias, l.Eps))
}

func (l *GroupNorm) Forward(x *graph.Node) *graph.Node {
	first := len(x.Graph.Nodes)
	if len(x.Shape) < 2 || x.Shape[1] != l.Channels {
		misfit(l, l.Weight, x, "needs [N, %d, ...]", l.Channels)
	}
	weight, bias := affine(x.Graph, l.Weight, 1, l.Channels), affine(x.Graph, l.Bias, 0, l.Channels)
	return x.Graph.Record(l, first, x.GroupNorm(l.Groups, weight, bias, l.Eps))
}

// Init implements Initialiser. With every scheme the weight becomes 1 and the bias 0.
func (l *LayerNorm) Init(Scheme, func(name string) *Source) { initAffine(l.Weight, l.Bias) }

// Init implements Initialiser. With every scheme the weight becomes 1 and the bias 0.
func (l *GroupNorm) Init(Scheme, func(name string) *Source) { initAffine(l.Weight, l.Bias) }

func initAffine(weight, bias *Parameter) {
	if weight != nil {
		weight.Value.Fill(1)
	}
	if bias != nil {
		bias.Value.Fill(0)
	}
}

func (l *LayerNorm) String() string {
	sizes := strings.Trim(l.Shape.String(), "[]")
	if len(l.Shape) == 1 {
		sizes += ","
	}
	return fmt.Sprintf("LayerNorm((%s), eps=%g%s)", sizes, l.Eps, affineText(l.Weight))
}

func (l *GroupNorm) String() string {
	return fmt.Sprintf("GroupNorm(%d, %d, eps=%g%s)", l.Groups, l.Channels, l.Eps, affineText(l.Weight))
}

func affineText(weight *Parameter) string {
	if weight == nil {
		return ", affine=False"
	}
	return ""
}

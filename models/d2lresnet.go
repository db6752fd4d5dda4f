package models

import (
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/prepare"
)

var d2lResNet18 = Entry{
	Name:        "d2l-resnet18",
	Family:      "Dive into Deep Learning",
	Kind:        PostActivation,
	Description: "ResNet-18 of Dive into Deep Learning: convolutions with bias, shortcuts without batch norm",
	Input:       prepare.Input{Channels: 1, Height: 96, Width: 96}, Classes: 10,
	Params: 11178378, Blocks: []int{2, 2, 2, 2},
	Stem: "b1.0", Head: "fc", Stages: []string{"b2", "b3", "b4", "b5"},
	growth: growth{64 * 49, 513, d2lGrowth(imagenetWidths)}, form: "ResNet of Dive into Deep Learning",
	Source: "https://d2l.ai/chapter_convolutional-modern/resnet.html; He et al. 2016, https://arxiv.org/abs/1512.03385",
	New:    func(c Config) nn.Module { return newD2LResNet(c) },
}

// d2lGrowth is basicGrowth for blocks whose convolutions have a bias.
func d2lGrowth(widths []int) (g []int64) {
	for i, n := range basicGrowth(widths) {
		g = append(g, n+int64(2*widths[i]))
	}
	return g
}

// D2LResNet18 is the network of "Dive into Deep Learning", section 8.6:
// [N,channels,H,W] -> logits [N,classes], for images of any size.
type D2LResNet18 struct {
	B1             nn.Sequential // stem: 64 channels at a quarter of the size
	B2, B3, B4, B5 nn.Sequential // stages of 64, 128, 256, 512 channels
	Pool           nn.AdaptiveAvgPool2d
	Flatten        nn.Flatten
	FC             nn.Module // the head: a *nn.Linear until it is replaced
}

// NewD2LResNet18 returns a D2LResNet18. For one channel and ten classes it has 11,178,378
// parameters.
func NewD2LResNet18(channels, classes int) *D2LResNet18 {
	return newD2LResNet(d2lResNet18.fill(Config{Channels: channels, Classes: classes}))
}

func newD2LResNet(c Config) *D2LResNet18 {
	s := stages(c, 64, imagenetWidths, 1, func(p place) nn.Module {
		return nn.NewResidual(p.in, p.out, nn.Block{
			Use1x1Conv: p.in != p.out, Stride: p.stride, ZeroInit: p.zero, StochasticDepth: p.drop, Blank: p.blank,
		})
	})
	return &D2LResNet18{
		B1: nn.Sequential{
			nn.NewConv2d(c.Channels, 64, 7, nn.Conv{Stride: 2, Padding: 3, Blank: c.Blank}), nn.NewBatchNorm2d(64), nn.ReLU{},
			nn.MaxPool2d{Kernel: 3, Stride: 2, Padding: 1},
		},
		B2: s[0], B3: s[1], B4: s[2], B5: s[3],
		FC: nn.NewLinear(512, c.Classes, nn.Dense{Blank: c.Blank}),
	}
}

// Forward implements nn.Module.
func (m *D2LResNet18) Forward(x *graph.Node) *graph.Node { return m.through(x, nn.Module.Forward) }

// Head returns the path of the head. It implements nn.Header.
func (m *D2LResNet18) Head() string { return "fc" }

// Stages implements Net.
func (m *D2LResNet18) Stages() []Stage {
	return []Stage{stage("b2", m.B2), stage("b3", m.B3), stage("b4", m.B4), stage("b5", m.B5)}
}

// Through implements Net.
func (m *D2LResNet18) Through(x *graph.Node, visit func(b Block, x *graph.Node) *graph.Node) *graph.Node {
	return m.through(x, visiting(visit))
}

func (m *D2LResNet18) through(x *graph.Node, visit func(b nn.Module, x *graph.Node) *graph.Node) *graph.Node {
	g, first := x.Graph, len(x.Graph.Nodes)
	x = m.B1.Forward(x)
	for _, layer := range []nn.Sequential{m.B2, m.B3, m.B4, m.B5} {
		from := len(g.Nodes)
		for _, b := range layer {
			x = visit(b, x)
		}
		g.Record(layer, from, x)
	}
	for _, part := range []nn.Module{m.Pool, m.Flatten, m.FC} {
		x = part.Forward(x)
	}
	return g.Record(m, first, x)
}

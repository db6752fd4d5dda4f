package models

import (
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/nn"
)

var d2lResNet18 = Entry{
	Name:        "d2l-resnet18",
	Description: "ResNet-18 of Dive into Deep Learning: convolutions with bias, shortcuts without batch norm",
	Channels:    1, Height: 96, Width: 96, Classes: 10,
	Source: "https://d2l.ai/chapter_convolutional-modern/resnet.html; He et al. 2016, https://arxiv.org/abs/1512.03385",
	New:    func(c Config) nn.Module { return NewD2LResNet18(c.Channels, c.Classes) },
}

// D2LResNet18 is the network of "Dive into Deep Learning", section 8.6:
// [N,channels,H,W] -> logits [N,classes], for images of any size.
type D2LResNet18 struct {
	B1             nn.Sequential // stem: a quarter of the size, 64 channels
	B2, B3, B4, B5 nn.Sequential // stages of 64, 128, 256, 512 channels
	Pool           nn.AdaptiveAvgPool2d
	Flatten        nn.Flatten
	FC             *nn.Linear
}

// NewD2LResNet18 has 11,178,378 parameters for one channel and ten classes.
func NewD2LResNet18(channels, classes int) *D2LResNet18 {
	return &D2LResNet18{
		B1: nn.Sequential{
			nn.NewConv2d(channels, 64, 7, nn.Conv{Stride: 2, Padding: 3}), nn.NewBatchNorm2d(64), nn.ReLU{},
			nn.MaxPool2d{Kernel: 3, Stride: 2, Padding: 1},
		},
		B2: nn.ResnetBlock(64, 64, 2, true),
		B3: nn.ResnetBlock(64, 128, 2, false),
		B4: nn.ResnetBlock(128, 256, 2, false),
		B5: nn.ResnetBlock(256, 512, 2, false),
		FC: nn.NewLinear(512, classes),
	}
}

func (m *D2LResNet18) Forward(x *graph.Node) *graph.Node {
	first := len(x.Graph.Nodes)
	for _, part := range []nn.Module{m.B1, m.B2, m.B3, m.B4, m.B5, m.Pool, m.Flatten, m.FC} {
		x = part.Forward(x)
	}
	return x.Graph.Record(m, first, x)
}

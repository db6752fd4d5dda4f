package models

import (
	"strconv"

	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/prepare"
)

var d2lBNLeNet = Entry{
	Name:        "d2l-bnlenet",
	Family:      "Dive into Deep Learning",
	Kind:        Plain,
	Description: "LeNet-5 with batch normalisation and sigmoids, for 28x28 images",
	Input:       prepare.Input{Channels: 1, Height: 28, Width: 28}, Classes: 10, FixedSize: true,
	Stem: "0", Head: "15",
	Params: 44878, growth: growth{6 * 25, 85, nil},
	Source: "https://d2l.ai/chapter_convolutional-modern/batch-norm.html; LeCun et al. 1998",
	New:    func(c Config) nn.Module { return NewD2LBNLeNet(c.Channels, c.Classes) },
}

// D2LBNLeNet is the batch-normalised LeNet of "Dive into Deep Learning", section
// 8.5, with max pooling: [N,channels,28,28] -> logits [N,classes].
type D2LBNLeNet struct{ nn.Sequential }

// NewD2LBNLeNet returns a D2LBNLeNet. For one channel and ten classes it has 44,878 parameters.
func NewD2LBNLeNet(channels, classes int) *D2LBNLeNet {
	return &D2LBNLeNet{nn.Sequential{
		nn.NewConv2d(channels, 6, 5), nn.NewBatchNorm2d(6), nn.Sigmoid{},
		nn.MaxPool2d{Kernel: 2, Stride: 2},
		nn.NewConv2d(6, 16, 5), nn.NewBatchNorm2d(16), nn.Sigmoid{},
		nn.MaxPool2d{Kernel: 2, Stride: 2},
		nn.Flatten{},
		nn.NewLinear(256, 120), nn.NewBatchNorm1d(120), nn.Sigmoid{},
		nn.NewLinear(120, 84), nn.NewBatchNorm1d(84), nn.Sigmoid{},
		nn.NewLinear(84, classes),
	}}
}

// Head returns the path of the head. It implements nn.Header.
func (m *D2LBNLeNet) Head() string { return strconv.Itoa(len(m.Sequential) - 1) }

// Forward implements nn.Module.
func (m *D2LBNLeNet) Forward(x *graph.Node) *graph.Node {
	first := len(x.Graph.Nodes)
	for _, layer := range m.Sequential {
		x = layer.Forward(x)
	}
	return x.Graph.Record(m, first, x)
}

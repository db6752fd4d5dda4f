package models

import (
	"fmt"

	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/prepare"
)

// resNet9Widths are the channels of the first layer of each ResNet-9. Page's has 64.
var resNet9Widths = []int{16, 24, 32, 48, 64, 96, 128}

// resNets9 are David Page's network in several widths. Its last layer has biases, unlike Page's.
func resNets9() (all []Entry) {
	for _, w := range resNet9Widths {
		all = append(all, resNet9(w))
	}
	return all
}

func resNet9(width int) Entry {
	w := int64(width)
	layer := func(in, out int64) int64 { return 9*in*out + 2*out }
	return Entry{
		Name: fmt.Sprintf("resnet9-%d", width), Family: "ResNet-9", Kind: InnerActivation,
		Description: fmt.Sprintf("eight 3x3 convolutions and a linear layer, for quick training; %d channels in the first, %d in the last", width, 8*width),
		Input: prepare.Input{
			Channels: 3, Height: 32, Width: 32,
			Preprocess: prepare.Steps{Mean: []float64{0.4914, 0.4822, 0.4465}, Std: []float64{0.2470, 0.2435, 0.2616}},
		},
		Classes: 10, Blocks: []int{1, 1},
		Params: layer(3, w) + layer(w, 2*w) + 2*layer(2*w, 2*w) + layer(2*w, 4*w) + layer(4*w, 8*w) + 2*layer(8*w, 8*w) + 10*(8*w+1),
		Stem:   "prep.0", Head: "fc", Stages: []string{"res1", "res3"},
		growth: growth{9 * w, 8*w + 1, basicGrowth([]int{2 * width, 8 * width})}, form: "quick ResNet", stems: true,
		Source: "https://github.com/davidcpage/cifar10-fast; https://myrtle.ai/learn/how-to-train-your-resnet/",
		New:    func(c Config) nn.Module { return newResNet9(c, width) },
	}
}

// ResNet9 is the network for CIFAR-10 with which David Page won DAWNBench: a layer of 3x3
// convolution, batch norm and ReLU, then three such layers that double the channels and end in
// max pooling, with residual blocks after the first and the third. The logits are those of an
// eighth of the largest values of each channel, with which it learns at rates several times as
// high: [N,channels,H,W] -> [N,classes], for images of at least 8x8.
type ResNet9 struct {
	Prep, Layer1, Layer2, Layer3 nn.Sequential
	Res1, Res3                   nn.Sequential // of InnerBlocks
	Flatten                      nn.Flatten
	FC                           nn.Module // the head: a *nn.Linear until it is replaced
}

func newResNet9(c Config, width int) *ResNet9 {
	layer := func(in, out int) nn.Sequential {
		return nn.Sequential{nn.NewConv2d(in, out, 3, nn.Conv{Padding: 1, NoBias: true, Blank: c.Blank}), nn.NewBatchNorm2d(out), nn.ReLU{}}
	}
	pooled := func(in, out int) nn.Sequential { return append(layer(in, out), nn.MaxPool2d{Kernel: 2}) }
	l, total := 0, sum(c.Blocks)
	blocks := func(n, width int) (s nn.Sequential) {
		for range n {
			l++
			p := place{in: width, out: width, stride: 1, zero: c.ZeroInit, blank: c.Blank, drop: c.StochasticDepth * float64(l) / float64(total)}
			s = append(s, &InnerBlock{newPlainBlock(p), nn.StochasticDepth{P: p.drop}})
		}
		return s
	}
	return &ResNet9{
		Prep:   newStem(c, width),
		Layer1: pooled(width, 2*width), Res1: blocks(c.Blocks[0], 2*width),
		Layer2: pooled(2*width, 4*width),
		Layer3: pooled(4*width, 8*width), Res3: blocks(c.Blocks[1], 8*width),
		FC: nn.NewLinear(8*width, c.Classes, nn.Dense{Blank: c.Blank}),
	}
}

// resNet9Scale is Page's factor of the logits, here of the features that these are made of.
const resNet9Scale = 0.125

// Forward implements nn.Module.
func (m *ResNet9) Forward(x *graph.Node) *graph.Node { return m.through(x, nn.Module.Forward) }

// Head returns the path of the head. It implements nn.Header.
func (m *ResNet9) Head() string { return "fc" }

// Stages implements Net.
func (m *ResNet9) Stages() []Stage { return []Stage{stage("res1", m.Res1), stage("res3", m.Res3)} }

// Through implements Net.
func (m *ResNet9) Through(x *graph.Node, visit func(b Block, x *graph.Node) *graph.Node) *graph.Node {
	return m.through(x, visiting(visit))
}

func (m *ResNet9) through(x *graph.Node, visit func(b nn.Module, x *graph.Node) *graph.Node) *graph.Node {
	g, first := x.Graph, len(x.Graph.Nodes)
	residual := func(s nn.Sequential) {
		from := len(g.Nodes)
		for _, b := range s {
			x = visit(b, x)
		}
		g.Record(s, from, x)
	}
	x = m.Layer1.Forward(m.Prep.Forward(x))
	residual(m.Res1)
	x = m.Layer3.Forward(m.Layer2.Forward(x))
	residual(m.Res3)
	h, w := x.Shape[2], x.Shape[3]
	x = g.Apply(graph.MaxPool2d{KH: h, KW: w, StrideH: h, StrideW: w, DilationH: 1, DilationW: 1}, x)
	return g.Record(m, first, m.FC.Forward(m.Flatten.Forward(x.Scale(resNet9Scale))))
}

// InnerBlock is a plain block with the identity as its shortcut, added after the last activation:
// ReLU(BN2(...)) + x (He et al. 2016, https://arxiv.org/abs/1603.05027, figure 4c).
type InnerBlock struct {
	PlainBlock
	Drop nn.StochasticDepth
}

// Forward implements nn.Module.
func (b *InnerBlock) Forward(x *graph.Node) *graph.Node {
	first := len(x.Graph.Nodes)
	branch, shortcut := b.Parts(x)
	return x.Graph.Record(b, first, b.Drop.Branch(branch).Add(shortcut))
}

// Parts implements Block.
func (b *InnerBlock) Parts(x *graph.Node) (branch, shortcut *graph.Node) {
	return b.ReLU.Forward(b.layers(x)), x
}

// Identity implements Block.
func (b *InnerBlock) Identity() bool { return true }

// Last implements Block.
func (b *InnerBlock) Last() nn.Zeroer { return b.BN2 }

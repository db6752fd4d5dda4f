package models

import (
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/prepare"
	"github.com/residual-ml/residual/tensor"
)

// whitenedResNet8 has the layers of the network with which Keller Jordan trains on CIFAR-10, and
// besides them a shortcut around the second convolution of every stage and biases in the last layer.
var whitenedResNet8 = Entry{
	Name: "whitened-resnet8", Family: "Whitened ResNet", Kind: InnerActivation,
	Description: "a 2x2 convolution that whitens, six 3x3 convolutions and a linear layer, for the quickest training on 32x32 pixels",
	Input: prepare.Input{
		Channels: 3, Height: 32, Width: 32,
		Preprocess: prepare.Steps{Mean: []float64{0.4914, 0.4822, 0.4465}, Std: []float64{0.2470, 0.2435, 0.2616}},
	},
	Classes: 10, Params: 1977514, Blocks: []int{1, 1, 1},
	Stem: "whiten", Head: "fc", Stages: []string{"res1", "res2", "res3"},
	growth: growth{4 * whiteners, 257, []int64{9*64*64 + 2*64, 9*256*256 + 2*256, 9*256*256 + 2*256}}, form: "whitened ResNet",
	Source: "Jordan 2024, https://arxiv.org/abs/2404.00498, section 3",
	New:    func(c Config) nn.Module { return newWhitenedResNet(c, 64, 256, 256) },
}

// whiteners is the number of channels of the first layer: two for each of the 12 values in 2x2
// pixels of a colour image, and 8 random ones, since the next layer is faster with 32 than with 24.
const whiteners = 32

// WhitenedResNet is a network of three stages behind a 2x2 convolution that nn.Whiten sets. A stage
// is a 3x3 convolution, max pooling, batch norm and GELU, and then residual blocks of one such
// layer. The logits are those of the largest values of each channel, divided by 9, so that the
// softmax of a new network is flat: [N,channels,H,W] -> [N,classes], for images of at least 9x9.
type WhitenedResNet struct {
	Whiten                 *nn.Conv2d
	GELU                   nn.GELU `nn:"gelu"`
	Layer1, Layer2, Layer3 nn.Sequential
	Res1, Res2, Res3       nn.Sequential // of SingleBlocks
	Flatten                nn.Flatten
	FC                     nn.Module // the head: a *nn.Linear until it is replaced
}

// logitScale divides the features, and with them the logits.
const logitScale = 1.0 / 9

// quickNorm forgets the statistics of earlier batches soon, since a short training changes the
// weights quickly.
var quickNorm = nn.Norm{Momentum: 0.4}

func newWhitenedResNet(c Config, widths ...int) *WhitenedResNet {
	pooled := func(in, out int) nn.Sequential {
		return nn.Sequential{
			nn.NewConv2d(in, out, 3, nn.Conv{Padding: 1, NoBias: true, Identity: true, Blank: c.Blank}),
			nn.MaxPool2d{Kernel: 2}, nn.NewBatchNorm2d(out, quickNorm), nn.GELU{},
		}
	}
	l, total := 0, sum(c.Blocks)
	blocks := func(n, width int) (s nn.Sequential) {
		for range n {
			l++
			norm := quickNorm
			norm.ZeroInit = c.ZeroInit
			s = append(s, &SingleBlock{
				Conv1: nn.NewConv2d(width, width, 3, nn.Conv{Padding: 1, NoBias: true, Identity: true, Blank: c.Blank}),
				BN1:   nn.NewBatchNorm2d(width, norm),
				Drop:  nn.StochasticDepth{P: c.StochasticDepth * float64(l) / float64(total)},
			})
		}
		return s
	}
	return &WhitenedResNet{
		Whiten: nn.NewConv2d(c.Channels, whiteners, 2, nn.Conv{Blank: c.Blank}),
		Layer1: pooled(whiteners, widths[0]), Res1: blocks(c.Blocks[0], widths[0]),
		Layer2: pooled(widths[0], widths[1]), Res2: blocks(c.Blocks[1], widths[1]),
		Layer3: pooled(widths[1], widths[2]), Res3: blocks(c.Blocks[2], widths[2]),
		FC: nn.NewLinear(widths[2], c.Classes, nn.Dense{Blank: c.Blank}),
	}
}

// InitFromImages implements nn.ImageInitialiser: it whitens the images by the first layer.
func (m *WhitenedResNet) InitFromImages(images *tensor.Tensor) { nn.Whiten(m.Whiten, images) }

// Forward implements nn.Module.
func (m *WhitenedResNet) Forward(x *graph.Node) *graph.Node { return m.through(x, nn.Module.Forward) }

// Head returns the path of the head. It implements nn.Header.
func (m *WhitenedResNet) Head() string { return "fc" }

// Stages implements Net.
func (m *WhitenedResNet) Stages() []Stage {
	return []Stage{stage("res1", m.Res1), stage("res2", m.Res2), stage("res3", m.Res3)}
}

// Through implements Net.
func (m *WhitenedResNet) Through(x *graph.Node, visit func(b Block, x *graph.Node) *graph.Node) *graph.Node {
	return m.through(x, visiting(visit))
}

func (m *WhitenedResNet) through(x *graph.Node, visit func(b nn.Module, x *graph.Node) *graph.Node) *graph.Node {
	g, first := x.Graph, len(x.Graph.Nodes)
	x = m.GELU.Forward(m.Whiten.Forward(x))
	for _, s := range []struct{ layer, blocks nn.Sequential }{{m.Layer1, m.Res1}, {m.Layer2, m.Res2}, {m.Layer3, m.Res3}} {
		x = s.layer.Forward(x)
		from := len(g.Nodes)
		for _, b := range s.blocks {
			x = visit(b, x)
		}
		g.Record(s.blocks, from, x)
	}
	h, w := x.Shape[2], x.Shape[3]
	x = g.Apply(graph.MaxPool2d{KH: h, KW: w, StrideH: h, StrideW: w, DilationH: 1, DilationW: 1}, x)
	return g.Record(m, first, m.FC.Forward(m.Flatten.Forward(x.Scale(logitScale))))
}

// SingleBlock is a residual block of one layer: GELU(BN(conv(x))) + x, as Keller Jordan's network for
// 96 % on CIFAR-10 has around the last layer of its stages.
type SingleBlock struct {
	Conv1 *nn.Conv2d
	BN1   *nn.BatchNorm2d
	GELU  nn.GELU `nn:"gelu"`
	Drop  nn.StochasticDepth
}

// Forward implements nn.Module.
func (b *SingleBlock) Forward(x *graph.Node) *graph.Node {
	first := len(x.Graph.Nodes)
	branch, shortcut := b.Parts(x)
	return x.Graph.Record(b, first, b.Drop.Branch(branch).Add(shortcut))
}

// Parts implements Block.
func (b *SingleBlock) Parts(x *graph.Node) (branch, shortcut *graph.Node) {
	return b.GELU.Forward(b.BN1.Forward(b.Conv1.Forward(x))), x
}

// Identity implements Block.
func (b *SingleBlock) Identity() bool { return true }

// Last implements Block.
func (b *SingleBlock) Last() nn.Zeroer { return b.BN1 }

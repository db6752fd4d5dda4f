package models

import (
	"fmt"

	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/nn"
)

// PreActBlock is the basic block with its activations before the convolutions:
// Conv2(a2(Conv1(a1(x)))) + x, where a is ReLU after a batch norm. There is no activation on
// the path from one sum to the next (He et al. 2016, https://arxiv.org/abs/1603.05027,
// figure 1b).
//
// As in section 3.2 and the authors' code, the first block of a stage applies its first
// activation before branch and shortcut divide (Shared), and a block directly after a ReLU has
// no BN1.
type PreActBlock struct {
	BN1        *nn.BatchNorm2d // nil if x is activated already
	Conv1      *nn.Conv2d      // 3x3
	BN2        *nn.BatchNorm2d
	Conv2      *nn.Conv2d    // 3x3
	ReLU       nn.ReLU       `nn:"relu"`
	Downsample nn.Sequential // layers of the shortcut; nil for the identity
	Shared     bool          // the shortcut begins after the first activation
	Drop       nn.StochasticDepth
}

// PreActBottleneck is the bottleneck with its activations before the convolutions; see
// PreActBlock.
type PreActBottleneck struct {
	BN1        *nn.BatchNorm2d // nil if x is activated already
	Conv1      *nn.Conv2d      // 1x1
	BN2        *nn.BatchNorm2d
	Conv2      *nn.Conv2d // 3x3
	BN3        *nn.BatchNorm2d
	Conv3      *nn.Conv2d    // 1x1
	ReLU       nn.ReLU       `nn:"relu"`
	Downsample nn.Sequential // layers of the shortcut; nil for the identity
	Shared     bool          // the shortcut begins after the first activation
	Drop       nn.StochasticDepth
}

func newPreActBlock(p place, downsample nn.Sequential) *PreActBlock {
	return &PreActBlock{
		BN1:        nn.NewBatchNorm2d(p.in),
		Conv1:      nn.NewConv2d(p.in, p.out, 3, nn.Conv{Stride: p.stride, Padding: 1, NoBias: true, Blank: p.blank}),
		BN2:        nn.NewBatchNorm2d(p.out),
		Conv2:      nn.NewConv2d(p.out, p.out, 3, nn.Conv{Padding: 1, NoBias: true, ZeroInit: p.zero, Blank: p.blank}),
		Downsample: downsample,
		Shared:     p.index == 0,
		Drop:       nn.StochasticDepth{P: p.drop},
	}
}

// newImageNetPreActBlock returns a block for a network whose stem ends in ReLU.
func newImageNetPreActBlock(p place) nn.Module {
	b := newPreActBlock(p, bareProjection(p, p.out))
	if p.stage == 0 && p.index == 0 {
		b.BN1, b.Shared = nil, false
	}
	return b
}

func newImageNetPreActBottleneck(p place) nn.Module {
	out := p.out * expansion
	b := &PreActBottleneck{
		BN1:        nn.NewBatchNorm2d(p.in),
		Conv1:      nn.NewConv2d(p.in, p.out, 1, nn.Conv{NoBias: true, Blank: p.blank}),
		BN2:        nn.NewBatchNorm2d(p.out),
		Conv2:      nn.NewConv2d(p.out, p.out, 3, nn.Conv{Stride: p.stride, Padding: 1, NoBias: true, Blank: p.blank}),
		BN3:        nn.NewBatchNorm2d(p.out),
		Conv3:      nn.NewConv2d(p.out, out, 1, nn.Conv{NoBias: true, ZeroInit: p.zero, Blank: p.blank}),
		Downsample: bareProjection(p, out),
		Shared:     p.index == 0,
		Drop:       nn.StochasticDepth{P: p.drop},
	}
	if p.stage == 0 && p.index == 0 {
		b.BN1, b.Shared = nil, false
	}
	return b
}

// bareProjection returns a shortcut's 1x1 convolution, or nil if the shape does not change. It
// takes activated values and therefore needs no batch norm.
func bareProjection(p place, out int) nn.Sequential {
	if p.stride == 1 && p.in == out {
		return nil
	}
	return nn.Sequential{nn.NewConv2d(p.in, out, 1, nn.Conv{Stride: p.stride, NoBias: true, Blank: p.blank})}
}

// preActivate returns the input of a block's first convolution and that of its shortcut.
func preActivate(bn *nn.BatchNorm2d, relu nn.ReLU, shared bool, x *graph.Node) (activated, from *graph.Node) {
	if bn == nil {
		return x, x
	}
	activated = relu.Forward(bn.Forward(x))
	if shared {
		return activated, activated
	}
	return activated, x
}

// Parts implements Block.
func (b *PreActBlock) Parts(x *graph.Node) (branch, shortcut *graph.Node) {
	y, from := preActivate(b.BN1, b.ReLU, b.Shared, x)
	y = b.ReLU.Forward(b.BN2.Forward(b.Conv1.Forward(y)))
	return b.Conv2.Forward(y), shortcutOf(b.Downsample, from)
}

// Forward implements nn.Module.
func (b *PreActBlock) Forward(x *graph.Node) *graph.Node {
	first := len(x.Graph.Nodes)
	branch, shortcut := b.Parts(x)
	return x.Graph.Record(b, first, b.Drop.Branch(branch).Add(shortcut))
}

// Identity implements Block. A block without BN1 differs from those after it.
func (b *PreActBlock) Identity() bool { return b.Downsample == nil && !b.Shared && b.BN1 != nil }

// Last implements Block.
func (b *PreActBlock) Last() nn.Zeroer { return b.Conv2 }

// Parts implements Block.
func (b *PreActBottleneck) Parts(x *graph.Node) (branch, shortcut *graph.Node) {
	y, from := preActivate(b.BN1, b.ReLU, b.Shared, x)
	y = b.ReLU.Forward(b.BN2.Forward(b.Conv1.Forward(y)))
	y = b.ReLU.Forward(b.BN3.Forward(b.Conv2.Forward(y)))
	return b.Conv3.Forward(y), shortcutOf(b.Downsample, from)
}

// Forward implements nn.Module.
func (b *PreActBottleneck) Forward(x *graph.Node) *graph.Node {
	first := len(x.Graph.Nodes)
	branch, shortcut := b.Parts(x)
	return x.Graph.Record(b, first, b.Drop.Branch(branch).Add(shortcut))
}

// Identity implements Block. A block without BN1 differs from those after it.
func (b *PreActBottleneck) Identity() bool { return b.Downsample == nil && !b.Shared && b.BN1 != nil }

// Last implements Block.
func (b *PreActBottleneck) Last() nn.Zeroer { return b.Conv3 }

// preResNets are the pre-activation networks for ImageNet. Their layers have torchvision's
// names, and bn is the batch norm after the last sum. pytorchcv's preresnet18, 34, 50b, 101b and
// 152b (version 0.0.74) have one more batch norm and ReLU before the first
// block and are otherwise the same; its bottleneck networks without a b have the stride in the
// first convolution of a bottleneck.
var preResNets = []Entry{
	preActNet(18, 11687720, 1, 2, 2, 2, 2),
	preActNet(34, 21795880, 1, 3, 4, 6, 3),
	preActNet(50, 25549352, expansion, 3, 4, 6, 3),
	preActNet(101, 44541480, expansion, 3, 4, 23, 3),
	preActNet(152, 60185128, expansion, 3, 8, 36, 3),
}

func preActNet(depth int, params int64, expansion int, blocks ...int) Entry {
	e := imagenet(Entry{
		Name: fmt.Sprintf("preresnet%d", depth), Family: "Pre-activation ResNet", Kind: PreActivation,
		Params: params, Blocks: blocks,
		Source: "He et al. 2016, https://arxiv.org/abs/1603.05027; as https://github.com/facebookarchive/fb.resnet.torch/blob/master/models/preresnet.lua builds it",
	})
	block := newImageNetPreActBottleneck
	e.Description = "bottlenecks, activated before the convolutions"
	e.growth = growth{64 * 49, 2049, bottleneckGrowth(imagenetWidths, 1, 64)}
	e.form = bottleneckForm
	if expansion == 1 {
		block = newImageNetPreActBlock
		e.Description = "basic blocks, activated before the convolutions"
		e.growth = growth{64 * 49, 513, basicGrowth(imagenetWidths)}
		e.form = basicForm
	}
	e.form += "pre-activation ResNet"
	e.New = func(c Config) nn.Module {
		m := &ResNet{newTrunk(c, expansion, block)}
		m.BN = nn.NewBatchNorm2d(512 * expansion)
		return m
	}
	return e
}

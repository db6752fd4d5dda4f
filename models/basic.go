package models

import (
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/nn"
)

// PlainBlock is two 3x3 convolutions: ReLU(BN2(Conv2(ReLU(BN1(Conv1(x)))))), the
// block of He et al. 2015 (https://arxiv.org/abs/1512.03385) without its shortcut.
// [N,in,H,W] -> [N,out,H/stride,W/stride].
type PlainBlock struct {
	Conv1 *nn.Conv2d
	BN1   *nn.BatchNorm2d
	ReLU  nn.ReLU `nn:"relu"`
	Conv2 *nn.Conv2d
	BN2   *nn.BatchNorm2d
}

func newPlainBlock(p place) PlainBlock {
	return PlainBlock{
		Conv1: nn.NewConv2d(p.in, p.out, 3, nn.Conv{Stride: p.stride, Padding: 1, NoBias: true, Blank: p.blank}),
		BN1:   nn.NewBatchNorm2d(p.out),
		Conv2: nn.NewConv2d(p.out, p.out, 3, nn.Conv{Padding: 1, NoBias: true, Blank: p.blank}),
		BN2:   nn.NewBatchNorm2d(p.out, nn.Norm{ZeroInit: p.zero}),
	}
}

func (b *PlainBlock) layers(x *graph.Node) *graph.Node {
	x = b.ReLU.Forward(b.BN1.Forward(b.Conv1.Forward(x)))
	return b.BN2.Forward(b.Conv2.Forward(x))
}

// Forward implements nn.Module.
func (b *PlainBlock) Forward(x *graph.Node) *graph.Node {
	first := len(x.Graph.Nodes)
	return x.Graph.Record(b, first, b.ReLU.Forward(b.layers(x)))
}

// BasicBlock is a plain block with a shortcut (He et al. 2015, figure 5, left;
// torchvision's BasicBlock): ReLU(BN2(...) + x), or ReLU(BN2(...) + Downsample(x)).
type BasicBlock struct {
	PlainBlock
	Downsample nn.Sequential // nil if the shortcut is the identity
	Drop       nn.StochasticDepth
}

// newBasicBlock returns a block with the shortcut of He et al. 2015, section 3.3, option B: a
// projection if the shape changes.
func newBasicBlock(p place) nn.Module {
	return &BasicBlock{newPlainBlock(p), projection(p, p.out), nn.StochasticDepth{P: p.drop}}
}

// projection returns the 1x1 convolution and batch norm of a shortcut, or nil if the shape does
// not change.
func projection(p place, out int) nn.Sequential {
	if p.stride == 1 && p.in == out {
		return nil
	}
	return nn.Sequential{nn.NewConv2d(p.in, out, 1, nn.Conv{Stride: p.stride, NoBias: true, Blank: p.blank}), nn.NewBatchNorm2d(out)}
}

// Forward implements nn.Module.
func (b *BasicBlock) Forward(x *graph.Node) *graph.Node {
	first := len(x.Graph.Nodes)
	branch, shortcut := b.Parts(x)
	return x.Graph.Record(b, first, b.ReLU.Forward(b.Drop.Branch(branch).Add(shortcut)))
}

// Parts implements Block.
func (b *BasicBlock) Parts(x *graph.Node) (branch, shortcut *graph.Node) {
	return b.layers(x), shortcutOf(b.Downsample, x)
}

func shortcutOf(downsample nn.Sequential, x *graph.Node) *graph.Node {
	if downsample == nil {
		return x
	}
	return downsample.Forward(x)
}

// Identity implements Block.
func (b *BasicBlock) Identity() bool { return b.Downsample == nil }

// Last implements Block.
func (b *BasicBlock) Last() nn.Zeroer { return b.BN2 }

// Bottleneck reduces the channels by a 1x1 convolution, applies a 3x3 convolution, and expands
// the channels again (He et al. 2015, figure 5, right). As in torchvision the 3x3 convolution
// has the stride. Its width and groups distinguish ResNeXt (Xie et al. 2017,
// https://arxiv.org/abs/1611.05431) and Wide ResNet (Zagoruyko and Komodakis 2016,
// https://arxiv.org/abs/1605.07146).
type Bottleneck struct {
	Conv1      *nn.Conv2d // 1x1
	BN1        *nn.BatchNorm2d
	Conv2      *nn.Conv2d // 3x3
	BN2        *nn.BatchNorm2d
	Conv3      *nn.Conv2d // 1x1
	BN3        *nn.BatchNorm2d
	ReLU       nn.ReLU       `nn:"relu"`
	Downsample nn.Sequential // nil if the shortcut is the identity
	Drop       nn.StochasticDepth
}

// bottleneck returns a constructor of bottlenecks with so many groups. Each group has base
// channels in a stage of width 64, and proportionally more in the others.
func bottleneck(groups, base int) func(place) nn.Module {
	return func(p place) nn.Module {
		width, out := p.out*base/64*groups, p.out*expansion
		return &Bottleneck{
			Conv1:      nn.NewConv2d(p.in, width, 1, nn.Conv{NoBias: true, Blank: p.blank}),
			BN1:        nn.NewBatchNorm2d(width),
			Conv2:      nn.NewConv2d(width, width, 3, nn.Conv{Stride: p.stride, Padding: 1, Groups: groups, NoBias: true, Blank: p.blank}),
			BN2:        nn.NewBatchNorm2d(width),
			Conv3:      nn.NewConv2d(width, out, 1, nn.Conv{NoBias: true, Blank: p.blank}),
			BN3:        nn.NewBatchNorm2d(out, nn.Norm{ZeroInit: p.zero}),
			Downsample: projection(p, out),
			Drop:       nn.StochasticDepth{P: p.drop},
		}
	}
}

// Forward implements nn.Module.
func (b *Bottleneck) Forward(x *graph.Node) *graph.Node {
	first := len(x.Graph.Nodes)
	branch, shortcut := b.Parts(x)
	return x.Graph.Record(b, first, b.ReLU.Forward(b.Drop.Branch(branch).Add(shortcut)))
}

// Parts implements Block.
func (b *Bottleneck) Parts(x *graph.Node) (branch, shortcut *graph.Node) {
	y := b.ReLU.Forward(b.BN1.Forward(b.Conv1.Forward(x)))
	y = b.ReLU.Forward(b.BN2.Forward(b.Conv2.Forward(y)))
	return b.BN3.Forward(b.Conv3.Forward(y)), shortcutOf(b.Downsample, x)
}

// Identity implements Block.
func (b *Bottleneck) Identity() bool { return b.Downsample == nil }

// Last implements Block.
func (b *Bottleneck) Last() nn.Zeroer { return b.BN3 }

package nn

import (
	"fmt"

	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/tensor"
)

// Block configures a Residual. The zero value keeps the image size and the channels.
type Block struct {
	Use1x1Conv bool // use a 1x1 convolution as shortcut, which can change channels and size
	Stride     int  // of the first convolution and of the shortcut; zero means 1
	ZeroInit   bool // BN2's weight starts at 0, so the branch starts at 0
	Blank      bool // see Conv
	// StochasticDepth is the probability with which the branch of an image is dropped in
	// training.
	StochasticDepth float64
}

// Residual is the block of He et al. 2016 (https://arxiv.org/abs/1512.03385,
// figure 2) in the form of "Dive into Deep Learning", section 8.6:
//
//	Y = ReLU(BN1(Conv1(x)))
//	Y = BN2(Conv2(Y))
//	ReLU(Y + x), or ReLU(Y + Conv3(x))
//
// All convolutions have a bias, and the shortcut has no batch norm.
// [N,in,H,W] -> [N,out,H',W'].
type Residual struct {
	Conv1, Conv2 *Conv2d // 3x3, padding 1
	Conv3        *Conv2d // 1x1, or nil for an identity shortcut
	BN1, BN2     *BatchNorm2d
	Drop         StochasticDepth
}

// NewResidual returns a block from in to out channels.
func NewResidual(in, out int, c ...Block) *Residual {
	conf := one("NewResidual", c)
	b := &Residual{
		Conv1: NewConv2d(in, out, 3, Conv{Stride: conf.Stride, Padding: 1, Blank: conf.Blank}),
		Conv2: NewConv2d(out, out, 3, Conv{Padding: 1, Blank: conf.Blank}),
		BN1:   NewBatchNorm2d(out),
		BN2:   NewBatchNorm2d(out, Norm{ZeroInit: conf.ZeroInit}),
		Drop:  StochasticDepth{conf.StochasticDepth},
	}
	if conf.Use1x1Conv {
		b.Conv3 = NewConv2d(in, out, 1, Conv{Stride: conf.Stride, Blank: conf.Blank})
	}
	return b
}

func (b *Residual) Forward(x *graph.Node) *graph.Node {
	first := len(x.Graph.Nodes)
	branch, shortcut := b.Parts(x)
	return x.Graph.Record(b, first, ReLU{}.Forward(b.Drop.Branch(branch).Add(shortcut)))
}

// Parts returns the two terms of Forward's sum, both [N,out,H',W']: BN2's output, and x or
// Conv3(x).
func (b *Residual) Parts(x *graph.Node) (branch, shortcut *graph.Node) {
	y := ReLU{}.Forward(b.BN1.Forward(b.Conv1.Forward(x)))
	branch, shortcut = b.BN2.Forward(b.Conv2.Forward(y)), x
	if b.Conv3 != nil {
		shortcut = b.Conv3.Forward(x)
	}
	if !branch.Shape.Equal(shortcut.Shape) {
		misfit(b, b.Conv1.Weight, x, "the block gives %v and its shortcut %v; set Use1x1Conv", branch.Shape, shortcut.Shape)
	}
	return branch, shortcut
}

// Identity reports whether the shortcut is x itself.
func (b *Residual) Identity() bool { return b.Conv3 == nil }

// Last returns the layer that ends the branch.
func (b *Residual) Last() Zeroer { return b.BN2 }

func (b *Residual) String() string {
	w := b.Conv1.Weight.Value.Shape()
	return fmt.Sprintf("Residual(%d, %d, use_1x1conv=%t, strides=%d)", w[1], w[0], b.Conv3 != nil, b.Conv1.Geometry.StrideH)
}

// ResnetBlock returns a stage: numResiduals blocks from in to out channels. The
// first block halves height and width and has a 1x1 convolution on its shortcut,
// unless the stage is the network's first, which must keep its channels.
func ResnetBlock(in, out, numResiduals int, first bool) []Module {
	if first && in != out {
		panic(tensor.Misusef("nn.ResnetBlock(%d, %d, %d, true): a first stage keeps its channels", in, out, numResiduals))
	}
	var blocks []Module
	for i := range numResiduals {
		if i == 0 && !first {
			blocks = append(blocks, NewResidual(in, out, Block{Use1x1Conv: true, Stride: 2}))
		} else {
			blocks = append(blocks, NewResidual(out, out))
		}
	}
	return blocks
}

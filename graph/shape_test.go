package graph

import (
	"testing"

	"github.com/residual-ml/residual/tensor"
)

// shapes writes down the input shapes of one case.
type shapes []tensor.Shape

var conv3x3 = Conv2d{StrideH: 1, StrideW: 1, PadH: 1, PadW: 1, DilationH: 1, DilationW: 1, Groups: 1}

// with returns a changed copy of conv3x3.
func with(change func(o *Conv2d)) Conv2d {
	o := conv3x3
	change(&o)
	return o
}

var pool2x2 = MaxPool2d{KH: 2, KW: 2, StrideH: 2, StrideW: 2, DilationH: 1, DilationW: 1}

func TestWrongShapesPanic(t *testing.T) {
	x, w := tensor.Shape{2, 4, 5, 5}, tensor.Shape{6, 4, 3, 3}
	y, c := tensor.Shape{2, 6, 5, 5}, tensor.Shape{4}
	stats, n, scalar := tensor.Shape{2, 4}, tensor.Shape{7, 3}, tensor.Shape{}
	cases := []struct {
		op   Op
		in   shapes
		says string
	}{
		{Add{}, shapes{x}, "needs 2 inputs"},
		{Add{}, shapes{x, y}, "differ"},
		{Mul{}, shapes{n, c}, "differ"},
		{Scale{2}, shapes{x, x}, "needs 1 inputs"},
		{Unary{Function: Exp}, shapes{x, x}, "needs 1 inputs"},
		{Binary{Sub}, shapes{x, y}, "Sub: shapes differ"},
		{Where{}, shapes{x, x}, "needs 3 inputs"},
		{Take{Index: [][]int{{0}}}, shapes{x}, "indices for 1 dimensions"},
		{Take{Index: [][]int{{0, 7}, nil}}, shapes{n}, "index 7 of dimension 0"},
		{Transpose{Axes: []int{0, 0}}, shapes{n}, "[0 0] is not a permutation"},
		{Concat{1}, shapes{n, c}, "shapes differ outside dimension 1"},
		{Concat{0}, shapes{x, y}, "shapes differ outside dimension 0"},
		{Reduce{Total, []int{2}}, shapes{n}, "over dimensions [2]"},
		{MatMul{}, shapes{n, n}, "3 columns of input 0 meet 7 rows of input 1"},
		{PadChannels{3}, shapes{x}, "cannot become 3 channels"},
		{PadChannels{8}, shapes{c}, "two to four dimensions"},
		{TakeChannels{5}, shapes{x}, "no first 5 channels"},
		{TakeChannels{0}, shapes{x}, "no first 0 channels"},
		{StochasticDepth{P: 1.5}, shapes{x, scalar}, "probability 1.5"},
		{StochasticDepth{P: 0.5}, shapes{x, c}, "a scalar key"},
		{StochasticDepth{P: 0.5}, shapes{scalar, scalar}, "[N, ...]"},
		{conv3x3, shapes{x}, "needs 2 to 3 inputs"},
		{conv3x3, shapes{n, w}, "x [N, Cin, H, W]"},
		{conv3x3, shapes{x, n}, "w [Cout, Cin/groups, KH, KW]"},
		{conv3x3, shapes{y, w}, "6 channels"},
		{conv3x3, shapes{x, w, c}, "bias (input 2) is not [6]"},
		{conv3x3, shapes{x, {6, 4, 9, 3}}, "does not fit"},
		{conv3x3, shapes{x, {6, 4, 0, 3}}, "empty"},
		{with(func(o *Conv2d) { o.StrideH = 0 }), shapes{x, w}, "stride 0,1"},
		{with(func(o *Conv2d) { o.PadW = -1 }), shapes{x, w}, "padding 1,-1"},
		{with(func(o *Conv2d) { o.DilationW = 0 }), shapes{x, w}, "dilation 1,0"},
		{with(func(o *Conv2d) { o.Groups = 0 }), shapes{x, w}, "groups 0"},
		{with(func(o *Conv2d) { o.Groups = 2 }), shapes{x, w}, "need 8"},
		{with(func(o *Conv2d) { o.Groups = 4 }), shapes{x, {6, 1, 3, 3}}, "6 output channels"},
		{Conv2dGradInput{conv3x3, 5, 5}, shapes{w, x}, "dy (input 1) is not [2, 6, 5, 5]"},
		{Conv2dGradInput{conv3x3, 7, 5}, shapes{w, y}, "dy (input 1) is not [2, 6, 7, 5]"},
		{Conv2dGradWeight{conv3x3, 3, 1}, shapes{x, y}, "dy (input 1) is not [2, 6, 5, 7]"},
		{Conv2dGradWeight{with(func(o *Conv2d) { o.Groups = 3 }), 3, 3}, shapes{x, y}, "4 input channels"},
		{SumChannels{}, shapes{c}, "[N, C, ...]"},
		{Linear{}, shapes{n, {5, 4}}, "3 features"},
		{Linear{}, shapes{x, {5, 4}}, "x [N, in]"},
		{Linear{}, shapes{n, {5, 3}, c}, "bias (input 2) is not [5]"},
		{LinearGradInput{}, shapes{{5, 3}, n}, "dy (input 1) is not [7, 5]"},
		{LinearGradWeight{}, shapes{n, {6, 5}}, "dy (input 1) is not [7, 5]"},
		{BatchNormStats{}, shapes{c}, "[N, C, H, W]"},
		{BatchNorm{}, shapes{x, c, c, c}, "stats (input 1) is not [2, 4]"},
		{BatchNorm{}, shapes{x, stats, {6}, c}, "gamma"},
		{BatchNorm{}, shapes{x, stats, c, {6}}, "beta"},
		{BatchNormReduce{}, shapes{x, stats, y}, "dy"},
		{BatchNormGrad{}, shapes{x, stats, c, c, x}, "reduce"},
		{BatchNormGrad{}, shapes{x, stats, c, stats, y}, "dy"},
		{Row{2}, shapes{stats}, "no row 2"},
		{Row{0}, shapes{n}, "[2, C]"},
		{Stack{}, shapes{c, {5}}, "differ"},
		{Stack{}, shapes{n, n}, "[C]"},
		{RunningStats{0.1, 1, 1}, shapes{c, stats}, "more than 1 value"},
		{RunningStats{0.1, 2, 9}, shapes{c, stats}, "no row 2"},
		{RunningStats{0.1, 0, 9}, shapes{c, n}, "stats"},
		{ReLU{}, shapes{}, "needs 1 inputs"},
		{ReLUGrad{}, shapes{x, y}, "differ"},
		{SigmoidGrad{}, shapes{x, y}, "differ"},
		{TanhGrad{}, shapes{x, y}, "differ"},
		{MaxPool2d{}, shapes{x}, "window 0 by 0"},
		{pool2x2, shapes{n}, "x [N, C, H, W]"},
		{pool2x2, shapes{{1, 1, 1, 4}}, "does not fit"},
		{MaxPool2d{KH: 3, KW: 3, StrideH: 1, StrideW: 1, PadH: 2, DilationH: 1, DilationW: 1}, shapes{x}, "half the window"},
		{MaxPool2d{KH: 2, KW: 2, DilationH: 1, DilationW: 1}, shapes{x}, "stride 0,0"},
		{MaxPool2d{KH: 2, KW: 2, StrideH: 1, StrideW: 1}, shapes{x}, "dilation 0,0"},
		{MaxPool2d{KH: 2, KW: 1, StrideH: 1, StrideW: 1, PadH: 1, DilationH: 2, DilationW: 1}, shapes{{1, 1, 1, 1}}, "without a tap"},
		{MaxPool2dGrad{pool2x2}, shapes{x, x, x}, "y (input 1) is not [2, 4, 2, 2]"},
		{AvgPool2d{KH: 2, KW: 2, StrideH: 2, StrideW: 2, PadW: 2}, shapes{x}, "half the window"},
		{AvgPool2d{KH: 2, KW: 2, StrideH: 2, StrideW: 2, Divisor: -1}, shapes{x}, "divisor -1"},
		{AvgPool2d{KH: 6, KW: 2, StrideH: 2, StrideW: 2}, shapes{x}, "does not fit"},
		{AvgPool2dGrad{AvgPool2d{KH: 2, KW: 2, StrideH: 2, StrideW: 2}, 5, 5}, shapes{x}, "dy (input 0) is not [2, 4, 2, 2]"},
		{AdaptiveAvgPool2d{0, 1}, shapes{x}, "0 by 1"},
		{AdaptiveAvgPool2dGrad{3, 3}, shapes{c}, "dy [N, C, OH, OW]"},
		{Reshape{tensor.Shape{3, 3}}, shapes{c}, "cannot become [3, 3]"},
		{Dropout{P: 1.5}, shapes{x, scalar}, "probability 1.5"},
		{Dropout{P: 0.5}, shapes{x, c}, "scalar key"},
		{CrossEntropy{}, shapes{n, {3}}, "labels (input 1) is not [7]"},
		{CrossEntropy{}, shapes{{0, 3}, {0}}, "no rows"},
		{CrossEntropyGrad{}, shapes{n, {7}, c}, "scalar dloss"},
		{CrossEntropy{LabelSmoothing: 1.5}, shapes{n, {7}}, "label smoothing 1.5"},
		{CrossEntropy{}, shapes{n, {7, 9}}, "soft labels (input 1) is not"},
		{CrossEntropy{}, shapes{n, {7}, {9}}, "weights (input 2) is not"},
		{CrossEntropyGrad{}, shapes{n, {7}, {}, {9}}, "weights (input 3) is not"},
		{CountCorrect{}, shapes{x, {7}}, "logits [N, K]"},
		{Softmax{}, shapes{x}, "logits [N, K]"},
		{SoftmaxGrad{}, shapes{x, x}, "dy [N, K]"},
		{Sum{}, shapes{x, x}, "needs 1 inputs"},
		{Expand{x}, shapes{c}, "a scalar"},
	}
	for _, c := range cases {
		words := []string{c.op.Name() + ": ", c.says}
		for _, s := range c.in {
			words = append(words, s.String())
		}
		wantPanic(t, func() { c.op.Shape(c.in) }, words...)
	}
}

func TestConvolutionSizes(t *testing.T) {
	for _, c := range []struct {
		o            Conv2d
		h, w, kh, kw int
		oh, ow       int
	}{
		{conv3x3, 6, 5, 3, 3, 6, 5},
		{Conv2d{StrideH: 2, StrideW: 2, PadH: 3, PadW: 3, DilationH: 1, DilationW: 1}, 224, 96, 7, 7, 112, 48},
		{Conv2d{StrideH: 2, StrideW: 3, DilationH: 2, DilationW: 1}, 8, 8, 3, 2, 2, 3},
		{Conv2d{StrideH: 2, StrideW: 2, DilationH: 1, DilationW: 1}, 2, 1, 3, 3, 0, 0},
	} {
		if oh, ow := c.o.Out(c.h, c.w, c.kh, c.kw); oh != c.oh || ow != c.ow {
			t.Errorf("%+v of %dx%d by %dx%d: %dx%d, want %dx%d", c.o, c.h, c.w, c.kh, c.kw, oh, ow, c.oh, c.ow)
		}
	}
}

// The last window of ceil mode starts inside the image or its left padding.
func TestPoolingSizes(t *testing.T) {
	for _, c := range []struct {
		size, kernel, stride, pad, dilation int
		floor, ceil                         int
	}{
		{112, 3, 2, 1, 1, 56, 57},
		{5, 2, 2, 0, 1, 2, 3},
		{4, 2, 2, 0, 1, 2, 2},
		{4, 2, 2, 1, 1, 3, 3}, // a fourth window would start in the right padding
		{2, 2, 3, 1, 1, 1, 1}, // so would a second one
		{7, 3, 3, 0, 2, 1, 2},
		{1, 3, 1, 0, 1, -1, -1},
	} {
		if got := pooledSize(c.size, c.kernel, c.stride, c.pad, c.dilation, false); got != c.floor {
			t.Errorf("%+v: floor mode gives %d", c, got)
		}
		if got := pooledSize(c.size, c.kernel, c.stride, c.pad, c.dilation, true); got != c.ceil {
			t.Errorf("%+v: ceil mode gives %d", c, got)
		}
	}
}

func TestMACs(t *testing.T) {
	g := New(Eval)
	x := g.Input("x", tensor.Float32, 2, 64, 56, 56)
	y := g.Apply(with(func(o *Conv2d) { o.Groups = 4 }), x, g.Constant(0, 128, 16, 3, 3), g.Constant(0, 128))
	if got := MACs(y); got != 2*128*56*56*16*9 {
		t.Errorf("grouped convolution: %d", got)
	}
	// the classifier of a residual network on ImageNet
	z := g.Apply(Linear{}, g.Input("h", tensor.Float32, 3, 512), g.Constant(0, 1000, 512))
	if got := MACs(z); got != 3*512000 {
		t.Errorf("linear layer: %d", got)
	}
	if got := MACs(g.Apply(ReLU{}, y)); got != 0 {
		t.Errorf("ReLU: %d", got)
	}
}

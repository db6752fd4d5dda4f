package nn

import (
	"fmt"
	"strings"

	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/tensor"
)

// Axis holds the sizes of a window along one axis of an image. Zero means the default: 1, and
// for Padding 0.
type Axis struct{ Kernel, Stride, Padding, Dilation int }

// Conv configures a convolution. The zero value is PyTorch's default: stride 1,
// no padding, dilation 1, one group, with bias.
type Conv struct {
	Stride, Padding, Dilation, Groups int // zero: 1, 0, 1, 1
	NoBias                            bool
	ZeroInit                          bool // weight and bias start at 0 in every scheme, for the end of a residual branch
	Identity                          bool // the first filters start as the identity in every scheme: filter i returns channel i, as by torch.nn.init.dirac_
	Blank                             bool // weight and bias are 0 until Init or a state dict sets them, which saves generating random numbers
	// Width, if it is not nil, holds kernel, stride, padding and dilation along the
	// width; the values above then apply to the height only.
	Width *Axis
}

// Conv2d is PyTorch's layer of that name: [N,Cin,H,W] -> [N,Cout,H',W'] with
// H' = (H + 2*padding - dilation*(kernel-1) - 1)/stride + 1.
// https://pytorch.org/docs/stable/generated/torch.nn.Conv2d.html
type Conv2d struct {
	Weight   *Parameter // [Cout, Cin/groups, KH, KW]
	Bias     *Parameter // [Cout], or nil
	Geometry graph.Conv2d
	ZeroInit bool // see Conv
	Identity bool // see Conv
}

// NewConv2d returns a convolution with a square kernel (see Conv.Width for
// others) from in to out channels.
func NewConv2d(in, out, kernel int, c ...Conv) *Conv2d {
	conf := one("NewConv2d", c)
	h := Axis{kernel, conf.Stride, conf.Padding, conf.Dilation}.withDefaults()
	w := h
	if conf.Width != nil {
		w = conf.Width.withDefaults()
	}
	groups := max(conf.Groups, 1)
	if in < 1 || out < 1 || kernel < 1 || w.Kernel < 1 || conf.Groups < 0 || in%groups != 0 || out%groups != 0 {
		panic(tensor.Misusef("nn.NewConv2d(%d, %d, %d, %+v): sizes must be at least 1 and channels divide into groups", in, out, kernel, conf))
	}
	l := &Conv2d{
		Weight: parameter(out, in/groups, h.Kernel, w.Kernel),
		Geometry: graph.Conv2d{
			StrideH: h.Stride, StrideW: w.Stride, PadH: h.Padding, PadW: w.Padding,
			DilationH: h.Dilation, DilationW: w.Dilation, Groups: groups,
		},
		ZeroInit: conf.ZeroInit, Identity: conf.Identity,
	}
	if !conf.NoBias {
		l.Bias = parameter(out)
	}
	if !conf.Blank {
		fresh(l)
	}
	return l
}

func (a Axis) withDefaults() Axis {
	for _, p := range []*int{&a.Kernel, &a.Stride, &a.Dilation} {
		if *p == 0 {
			*p = 1
		}
	}
	return a
}

func (l *Conv2d) Forward(x *graph.Node) *graph.Node {
	g, first := x.Graph, len(x.Graph.Nodes)
	in := l.Weight.Value.Shape()[1] * l.Geometry.Groups
	if len(x.Shape) != 4 {
		misfit(l, l.Weight, x, "needs [N, %d, H, W]", in)
	}
	if x.Shape[1] != in {
		misfit(l, l.Weight, x, "has %d channels, needs %d", x.Shape[1], in)
	}
	inputs := []*graph.Node{x, g.Variable(l.Weight)}
	if l.Bias != nil {
		inputs = append(inputs, g.Variable(l.Bias))
	}
	return g.Record(l, first, g.Apply(l.Geometry, inputs...))
}

// Zero sets the weight and the bias to 0, so that the layer returns 0. A later Init sets them
// according to ZeroInit.
func (l *Conv2d) Zero() {
	l.Weight.Value.Fill(0)
	if l.Bias != nil {
		l.Bias.Value.Fill(0)
	}
}

// Init implements Initialiser.
func (l *Conv2d) Init(s Scheme, source func(name string) *Source) {
	if l.ZeroInit {
		l.Zero()
		return
	}
	initWeightAndBias(s, l.Weight, l.Bias, source)
	if l.Identity {
		identityFilters(l.Weight.Value)
	}
}

// identityFilters sets the first filters of a weight [out, in, ...] to those that return a channel each:
// 1 in the middle of channel i of filter i, and 0 elsewhere
// (https://pytorch.org/docs/stable/nn.init.html#torch.nn.init.dirac_).
func identityFilters(weight *tensor.Tensor) {
	s := weight.Shape()
	size, middle := s[1:].Numel(), 0
	field := s[2:].Numel()
	for _, side := range s[2:] {
		middle = middle*side + side/2
	}
	for i := range min(s[0], s[1]) {
		filter := weight.Data()[i*size:][:size]
		clear(filter)
		filter[i*field+middle] = 1
	}
}

func (l *Conv2d) String() string {
	w, o := l.Weight.Value.Shape(), l.Geometry
	var b strings.Builder
	fmt.Fprintf(&b, "Conv2d(%d, %d, kernel_size=(%d, %d), stride=(%d, %d)", w[1]*o.Groups, w[0], w[2], w[3], o.StrideH, o.StrideW)
	if o.PadH != 0 || o.PadW != 0 {
		fmt.Fprintf(&b, ", padding=(%d, %d)", o.PadH, o.PadW)
	}
	if o.DilationH != 1 || o.DilationW != 1 {
		fmt.Fprintf(&b, ", dilation=(%d, %d)", o.DilationH, o.DilationW)
	}
	if o.Groups != 1 {
		fmt.Fprintf(&b, ", groups=%d", o.Groups)
	}
	if l.Bias == nil {
		b.WriteString(", bias=False")
	}
	return b.String() + ")"
}

func parameter(shape ...int) *Parameter {
	return &Parameter{Value: tensor.New(shape...), Trainable: true}
}

package nn

import (
	"fmt"

	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/tensor"
)

// MaxPool2d takes the largest value of every window: [N,C,H,W] -> [N,C,H',W'].
// Padding counts as minus infinity.
// https://pytorch.org/docs/stable/generated/torch.nn.MaxPool2d.html
type MaxPool2d struct {
	Kernel   int // at least 1
	Stride   int // zero: Kernel
	Padding  int // at most half of Kernel
	Dilation int // zero: 1
	CeilMode bool
	Width    *Axis // if not nil, the sizes along the width; a zero stride again means the kernel
}

// AvgPool2d takes the mean of every window: [N,C,H,W] -> [N,C,H',W'].
// https://pytorch.org/docs/stable/generated/torch.nn.AvgPool2d.html
type AvgPool2d struct {
	Kernel     int // at least 1
	Stride     int // zero: Kernel
	Padding    int // at most half of Kernel
	CeilMode   bool
	ExcludePad bool  // leave padding out of the mean: PyTorch's count_include_pad=False
	Divisor    int   // if not 0, the sum is divided by it: PyTorch's divisor_override
	Width      *Axis // as in MaxPool2d, but without dilation
}

// AdaptiveAvgPool2d takes the means of H by W windows that together cover an image of any
// size: [N,C,*,*] -> [N,C,H,W]. Zero sizes mean 1, so the zero value is the global mean.
// https://pytorch.org/docs/stable/generated/torch.nn.AdaptiveAvgPool2d.html
type AdaptiveAvgPool2d struct{ H, W int }

// windows returns the two axes of a pool with their defaults filled in.
func windows(m fmt.Stringer, h Axis, width *Axis) (Axis, Axis) {
	w := h
	if width != nil {
		w = *width
	}
	for _, a := range []*Axis{&h, &w} {
		if a.Kernel < 1 {
			panic(tensor.Misusef("nn: %v: Kernel must be at least 1", m))
		}
		if a.Stride == 0 {
			a.Stride = a.Kernel
		}
		if a.Dilation == 0 {
			a.Dilation = 1
		}
	}
	return h, w
}

func (m MaxPool2d) Forward(x *graph.Node) *graph.Node {
	h, w := windows(m, Axis{m.Kernel, m.Stride, m.Padding, m.Dilation}, m.Width)
	return apply(m, graph.MaxPool2d{
		KH: h.Kernel, KW: w.Kernel, StrideH: h.Stride, StrideW: w.Stride,
		PadH: h.Padding, PadW: w.Padding, DilationH: h.Dilation, DilationW: w.Dilation,
		CeilMode: m.CeilMode,
	}, x)
}

func (m AvgPool2d) Forward(x *graph.Node) *graph.Node {
	h, w := windows(m, Axis{Kernel: m.Kernel, Stride: m.Stride, Padding: m.Padding}, m.Width)
	if w.Dilation != 1 {
		panic(tensor.Misusef("nn: %v: an average pool has no dilation", m))
	}
	return apply(m, graph.AvgPool2d{
		KH: h.Kernel, KW: w.Kernel, StrideH: h.Stride, StrideW: w.Stride,
		PadH: h.Padding, PadW: w.Padding,
		CeilMode: m.CeilMode, ExcludePad: m.ExcludePad, Divisor: m.Divisor,
	}, x)
}

func (m AdaptiveAvgPool2d) Forward(x *graph.Node) *graph.Node {
	return apply(m, graph.AdaptiveAvgPool2d{H: max(m.H, 1), W: max(m.W, 1)}, x)
}

func (m MaxPool2d) String() string {
	return fmt.Sprintf("MaxPool2d(%s)", poolArguments(Axis{m.Kernel, m.Stride, m.Padding, m.Dilation}, m.Width, m.CeilMode))
}

func (m AvgPool2d) String() string {
	return fmt.Sprintf("AvgPool2d(%s)", poolArguments(Axis{m.Kernel, m.Stride, m.Padding, 0}, m.Width, m.CeilMode))
}

func (m AdaptiveAvgPool2d) String() string {
	return fmt.Sprintf("AdaptiveAvgPool2d(output_size=(%d, %d))", max(m.H, 1), max(m.W, 1))
}

func poolArguments(h Axis, width *Axis, ceil bool) string {
	w := h
	if width != nil {
		w = *width
	}
	stride := func(a Axis) int {
		if a.Stride == 0 {
			return a.Kernel
		}
		return a.Stride
	}
	text := fmt.Sprintf("kernel_size=(%d, %d), stride=(%d, %d), padding=(%d, %d)",
		h.Kernel, w.Kernel, stride(h), stride(w), h.Padding, w.Padding)
	if max(h.Dilation, w.Dilation) > 1 {
		text += fmt.Sprintf(", dilation=(%d, %d)", max(h.Dilation, 1), max(w.Dilation, 1))
	}
	if ceil {
		text += ", ceil_mode=True"
	}
	return text
}

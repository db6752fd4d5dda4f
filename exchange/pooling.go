package exchange

import (
	"math"

	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/weights/onnx"
)

// symmetric reports whether the padding is equal at both ends and at most half the kernel,
// as the pooling layers of package nn require.
func (win window) symmetric() bool {
	known := func(s side) bool { return s.before == s.after && s.before <= s.kernel/2 }
	return win.auto == "" && known(win.h) && known(win.w)
}

// forImage returns the window with the padding that an image of x's size needs, and the size
// of the output. The padding at the end is extended for a last window that reaches beyond it.
func (win window) forImage(x *graph.Node, ceil bool) (fit window, oh, ow int) {
	if win.auto != "" {
		win.h.checkSame(x.Shape[2])
		win.w.checkSame(x.Shape[3])
	}
	win = win.resolved(x.Shape[2], x.Shape[3])
	oh, ow = win.h.outputs(x.Shape[2], ceil), win.w.outputs(x.Shape[3], ceil)
	checkSize(0, x.Shape[0], x.Shape[1], x.Shape[2]+win.h.before+win.h.after+maxWindow, x.Shape[3]+win.w.before+win.w.after+maxWindow)
	reach := func(s side, size, outputs int) side {
		s.after = max(s.after, (outputs-1)*s.stride+s.reach()+1-size-s.before)
		return s
	}
	win.h, win.w = reach(win.h, x.Shape[2], oh), reach(win.w, x.Shape[3], ow)
	return win, oh, ow
}

// checkSame panics if ONNX and its runtimes disagree on the SAME padding of a pooling.
func (s side) checkSame(size int) {
	outputs := (size + s.stride - 1) / s.stride
	if s.dilation != 1 || (outputs-1)*s.stride+s.kernel-size < -1 {
		panic(tensor.Misusef("auto_pad for a kernel of %d, a stride of %d and a dilation of %d is not supported: ONNX and its runtimes differ there; export with explicit pads", s.kernel, s.stride, s.dilation))
	}
}

// checkPadding fails if the padding is wider than the window reaches, so that an output would
// see only padding.
func (a *attributes) checkPadding(win window) {
	for _, s := range []side{win.h, win.w} {
		if s.before > s.reach() || s.after > s.reach() {
			a.fail("pads %d, %d are wider than the window reaches, so some outputs would see only padding", s.before, s.after)
		}
	}
}

func (imp *importer) maxPool(n *onnx.Node, a *attributes) error {
	x, err := imp.image(n)
	if err != nil {
		return err
	}
	win, ceil := a.window(0, 0), a.int("ceil_mode", 0) != 0
	a.ignore("storage_order") // is for the second output, the indices, which is not supported
	a.checkPadding(win)
	if err := a.done(); err != nil {
		return err
	}
	if h, w := win.h, win.w; win.symmetric() {
		m := nn.MaxPool2d{Kernel: h.kernel, Stride: h.stride, Padding: h.before, Dilation: h.dilation, CeilMode: ceil}
		if h != w {
			m.Width = &nn.Axis{Kernel: w.kernel, Stride: w.stride, Padding: w.before, Dilation: w.dilation}
		}
		imp.layer(n, 4, x, m)
		return nil
	}
	imp.apply(n.String(), n.Outputs[0], []string{x}, func(in []value) value {
		fit, _, _ := win.forImage(in[0].node, ceil)
		return value{node: in[0].node.Graph.Apply(graph.MaxPool2d{
			KH: fit.h.kernel, KW: fit.w.kernel, StrideH: fit.h.stride, StrideW: fit.w.stride, DilationH: fit.h.dilation, DilationW: fit.w.dilation,
		}, fit.padded(in[0].node, math.Inf(-1)))}
	})
	return nil
}

func (imp *importer) averagePool(n *onnx.Node, a *attributes) error {
	x, err := imp.image(n)
	if err != nil {
		return err
	}
	win, ceil, counted := a.window(0, 0), a.int("ceil_mode", 0) != 0, a.int("count_include_pad", 0) != 0
	a.checkPadding(win)
	if err := a.done(); err != nil {
		return err
	}
	if h, w := win.h, win.w; win.symmetric() && h.dilation == 1 && w.dilation == 1 {
		m := nn.AvgPool2d{Kernel: h.kernel, Stride: h.stride, Padding: h.before, CeilMode: ceil, ExcludePad: !counted}
		if h != w {
			m.Width = &nn.Axis{Kernel: w.kernel, Stride: w.stride, Padding: w.before}
		}
		imp.layer(n, 4, x, m)
		return nil
	}
	imp.apply(n.String(), n.Outputs[0], []string{x}, func(in []value) value {
		x := in[0].node
		ones := x.Graph.Constant(1, 1, 1, x.Shape[2], x.Shape[3])
		if counted { // the part of a window beyond the padding is not counted
			own := win.resolved(x.Shape[2], x.Shape[3])
			ones = x.Graph.Constant(1, 1, 1, x.Shape[2]+own.h.before+own.h.after, x.Shape[3]+own.w.before+own.w.after)
		}
		return value{node: win.sums(x, x, ceil).Div(win.sums(ones, x, ceil))}
	})
	return nil
}

// sums adds up every window of x. like has the size of the image; x may already have the
// window's padding added to it.
func (win window) sums(x, like *graph.Node, ceil bool) *graph.Node {
	fit, oh, ow := win.forImage(like, ceil)
	moreH, moreW := x.Shape[2]-like.Shape[2], x.Shape[3]-like.Shape[3]
	if moreH+moreW > 0 {
		own := win.resolved(like.Shape[2], like.Shape[3])
		x = x.Pad(2, 0, fit.h.after-own.h.after, 0).Pad(3, 0, fit.w.after-own.w.after, 0)
	} else {
		x = fit.padded(x, 0)
	}
	if fit.h.dilation == 1 && fit.w.dilation == 1 {
		return x.Graph.Apply(graph.AvgPool2d{KH: fit.h.kernel, KW: fit.w.kernel, StrideH: fit.h.stride, StrideW: fit.w.stride, Divisor: 1}, x)
	}
	return fit.w.along(fit.h.along(x, 2, oh), 3, ow)
}

// along adds up the windows along one dimension: the sum of one strided slice for each element of the window.
func (s side) along(x *graph.Node, axis, outputs int) (sum *graph.Node) {
	for u := range s.kernel {
		index := make([]int, outputs)
		for i := range index {
			index[i] = i*s.stride + u*s.dilation
		}
		if part := x.Gather(axis, index...); sum == nil {
			sum = part
		} else {
			sum = sum.Add(part)
		}
	}
	return sum
}

// lpPool reads LpPool: the p-th root of the sum of p-th powers over a window.
func (imp *importer) lpPool(n *onnx.Node, a *attributes) error {
	x, err := imp.image(n)
	if err != nil {
		return err
	}
	win, ceil, p := a.window(0, 0), a.int("ceil_mode", 0) != 0, float64(a.int("p", 2))
	a.checkPadding(win)
	if p < 1 {
		a.fail("p=%v is not at least 1", p)
	}
	if err := a.done(); err != nil {
		return err
	}
	imp.apply(n.String(), n.Outputs[0], []string{x}, func(in []value) value {
		y := win.sums(in[0].node.Abs().Pow(p), in[0].node, ceil)
		return value{node: y.Pow(1 / p)}
	})
	return nil
}

// globalPool reads the pooling over all pixels: GlobalAveragePool, GlobalMaxPool and GlobalLpPool.
func (imp *importer) globalPool(n *onnx.Node, a *attributes) error {
	x, err := imp.image(n)
	if err != nil {
		return err
	}
	p := 2.0
	if n.Op == "GlobalLpPool" {
		if p = float64(a.int("p", 2)); p < 1 {
			a.fail("p=%v is not at least 1", p)
		}
	}
	if err := a.done(); err != nil {
		return err
	}
	switch n.Op {
	case "GlobalMaxPool":
		imp.apply(n.String(), n.Outputs[0], []string{x}, func(in []value) value { return value{node: in[0].node.Max(2, 3)} })
	case "GlobalLpPool":
		imp.apply(n.String(), n.Outputs[0], []string{x}, func(in []value) value {
			return value{node: in[0].node.Abs().Pow(p).Sum(2, 3).Pow(1 / p)}
		})
	default:
		imp.layer(n, 4, x, nn.AdaptiveAvgPool2d{})
	}
	return nil
}

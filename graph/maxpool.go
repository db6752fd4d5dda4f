package graph

import "github.com/residual-ml/residual/tensor"

// MaxPool2d takes the largest element of every window:
//
//	y[n,c,i,j] = max u,v  x[n, c, i·StrideH+u·DilationH-PadH, j·StrideW+v·DilationW-PadW]
//
// over the taps that lie in the image. NaN counts as larger than any number.
//
// Input x [N, C, H, W]; the output is [N, C, OH, OW] with the sizes that Out returns.
// Padding is at most half the kernel.
// https://pytorch.org/docs/stable/generated/torch.nn.MaxPool2d.html
type MaxPool2d struct {
	KH, KW, StrideH, StrideW, PadH, PadW, DilationH, DilationW int

	CeilMode bool // round the output size up, not down
}

func (MaxPool2d) Name() string { return "MaxPool2d" }

// Out returns the output size for an input of h by w. In CeilMode the last window
// may extend beyond the end, but starts inside the image or its left padding.
func (o MaxPool2d) Out(h, w int) (oh, ow int) {
	return pooledSize(h, o.KH, o.StrideH, o.PadH, o.DilationH, o.CeilMode),
		pooledSize(w, o.KW, o.StrideW, o.PadW, o.DilationW, o.CeilMode)
}

func (o MaxPool2d) Shape(in []tensor.Shape) tensor.Shape {
	wantInputs(o, in, 1, 1)
	wantRank(o, in, 0, 4, "x [N, C, H, W]")
	return o.outShape(o, in)
}

// outShape returns the shape of the output for x of shape in[0]. Panics name op.
func (o MaxPool2d) outShape(op Op, in []tensor.Shape) tensor.Shape {
	x := in[0]
	checkPool(op, in, o.KH, o.KW, o.StrideH, o.StrideW, o.PadH, o.PadW)
	if o.DilationH < 1 || o.DilationW < 1 {
		badShapes(op, in, "dilation %d,%d is less than 1", o.DilationH, o.DilationW)
	}
	oh, ow := o.Out(x[2], x[3])
	if oh < 1 || ow < 1 {
		badShapes(op, in, "the window does not fit the padded image: output would be %d by %d", oh, ow)
	}
	if missesImage(x[2], oh, o.KH, o.StrideH, o.PadH, o.DilationH) ||
		missesImage(x[3], ow, o.KW, o.StrideW, o.PadW, o.DilationW) {
		badShapes(op, in, "dilation %d,%d leaves a window without a tap in the image", o.DilationH, o.DilationW)
	}
	return tensor.Shape{x[0], x[1], oh, ow}
}

func (o MaxPool2d) Gradient(n, dy *Node) []*Node {
	return []*Node{n.Graph.Apply(MaxPool2dGrad{o}, n.Inputs[0], n, dy)}
}

func (o MaxPool2d) Reference(n *Node, y []float64, in [][]float64) {
	x := in[0]
	for yi := range y {
		y[yi] = x[o.largest(n.Inputs[0].Shape, n.Shape, x, yi)]
	}
}

// largest returns the position in x of the first largest element, or else the
// first NaN, of the window of output position yi, in row-major order.
func (o MaxPool2d) largest(xs, ys tensor.Shape, x []float64, yi int) int {
	j, i, plane := yi%ys[3], yi/ys[3]%ys[2], yi/ys[3]/ys[2]
	best := -1
	for u := range o.KH {
		for v := range o.KW {
			h, k := i*o.StrideH+u*o.DilationH-o.PadH, j*o.StrideW+v*o.DilationW-o.PadW
			if h < 0 || h >= xs[2] || k < 0 || k >= xs[3] {
				continue
			}
			if xi := (plane*xs[2]+h)*xs[3] + k; best < 0 || exceeds(x[xi], x[best]) {
				best = xi
			}
		}
	}
	return best
}

// exceeds reports whether a > b, where NaN is larger than every number and equal to NaN.
func exceeds(a, b float64) bool { return a > b || a != a && b == b }

// MaxPool2dGrad is the gradient of MaxPool2d: each dy is added to the first
// largest element of its window in row-major order (or to its first NaN).
//
// Inputs x [N, C, H, W], the output y of MaxPool2d and dy, both [N, C, OH, OW];
// the output has the shape of x.
type MaxPool2dGrad struct{ MaxPool2d }

func (MaxPool2dGrad) Name() string                   { return "MaxPool2dGrad" }
func (o MaxPool2dGrad) Gradient(n, dy *Node) []*Node { return noSecond(o) }

func (o MaxPool2dGrad) Shape(in []tensor.Shape) tensor.Shape {
	wantInputs(o, in, 3, 3)
	wantRank(o, in, 0, 4, "x [N, C, H, W]")
	y := o.outShape(o, in)
	wantShape(o, in, 1, "y", y...)
	wantShape(o, in, 2, "dy", y...)
	return in[0]
}

func (o MaxPool2dGrad) Reference(n *Node, dx []float64, in [][]float64) {
	x, dy := in[0], in[2]
	for yi, d := range dy {
		dx[o.largest(n.Shape, n.Inputs[2].Shape, x, yi)] += d
	}
}

// pooledSize is the number of windows along one side of a pooling.
func pooledSize(size, kernel, stride, pad, dilation int, ceil bool) int {
	room := size + 2*pad - dilation*(kernel-1) - 1
	if ceil {
		room += stride - 1
	}
	out := floorDiv(room, stride) + 1
	if ceil && (out-1)*stride >= size+pad {
		out--
	}
	return out
}

// missesImage reports whether some window has all its taps in the padding along one side, which
// is possible if the dilation is larger than the image.
func missesImage(size, out, kernel, stride, pad, dilation int) bool {
	for i := range out {
		hit := false
		for u := range kernel {
			at := i*stride + u*dilation - pad
			hit = hit || at >= 0 && at < size
		}
		if !hit {
			return true
		}
	}
	return false
}

// checkPool panics if the window of a pooling is invalid.
func checkPool(op Op, in []tensor.Shape, kh, kw, strideH, strideW, padH, padW int) {
	switch {
	case kh < 1 || kw < 1:
		badShapes(op, in, "window %d by %d is empty", kh, kw)
	case strideH < 1 || strideW < 1:
		badShapes(op, in, "stride %d,%d is less than 1", strideH, strideW)
	case padH < 0 || padW < 0 || padH > kh/2 || padW > kw/2:
		badShapes(op, in, "padding %d,%d is not between 0 and half the window, %d,%d", padH, padW, kh/2, kw/2)
	}
}

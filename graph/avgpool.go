package graph

import "github.com/residual-ml/residual/tensor"

// AvgPool2d averages every window:
//
//	y[n,c,i,j] = 1/D Σ u,v  x[n, c, i·StrideH+u-PadH, j·StrideW+v-PadW]
//
// where x is zero in the padding. D is Divisor if that is not zero. Otherwise it is the number
// of the window's elements in the padded image or, with ExcludePad, in the image. Elements
// beyond the padding, where CeilMode lets a window extend, do not count.
//
// Input x [N, C, H, W]; the output is [N, C, OH, OW] with the sizes that Out returns.
// Padding is at most half the kernel. ExcludePad is the opposite of PyTorch's
// count_include_pad, Divisor its divisor_override.
// https://pytorch.org/docs/stable/generated/torch.nn.AvgPool2d.html
type AvgPool2d struct {
	KH, KW, StrideH, StrideW, PadH, PadW int

	CeilMode, ExcludePad bool
	Divisor              int
}

func (AvgPool2d) Name() string { return "AvgPool2d" }

// Out returns the output size for an input of h by w. CeilMode is as in MaxPool2d.
func (o AvgPool2d) Out(h, w int) (oh, ow int) {
	return pooledSize(h, o.KH, o.StrideH, o.PadH, 1, o.CeilMode),
		pooledSize(w, o.KW, o.StrideW, o.PadW, 1, o.CeilMode)
}

func (o AvgPool2d) Shape(in []tensor.Shape) tensor.Shape {
	wantInputs(o, in, 1, 1)
	wantRank(o, in, 0, 4, "x [N, C, H, W]")
	oh, ow := o.outSize(o, in, in[0][2], in[0][3])
	return tensor.Shape{in[0][0], in[0][1], oh, ow}
}

// outSize is Out with checked arguments. Panics name op.
func (o AvgPool2d) outSize(op Op, in []tensor.Shape, h, w int) (oh, ow int) {
	checkPool(op, in, o.KH, o.KW, o.StrideH, o.StrideW, o.PadH, o.PadW)
	if o.Divisor < 0 {
		badShapes(op, in, "divisor %d is negative", o.Divisor)
	}
	oh, ow = o.Out(h, w)
	if oh < 1 || ow < 1 {
		badShapes(op, in, "the window does not fit the padded image: output would be %d by %d", oh, ow)
	}
	return oh, ow
}

func (o AvgPool2d) Gradient(n, dy *Node) []*Node {
	x := n.Inputs[0].Shape
	return []*Node{n.Graph.Apply(AvgPool2dGrad{o, x[2], x[3]}, dy)}
}

func (o AvgPool2d) Reference(n *Node, y []float64, in [][]float64) {
	o.elements(n.Inputs[0].Shape, n.Shape, func(xi, yi int, divisor float64) {
		y[yi] += in[0][xi] / divisor
	})
}

// elements visits every element of every window, with its position in x, the window's position
// in y, and the window's divisor.
func (o AvgPool2d) elements(x, y tensor.Shape, visit func(xi, yi int, divisor float64)) {
	for yi := range y.Numel() {
		j, i, plane := yi%y[3], yi/y[3]%y[2], yi/y[3]/y[2]
		top, left := i*o.StrideH-o.PadH, j*o.StrideW-o.PadW
		bottom, right := min(top+o.KH, x[2]+o.PadH), min(left+o.KW, x[3]+o.PadW)
		divisor := (bottom - top) * (right - left)
		top, left = max(top, 0), max(left, 0)
		bottom, right = min(bottom, x[2]), min(right, x[3])
		if o.ExcludePad {
			divisor = (bottom - top) * (right - left)
		}
		if o.Divisor != 0 {
			divisor = o.Divisor
		}
		for h := top; h < bottom; h++ {
			for k := left; k < right; k++ {
				visit((plane*x[2]+h)*x[3]+k, yi, float64(divisor))
			}
		}
	}
}

// AvgPool2dGrad is the gradient of AvgPool2d for an input of H by W: each element
// of a window gets dy/D.
//
// Input dy [N, C, OH, OW]; the output is [N, C, H, W].
type AvgPool2dGrad struct {
	AvgPool2d
	H, W int
}

func (AvgPool2dGrad) Name() string                   { return "AvgPool2dGrad" }
func (o AvgPool2dGrad) Gradient(n, dy *Node) []*Node { return noSecond(o) }

func (o AvgPool2dGrad) Shape(in []tensor.Shape) tensor.Shape {
	wantInputs(o, in, 1, 1)
	wantRank(o, in, 0, 4, "dy [N, C, OH, OW]")
	dy := in[0]
	oh, ow := o.outSize(o, in, o.H, o.W)
	wantShape(o, in, 0, "dy", dy[0], dy[1], oh, ow)
	return tensor.Shape{dy[0], dy[1], o.H, o.W}
}

func (o AvgPool2dGrad) Reference(n *Node, dx []float64, in [][]float64) {
	o.elements(n.Shape, n.Inputs[0].Shape, func(xi, yi int, divisor float64) {
		dx[xi] += in[0][yi] / divisor
	})
}

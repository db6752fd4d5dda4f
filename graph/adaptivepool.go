package graph

import "github.com/residual-ml/residual/tensor"

// AdaptiveAvgPool2d averages windows that divide any image into H by W parts: row
// i of the output covers rows floor(i·h/H) to ceil((i+1)·h/H), exclusive, of the
// input's h, and columns likewise. Windows may overlap by a row or column.
//
// Input x [N, C, h, w]; the output is [N, C, H, W]. With H = W = 1 it is the
// global average pooling of residual networks.
// https://pytorch.org/docs/stable/generated/torch.nn.AdaptiveAvgPool2d.html
type AdaptiveAvgPool2d struct{ H, W int }

func (AdaptiveAvgPool2d) Name() string { return "AdaptiveAvgPool2d" }

func (o AdaptiveAvgPool2d) Shape(in []tensor.Shape) tensor.Shape {
	return adaptiveShape(o, in, "x [N, C, H, W]", o.H, o.W)
}

func (AdaptiveAvgPool2d) Gradient(n, dy *Node) []*Node {
	x := n.Inputs[0].Shape
	return []*Node{n.Graph.Apply(AdaptiveAvgPool2dGrad{x[2], x[3]}, dy)}
}

func (AdaptiveAvgPool2d) Reference(n *Node, y []float64, in [][]float64) {
	adaptiveElements(n.Inputs[0].Shape, n.Shape, func(xi, yi int, divisor float64) {
		y[yi] += in[0][xi] / divisor
	})
}

// AdaptiveAvgPool2dGrad is the gradient of AdaptiveAvgPool2d for an input of H by
// W: each element of a window gets dy divided by the window's size.
//
// Input dy [N, C, OH, OW]; the output is [N, C, H, W].
type AdaptiveAvgPool2dGrad struct{ H, W int }

func (AdaptiveAvgPool2dGrad) Name() string                   { return "AdaptiveAvgPool2dGrad" }
func (o AdaptiveAvgPool2dGrad) Gradient(n, dy *Node) []*Node { return noSecond(o) }

func (o AdaptiveAvgPool2dGrad) Shape(in []tensor.Shape) tensor.Shape {
	return adaptiveShape(o, in, "dy [N, C, OH, OW]", o.H, o.W)
}

func (AdaptiveAvgPool2dGrad) Reference(n *Node, dx []float64, in [][]float64) {
	adaptiveElements(n.Shape, n.Inputs[0].Shape, func(xi, yi int, divisor float64) {
		dx[xi] += in[0][yi] / divisor
	})
}

func adaptiveShape(op Op, in []tensor.Shape, what string, h, w int) tensor.Shape {
	wantInputs(op, in, 1, 1)
	wantRank(op, in, 0, 4, what)
	s := in[0]
	if h < 1 || w < 1 || s[2] < 1 || s[3] < 1 {
		badShapes(op, in, "cannot pool between %d by %d and %d by %d", s[2], s[3], h, w)
	}
	return tensor.Shape{s[0], s[1], h, w}
}

// adaptiveElements visits every element of every window, with its position in x, the window's
// position in y, and the window's size.
func adaptiveElements(x, y tensor.Shape, visit func(xi, yi int, divisor float64)) {
	for yi := range y.Numel() {
		j, i, plane := yi%y[3], yi/y[3]%y[2], yi/y[3]/y[2]
		top, bottom := i*x[2]/y[2], ((i+1)*x[2]+y[2]-1)/y[2]
		left, right := j*x[3]/y[3], ((j+1)*x[3]+y[3]-1)/y[3]
		divisor := float64((bottom - top) * (right - left))
		for h := top; h < bottom; h++ {
			for k := left; k < right; k++ {
				visit((plane*x[2]+h)*x[3]+k, yi, divisor)
			}
		}
	}
}

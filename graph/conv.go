package graph

import "github.com/residual-ml/residual/tensor"

// Conv2d is the two-dimensional convolution of neural networks, a cross-correlation. With
// G = Groups:
//
//	y[n,o,i,j] = b[o] + Σ c,u,v  w[o,c,u,v] · x[n, g·Cin/G+c, i·StrideH+u·DilationH-PadH, j·StrideW+v·DilationW-PadW]
//
// where g = o / (Cout/G) and x is zero outside the image.
//
// Inputs x [N, Cin, H, W], w [Cout, Cin/G, KH, KW] and, optionally, b [Cout];
// the output is [N, Cout, OH, OW] with the sizes that Out returns.
// https://pytorch.org/docs/stable/generated/torch.nn.Conv2d.html
type Conv2d struct {
	StrideH, StrideW, PadH, PadW, DilationH, DilationW, Groups int
}

func (Conv2d) Name() string { return "Conv2d" }

// Out returns the output size for an input of h by w and a kernel of kh by kw:
// floor((h + 2·PadH - DilationH·(kh-1) - 1) / StrideH) + 1. It is less than 1 if the
// kernel does not fit.
func (o Conv2d) Out(h, w, kh, kw int) (oh, ow int) {
	return floorDiv(h+2*o.PadH-o.DilationH*(kh-1)-1, o.StrideH) + 1,
		floorDiv(w+2*o.PadW-o.DilationW*(kw-1)-1, o.StrideW) + 1
}

func (o Conv2d) Shape(in []tensor.Shape) tensor.Shape {
	wantInputs(o, in, 2, 3)
	wantRank(o, in, 0, 4, "x [N, Cin, H, W]")
	wantRank(o, in, 1, 4, "w [Cout, Cin/groups, KH, KW]")
	x, w := in[0], in[1]
	o.check(o, in, w)
	if x[1] != w[1]*o.Groups {
		badShapes(o, in, "x has %d channels, w and groups %d need %d", x[1], o.Groups, w[1]*o.Groups)
	}
	if len(in) == 3 {
		wantShape(o, in, 2, "bias", w[0])
	}
	oh, ow := o.Out(x[2], x[3], w[2], w[3])
	if oh < 1 || ow < 1 {
		badShapes(o, in, "the kernel does not fit the padded image: output would be %d by %d", oh, ow)
	}
	return tensor.Shape{x[0], w[0], oh, ow}
}

// check panics if an attribute is invalid. The panic names op.
func (o Conv2d) check(op Op, in []tensor.Shape, w tensor.Shape) {
	switch {
	case o.StrideH < 1 || o.StrideW < 1:
		badShapes(op, in, "stride %d,%d is less than 1", o.StrideH, o.StrideW)
	case o.DilationH < 1 || o.DilationW < 1:
		badShapes(op, in, "dilation %d,%d is less than 1", o.DilationH, o.DilationW)
	case o.PadH < 0 || o.PadW < 0:
		badShapes(op, in, "padding %d,%d is negative", o.PadH, o.PadW)
	case o.Groups < 1:
		badShapes(op, in, "groups %d is less than 1", o.Groups)
	case w[2] < 1 || w[3] < 1:
		badShapes(op, in, "kernel %d by %d is empty", w[2], w[3])
	case w[0]%o.Groups != 0:
		badShapes(op, in, "%d output channels do not divide into %d groups", w[0], o.Groups)
	}
}

func (o Conv2d) Gradient(n, dy *Node) []*Node {
	x, w, g := n.Inputs[0], n.Inputs[1], n.Graph
	grads := []*Node{
		g.Apply(Conv2dGradInput{o, x.Shape[2], x.Shape[3]}, w, dy),
		g.Apply(Conv2dGradWeight{o, w.Shape[2], w.Shape[3]}, x, dy),
	}
	if len(n.Inputs) == 3 {
		grads = append(grads, g.Apply(SumChannels{}, dy))
	}
	return grads
}

func (o Conv2d) Reference(n *Node, out []float64, in [][]float64) {
	x, w := in[0], in[1]
	if len(in) == 3 {
		plane := n.Shape[2] * n.Shape[3]
		for i := range out {
			out[i] = in[2][i/plane%n.Shape[1]]
		}
	}
	o.products(n.Inputs[0].Shape, n.Inputs[1].Shape, n.Shape, func(xi, wi, yi int) {
		out[yi] += w[wi] * x[xi]
	})
}

// products visits every product in the convolution's sums, with the row-major positions of its
// input, weight and output element. The convolution and its two gradients use the same loop
// with different roles of the three.
func (o Conv2d) products(x, w, y tensor.Shape, visit func(xi, wi, yi int)) {
	outs, ins := w[0]/o.Groups, w[1]
	for yi := range y.Numel() {
		j, i, oc, n := yi%y[3], yi/y[3]%y[2], yi/y[3]/y[2]%y[1], yi/y[3]/y[2]/y[1]
		for c := range ins {
			ic := oc/outs*ins + c
			for u := range w[2] {
				for v := range w[3] {
					h, k := i*o.StrideH+u*o.DilationH-o.PadH, j*o.StrideW+v*o.DilationW-o.PadW
					if h < 0 || h >= x[2] || k < 0 || k >= x[3] {
						continue
					}
					visit(((n*x[1]+ic)*x[2]+h)*x[3]+k, ((oc*ins+c)*w[2]+u)*w[3]+v, yi)
				}
			}
		}
	}
}

// Conv2dGradInput is the gradient of Conv2d for its input of H by W: each
// product's dx[n,c,h,k] += w[o,c,u,v] · dy[n,o,i,j].
//
// Inputs w [Cout, Cin/G, KH, KW] and dy [N, Cout, OH, OW]; the output is [N, Cin, H, W].
type Conv2dGradInput struct {
	Conv2d
	H, W int
}

func (Conv2dGradInput) Name() string                   { return "Conv2dGradInput" }
func (o Conv2dGradInput) Gradient(n, dy *Node) []*Node { return noSecond(o) }

func (o Conv2dGradInput) Shape(in []tensor.Shape) tensor.Shape {
	wantInputs(o, in, 2, 2)
	wantRank(o, in, 0, 4, "w [Cout, Cin/groups, KH, KW]")
	wantRank(o, in, 1, 4, "dy [N, Cout, OH, OW]")
	w, dy := in[0], in[1]
	o.check(o, in, w)
	oh, ow := o.Out(o.H, o.W, w[2], w[3])
	wantShape(o, in, 1, "dy", dy[0], w[0], oh, ow)
	return tensor.Shape{dy[0], w[1] * o.Groups, o.H, o.W}
}

func (o Conv2dGradInput) Reference(n *Node, dx []float64, in [][]float64) {
	w, dy := in[0], in[1]
	o.products(n.Shape, n.Inputs[0].Shape, n.Inputs[1].Shape, func(xi, wi, yi int) {
		dx[xi] += w[wi] * dy[yi]
	})
}

// Conv2dGradWeight is the gradient of Conv2d for its weight with a kernel of KH
// by KW: each product's dw[o,c,u,v] += x[n,c,h,k] · dy[n,o,i,j].
//
// Inputs x [N, Cin, H, W] and dy [N, Cout, OH, OW]; the output is [Cout, Cin/G, KH, KW].
type Conv2dGradWeight struct {
	Conv2d
	KH, KW int
}

func (Conv2dGradWeight) Name() string                   { return "Conv2dGradWeight" }
func (o Conv2dGradWeight) Gradient(n, dy *Node) []*Node { return noSecond(o) }

func (o Conv2dGradWeight) Shape(in []tensor.Shape) tensor.Shape {
	wantInputs(o, in, 2, 2)
	wantRank(o, in, 0, 4, "x [N, Cin, H, W]")
	wantRank(o, in, 1, 4, "dy [N, Cout, OH, OW]")
	x, dy := in[0], in[1]
	o.check(o, in, tensor.Shape{dy[1], 0, o.KH, o.KW})
	if x[1]%o.Groups != 0 {
		badShapes(o, in, "%d input channels do not divide into %d groups", x[1], o.Groups)
	}
	oh, ow := o.Out(x[2], x[3], o.KH, o.KW)
	wantShape(o, in, 1, "dy", x[0], dy[1], oh, ow)
	return tensor.Shape{dy[1], x[1] / o.Groups, o.KH, o.KW}
}

func (o Conv2dGradWeight) Reference(n *Node, dw []float64, in [][]float64) {
	x, dy := in[0], in[1]
	o.products(n.Inputs[0].Shape, n.Shape, n.Inputs[1].Shape, func(xi, wi, yi int) {
		dw[wi] += x[xi] * dy[yi]
	})
}

// SumChannels sums over all dimensions except the second, s[c] = Σ n,... dy[n,c,...]:
// the gradient of a bias. Input [N, C, ...], output [C].
type SumChannels struct{}

func (SumChannels) Name() string                   { return "SumChannels" }
func (o SumChannels) Gradient(n, dy *Node) []*Node { return noSecond(o) }

func (o SumChannels) Shape(in []tensor.Shape) tensor.Shape {
	wantInputs(o, in, 1, 1)
	if len(in[0]) < 2 {
		badShapes(o, in, "input 0 is not [N, C, ...]")
	}
	return tensor.Shape{in[0][1]}
}

func (SumChannels) Reference(n *Node, out []float64, in [][]float64) {
	channel := channels(n.Inputs[0].Shape)
	for i, v := range in[0] {
		out[channel(i)] += v
	}
}

// channels returns the channel of every row-major position of [N, C, ...].
func channels(s tensor.Shape) func(i int) int {
	plane := s[2:].Numel()
	return func(i int) int { return i / plane % s[1] }
}

// floorDiv is a/b rounded down, where Go's division rounds towards zero; b > 0.
func floorDiv(a, b int) int {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

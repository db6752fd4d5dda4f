package graph

import (
	"math"

	"github.com/residual-ml/residual/tensor"
)

// Upsample resizes images to H by W pixels, which may also be fewer than the input has, with
// PyTorch's rules. Along each axis, for output pixel i of n, an input of m pixels and
// s = m/n:
//
//   - nearest (the default): the input pixel floor(i·s), computed in float32 as PyTorch does;
//   - Bilinear: the two neighbours of position (i+1/2)·s - 1/2, weighted by their nearness;
//   - Bilinear with AlignCorners: those of position i·(m-1)/(n-1), so that the corner pixels
//     of both images coincide.
//
// ScaleH and ScaleW, where they are not 0, are the factors by which the caller enlarges the
// image, and s is 1/ScaleH and 1/ScaleW: PyTorch's scale_factor. They matter where m times the
// factor is not a whole number.
//
// Input x [N, C, H', W']; the output is [N, C, H, W].
// https://pytorch.org/docs/stable/generated/torch.nn.Upsample.html
type Upsample struct {
	H, W                   int
	Bilinear, AlignCorners bool
	ScaleH, ScaleW         float64
}

func (Upsample) Name() string { return "Upsample" }

func (o Upsample) Shape(in []tensor.Shape) tensor.Shape {
	wantInputs(o, in, 1, 1)
	wantRank(o, in, 0, 4, "x [N, C, H, W]")
	return o.resized(o, in, in[0])
}

// resized returns the output's shape for images of shape x. Panics name op.
func (o Upsample) resized(op Op, in []tensor.Shape, x tensor.Shape) tensor.Shape {
	switch {
	case o.H < 1 || o.W < 1:
		badShapes(op, in, "to %d by %d pixels", o.H, o.W)
	case x[2] < 1 || x[3] < 1:
		badShapes(op, in, "images of %d by %d pixels", x[2], x[3])
	case o.AlignCorners && !o.Bilinear:
		badShapes(op, in, "AlignCorners is a rule of bilinear interpolation alone; set Bilinear too")
	case o.ScaleH < 0 || o.ScaleW < 0:
		badShapes(op, in, "factors %v and %v are negative", o.ScaleH, o.ScaleW)
	}
	return tensor.Shape{x[0], x[1], o.H, o.W}
}

// Tap is one term of an interpolation: a pixel along one axis of the input, and its weight.
type Tap struct {
	Source int
	Weight float64
}

// Rows returns, for every row of the output, the rows of an input of h rows of whose weighted
// sum it consists.
func (o Upsample) Rows(h int) [][]Tap { return o.taps(h, o.H, o.ScaleH) }

// Columns is Rows for the columns of an input of w columns.
func (o Upsample) Columns(w int) [][]Tap { return o.taps(w, o.W, o.ScaleW) }

func (o Upsample) taps(from, to int, factor float64) [][]Tap {
	scale := float64(from) / float64(to)
	if factor > 0 {
		scale = 1 / factor
	}
	if o.AlignCorners {
		scale = 0
		if to > 1 {
			scale = float64(from-1) / float64(to-1)
		}
	}
	out := make([][]Tap, to)
	for i := range out {
		if !o.Bilinear {
			out[i] = []Tap{{min(int(float32(i)*float32(scale)), from-1), 1}}
			continue
		}
		at := float64(i) * scale
		if !o.AlignCorners {
			at = max(float64((float64(i)+0.5)*scale)-0.5, 0)
		}
		first := min(int(math.Floor(at)), from-1)
		second := min(first+1, from-1)
		if w := min(at-float64(first), 1); w == 0 || second == first {
			out[i] = []Tap{{first, 1}}
		} else {
			out[i] = []Tap{{first, 1 - w}, {second, w}}
		}
	}
	return out
}

func (o Upsample) Gradient(n, dy *Node) []*Node {
	x := n.Inputs[0].Shape
	return []*Node{n.Graph.Apply(UpsampleGrad{o, x[2], x[3]}, dy)}
}

func (o Upsample) Reference(n *Node, y []float64, in [][]float64) {
	o.products(n.Inputs[0].Shape, n.Shape, func(xi, yi int, weight float64) { y[yi] += weight * in[0][xi] })
}

// products visits every product in the sums of the interpolation, with the row-major positions
// of its input and output element.
func (o Upsample) products(x, y tensor.Shape, visit func(xi, yi int, weight float64)) {
	rows, columns := o.Rows(x[2]), o.Columns(x[3])
	for yi := range y.Numel() {
		j, i, plane := yi%y[3], yi/y[3]%y[2], yi/y[3]/y[2]
		for _, r := range rows[i] {
			for _, c := range columns[j] {
				visit((plane*x[2]+r.Source)*x[3]+c.Source, yi, r.Weight*c.Weight)
			}
		}
	}
}

// UpsampleGrad is the gradient of Upsample for its input of FromH by FromW pixels: each
// product's dx += weight · dy. Input dy [N, C, H, W]; the output is [N, C, FromH, FromW].
type UpsampleGrad struct {
	Upsample
	FromH, FromW int
}

func (UpsampleGrad) Name() string                   { return "UpsampleGrad" }
func (o UpsampleGrad) Gradient(n, dy *Node) []*Node { return noSecond(o) }

func (o UpsampleGrad) Shape(in []tensor.Shape) tensor.Shape {
	wantInputs(o, in, 1, 1)
	wantRank(o, in, 0, 4, "dy [N, C, H, W]")
	x := tensor.Shape{in[0][0], in[0][1], o.FromH, o.FromW}
	wantShape(o, in, 0, "dy", o.resized(o, in, x)...)
	return x
}

func (o UpsampleGrad) Reference(n *Node, dx []float64, in [][]float64) {
	o.products(n.Shape, n.Inputs[0].Shape, func(xi, yi int, weight float64) { dx[xi] += weight * in[0][yi] })
}

// UpsampleNearest resizes images [N, C, H, W] to h by w pixels, each that of the nearest one.
func (n *Node) UpsampleNearest(h, w int) *Node { return n.Graph.Apply(Upsample{H: h, W: w}, n) }

// UpsampleBilinear resizes images [N, C, H, W] to h by w pixels, each interpolated from its
// neighbours; see Upsample for alignCorners.
func (n *Node) UpsampleBilinear(h, w int, alignCorners bool) *Node {
	return n.Graph.Apply(Upsample{H: h, W: w, Bilinear: true, AlignCorners: alignCorners}, n)
}
